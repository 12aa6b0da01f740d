/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The page cache: contents last sent, by page key (delta/page-key.h), from which deltas are made.
 *
 * The caller tells it every page that is sent, and of every page that the destination has in
 * another way (zero records, records that were already packed) it says vmf_page_cache_drop(). So
 * what is cached is always what the destination has.
 *
 * What is kept is decided by how often a page came again and how well its deltas did: a pass over
 * all of the guest does not flush out what comes again in each pass. A page that is dropped keeps
 * its history.
 *
 * Memory: the contents stand in chunks of 2 MiB (huge pages where the kernel has them), taken as
 * pages come and given back to the kernel when the limit falls; beside them a few bytes for each
 * page of the guest that was seen (`tables` of the figures), which the limit does not count. Pages
 * of zeros take none.
 * Units: bytes. Page sizes as in delta/xbzrle.h. Threads: one at a time.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "delta/page-key.h"
#include "delta/xbzrle.h"

typedef struct VmfPageCache VmfPageCache;

/* `limit` may be 0: nothing is kept. */
VmfPageCache *vmf_page_cache_new(size_t page_size, uint64_t limit);
void vmf_page_cache_free(VmfPageCache *cache);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfPageCache, vmf_page_cache_free)

/* At any moment. What still fits stays; the rest of the memory is the kernel's on return. */
void vmf_page_cache_set_limit(VmfPageCache *cache, uint64_t limit);

/* How a page is to be sent. */
typedef enum {
    VMF_CODED_EQUAL, /* not at all: it is what was sent last */
    VMF_CODED_DELTA, /* as XBZRLE */
    VMF_CODED_WHOLE, /* as it is: not cached, or the delta would be too large */
} VmfCoded;

/*
 * The page is sent now with this content. VMF_CODED_DELTA: `out` has *ret_length bytes of XBZRLE,
 * at most `out_size`; otherwise *ret_length is 0 and `out` is spoiled.
 */
VmfCoded vmf_page_cache_encode(VmfPageCache *cache, uint64_t key, const uint8_t *page, uint8_t *out,
                               size_t out_size, size_t *ret_length);

/*
 * Which page the vmf_page_cache_encode() after the next one will be given, when that is known: its
 * memory is fetched meanwhile. `page` stays readable until then.
 */
void vmf_page_cache_expect(VmfPageCache *cache, uint64_t key, const uint8_t *page);

/* The content that it has; NULL: none. Until the next call. */
const uint8_t *vmf_page_cache_peek(VmfPageCache *cache, uint64_t key);

/* The destination has, or may have, something else there. */
void vmf_page_cache_drop(VmfPageCache *cache, uint64_t key);
void vmf_page_cache_drop_range(VmfPageCache *cache, uint64_t key, uint64_t count);

/* Drops all contents and forgets all history. */
void vmf_page_cache_clear(VmfPageCache *cache);

typedef struct {
    uint64_t limit;
    uint64_t used;      /* of the limit */
    uint64_t tables;    /* beside it */
    uint64_t hits;      /* pages that were cached; of them */
    uint64_t equal;     /*   did not change */
    uint64_t too_large; /*   changed too much */
    uint64_t delta_bytes;
    uint64_t misses;    /* pages that were not cached; of them */
    uint64_t first;     /*   came for the first time */
    uint64_t evictions; /* contents that made room for others */
} VmfPageCacheFigures;

void vmf_page_cache_figures(const VmfPageCache *cache, VmfPageCacheFigures *ret_figures);
