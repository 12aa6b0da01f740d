/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pump/bases.h"

#include <string.h>

#include "delta/fingerprints.h"
#include "delta/page-cache.h"
#include "delta/xbzrle.h"

struct VmfBases {
    guint page_size;
    VmfPageCache *cache;
    VmfFingerprints *prints;
    VmfSampler *sampler;
    uint8_t *old; /* a base, while what is made of it is proved; NULL: nothing is */
    guint64 disproved;
};

VmfBases *
vmf_bases_new(guint page_size, guint64 cache, gboolean proves, GError **error)
{
    VmfFingerprints *prints = vmf_fingerprints_new(page_size, error);
    VmfBases *self;

    if (!prints)
        return NULL;
    self = g_new0(VmfBases, 1);
    self->page_size = page_size;
    self->prints = prints;
    self->cache = vmf_page_cache_new(page_size, cache);
    self->sampler = vmf_sampler_new(page_size);
    self->old = proves ? g_malloc(page_size) : NULL;
    return self;
}

void
vmf_bases_free(VmfBases *self)
{
    vmf_page_cache_free(self->cache);
    vmf_fingerprints_free(self->prints);
    vmf_sampler_free(self->sampler);
    g_free(self->old);
    g_free(self);
}

static uint64_t
vmf_bases_key(const VmfBases *self, const VmfRamBlock *block, uint64_t address)
{
    return vmf_page_key(block->index, address / self->page_size);
}

/* Keeps the base, and whether it still is what was sent. */
static gboolean
vmf_bases_check_base(VmfBases *self, uint64_t key)
{
    const uint8_t *base = vmf_page_cache_peek(self->cache, key);

    if (base)
        memcpy(self->old, base, self->page_size);
    return !base || vmf_fingerprints_match(self->prints, key, self->old);
}

/* Whether the base and what was made of it lead to the page. */
static gboolean
vmf_bases_check_delta(VmfBases *self, const VmfPage *page, VmfCoded coded, const uint8_t *delta,
                      gsize length)
{
    if (coded == VMF_CODED_WHOLE)
        return TRUE;
    if (coded == VMF_CODED_DELTA && !vmf_xbzrle_apply(delta, length, self->old, self->page_size))
        return FALSE;
    return memcmp(self->old, page->data, self->page_size) == 0;
}

int
vmf_bases_send(VmfBases *self, const VmfPage *page, uint8_t *out, gsize room)
{
    uint64_t key = vmf_bases_key(self, page->block, page->address);
    size_t length = 0;
    VmfCoded coded;
    gboolean same, right;

    vmf_sampler_put(self->sampler, key);
    right = !self->old || vmf_bases_check_base(self, key);
    coded = vmf_page_cache_encode(self->cache, key, page->data, out, room, &length);
    if (self->old && (!right || !vmf_bases_check_delta(self, page, coded, out, length))) {
        self->disproved++;
        (void)vmf_fingerprints_put(self->prints, key, page->data);
        return VMF_BASES_WHOLE;
    }
    if (coded == VMF_CODED_EQUAL)
        return VMF_BASES_EQUAL;
    same = vmf_fingerprints_put(self->prints, key, page->data);
    if (coded == VMF_CODED_DELTA)
        return (int)length;
    return same ? VMF_BASES_EQUAL : VMF_BASES_WHOLE;
}

void
vmf_bases_expect(VmfBases *self, const VmfRamBlock *block, uint64_t address, const uint8_t *data)
{
    uint64_t key = vmf_bases_key(self, block, address);

    vmf_page_cache_expect(self->cache, key, data);
    vmf_fingerprints_expect(self->prints, key);
}

void
vmf_bases_pass(VmfBases *self, const VmfPage *page)
{
    uint64_t key = vmf_bases_key(self, page->block, page->address);

    vmf_page_cache_drop(self->cache, key);
    if (page->kind == VMF_PAGE_ZERO && page->fill == 0)
        (void)vmf_fingerprints_put_zero(self->prints, key);
    else if (page->kind == VMF_PAGE_WHOLE)
        (void)vmf_fingerprints_put(self->prints, key, page->data);
    else
        vmf_fingerprints_forget(self->prints, key);
}

void
vmf_bases_set_cache(VmfBases *self, guint64 size)
{
    vmf_page_cache_set_limit(self->cache, size);
}

void
vmf_bases_get_figures(const VmfBases *self, VmfBasesFigures *ret)
{
    VmfPageCacheFigures cache;

    vmf_page_cache_figures(self->cache, &cache);
    *ret = (VmfBasesFigures){
        .hits = cache.hits,
        .misses = cache.misses,
        .disproved = self->disproved,
        .cache_used = cache.used,
        .cache_limit = cache.limit,
        .tables = cache.tables + vmf_fingerprints_size(self->prints),
    };
}

const VmfSampler *
vmf_bases_sampler(const VmfBases *self)
{
    return self->sampler;
}
