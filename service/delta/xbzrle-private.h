/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside the codec: what a variant offers. Beside encoding it brings a cached page up to date, and
 * fetches the pair of pages that is next, while it looks at the data anyway.
 */
#pragma once

#include "delta/xbzrle.h"

/* The pair of pages that will be compared next; both NULL: not known. */
typedef struct {
    const uint8_t *old;
    const uint8_t *page;
} VmfXbzrleAhead;

struct VmfXbzrle {
    const char *name;
    gboolean (*usable)(void);
    /* `update`: `old`, to be made equal to `page`, or NULL. */
    int (*encode)(const uint8_t *old, const uint8_t *page, size_t page_size, uint8_t *out,
                  size_t out_size, uint8_t *update, const VmfXbzrleAhead *ahead);
};

extern const VmfXbzrle vmf_xbzrle_avx512, vmf_xbzrle_avx2, vmf_xbzrle_sse2, vmf_xbzrle_neon,
    vmf_xbzrle_portable;
