/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Something small about every page that was seen, by key (delta/page-key.h): pages of one
 * neighbourhood stand together, and take memory once one of them was touched.
 *
 * Entries are zero at first, and stay where they are as long as the table. Threads: one at a time.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

#define VMF_PAGE_TABLE_LEAF 1024u /* pages that share an allocation */

typedef struct VmfPageTable VmfPageTable;

VmfPageTable *vmf_page_table_new(size_t entry_size);
void vmf_page_table_free(VmfPageTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfPageTable, vmf_page_table_free)

/* NULL: neither this page nor one near it was touched. */
void *vmf_page_table_find(VmfPageTable *table, uint64_t key);

void *vmf_page_table_touch(VmfPageTable *table, uint64_t key);

/*
 * The entries that there are of up to `count` pages from `key`: returns the first, and how many
 * stand behind it without a gap; NULL when there are none in the whole range. To go through all,
 * go on behind them: *ret_key is the key of the first.
 */
void *vmf_page_table_next(VmfPageTable *table, uint64_t key, uint64_t count, uint64_t *ret_key,
                          guint *ret_count);

/* Forgets everything and gives the memory back. */
void vmf_page_table_clear(VmfPageTable *table);

/* Bytes it takes. */
uint64_t vmf_page_table_size(const VmfPageTable *table);
