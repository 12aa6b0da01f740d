/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the destination has of each page, as far as it can be told from what was sent: fingerprints
 * of all pages, contents of those in the cache. Every page record that goes to the destination has
 * to pass here.
 *
 * Units: bytes. Threads: one at a time.
 */
#pragma once

#include "delta/sampler.h"
#include "stream/stream.h"

#define VMF_BASES_WHOLE 0    /* send it as it is */
#define VMF_BASES_EQUAL (-1) /* the destination has it */

typedef struct VmfBases VmfBases;

/*
 * proves: a base is used only if it still is what was sent, and a delta only if it leads to the
 * page: else the page goes whole. Fails with VMF_ERROR_FAILED, without random numbers.
 */
VmfBases *vmf_bases_new(guint page_size, guint64 cache, gboolean proves, GError **error);
void vmf_bases_free(VmfBases *bases);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfBases, vmf_bases_free)

/*
 * A whole page is to be sent. > 0: the length of its XBZRLE data, written to `out`; VMF_BASES_WHOLE
 * or VMF_BASES_EQUAL, and `out` is spoiled. The destination must get what the answer says.
 * room: of `out`, 0: no delta is wanted.
 */
int vmf_bases_send(VmfBases *bases, const VmfPage *page, uint8_t *out, gsize room);

/*
 * Which page the vmf_bases_send() after the next one will be given, and where: its memory is
 * fetched meanwhile. May be wrong, but `data` must stay readable until then.
 */
void vmf_bases_expect(VmfBases *bases, const VmfRamBlock *block, uint64_t address,
                      const uint8_t *data);

/* A record goes to the destination as it came. */
void vmf_bases_pass(VmfBases *bases, const VmfPage *page);

void vmf_bases_set_cache(VmfBases *bases, guint64 size);

typedef struct {
    guint64 hits, misses; /* pages whose content was in the cache, or not */
    guint64 cache_used, cache_limit;
    guint64 tables;    /* bytes beside the cache */
    guint64 disproved; /* pages that went whole for that reason: something here damages memory */
} VmfBasesFigures;

void vmf_bases_get_figures(const VmfBases *bases, VmfBasesFigures *ret);

/* How large a cache would have missed how much of what was sent again; delta/sampler.h. */
const VmfSampler *vmf_bases_sampler(const VmfBases *bases);
