/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How large a page cache would have to be: reuse distances of a sample of pages.
 *
 * The reuse distance of a send is how many different pages were sent since the same page was sent
 * last; a cache that drops what was not used for longest hits it when it holds more pages than
 * that. Pages are sampled by a hash of their key, all sends of a page or none, and distances are
 * scaled up. The sample has a fixed size: when there are too many pages, a smaller share of all is
 * followed. First sends have no distance and are not counted: no cache hits them.
 *
 * Units: bytes of cache; ratios from 0 to 1. Memory: constant, below 1 MiB. Threads: one at a time.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "delta/page-key.h"

typedef struct VmfSampler VmfSampler;

VmfSampler *vmf_sampler_new(size_t page_size);
void vmf_sampler_free(VmfSampler *sampler);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfSampler, vmf_sampler_free)

/* The page is sent now. */
void vmf_sampler_put(VmfSampler *sampler, uint64_t key);

/* Of the pages sent again, the share that a cache of this size would miss; 1 when none was. */
double vmf_sampler_miss_ratio(const VmfSampler *sampler, uint64_t bytes);

typedef struct {
    uint64_t bytes;
    double miss_ratio;
} VmfSamplerPoint;

/*
 * The curve, in up to `count` points of falling miss ratio, from size 0 to the size at which
 * nothing more is gained. Returns how many.
 */
guint vmf_sampler_curve(const VmfSampler *sampler, VmfSamplerPoint *ret_points, guint count);

/* About how many pages were sent again. */
uint64_t vmf_sampler_repeats(const VmfSampler *sampler);

/* What was counted so far shall weigh `keep` (0 to 1) of what is counted from now on. */
void vmf_sampler_age(VmfSampler *sampler, double keep);
