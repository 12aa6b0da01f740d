/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What was found out once, in files of one folder, so that it need not be found out again after a
 * restart. A file bears the version of its format, the key it was stored under and a checksum; one
 * that is not right in all of them is as good as none, and is said so once in the log.
 *
 * Files are written whole or not at all. At most VMF_CACHE_FILES are kept, the newest. A folder
 * that cannot be written to costs time, and nothing else. Any thread.
 */
#pragma once

#include <glib.h>

#define VMF_CACHE_FILES 128
#define VMF_CACHE_ENTRY_MAX (9u << 20) /* bytes */

typedef struct VmfCache VmfCache;

/* `directory`: made when it is needed; copied. */
VmfCache *vmf_cache_new(const char *directory);
void vmf_cache_free(VmfCache *cache);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfCache, vmf_cache_free)

/* What was stored under that key, or NULL. */
GBytes *vmf_cache_load(VmfCache *cache, const char *key);

void vmf_cache_store(VmfCache *cache, const char *key, GBytes *value);
