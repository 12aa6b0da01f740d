/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench-sampler TRACE: the sampler's curve of a recorded trace (tests/bench/record-trace) against
 * the exact one, at 200 sizes up to that of all pages: mean and greatest difference; ns a page, and
 * as a share of what the delta stage takes for a page: its fingerprint, and its delta from a cache.
 */
#include <math.h>

#include "base/bytes.h"
#include "delta/fingerprints.h"
#include "delta/page-cache.h"
#include "delta/sampler.h"
#include "measure.h"

#define PAGE 4096u
#define SIZES 200u
#define ROUNDS 5u
#define STAGE_PAGES 16384u /* 64 MiB */

typedef struct {
    uint32_t *sends;
    guint count;
    guint pages; /* different ones */
} Trace;

static Trace
load_trace(const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *bytes = NULL;
    Trace trace = {0};
    gsize length;
    VmfBytes reader;

    if (!g_file_get_contents(path, &bytes, &length, &error))
        g_error("%s", error->message);
    reader = VMF_BYTES((uint8_t *)bytes, length);
    trace.count = (guint)(length / sizeof *trace.sends);
    trace.sends = g_new(uint32_t, trace.count);
    for (guint i = 0; i < trace.count; i++)
        trace.sends[i] = vmf_bytes_get_u32(&reader);
    return trace;
}

static void
count_at(guint *tree, guint size, guint at, int step)
{
    for (at++; at <= size; at += at & -at)
        tree[at] += (guint)step;
}

static guint
sum_until(const guint *tree, guint at)
{
    guint sum = 0;

    for (at++; at > 0; at -= at & -at)
        sum += tree[at];
    return sum;
}

/* hits[d]: sends with so many other pages since the last one of the same; the number of repeats. */
static guint
exact_distances(Trace *trace, guint *hits)
{
    g_autoptr(GHashTable) last = g_hash_table_new(NULL, NULL);
    g_autofree guint *tree = g_new0(guint, trace->count + 1);
    guint repeats = 0;

    for (guint i = 0; i < trace->count; i++) {
        gpointer key = GUINT_TO_POINTER(trace->sends[i] + 1), value;

        if (g_hash_table_lookup_extended(last, key, NULL, &value)) {
            guint before = GPOINTER_TO_UINT(value);

            hits[sum_until(tree, i) - sum_until(tree, before)]++;
            repeats++;
            count_at(tree, trace->count, before, -1);
        }
        count_at(tree, trace->count, i, 1);
        g_hash_table_insert(last, key, GUINT_TO_POINTER(i));
    }
    trace->pages = g_hash_table_size(last);
    return repeats;
}

static double
time_sampling(const Trace *trace, VmfSampler *sampler)
{
    double start = measure_seconds();

    for (guint i = 0; i < trace->count; i++)
        vmf_sampler_put(sampler, vmf_page_key(trace->sends[i] >> 24, trace->sends[i] & 0xffffff));
    return (measure_seconds() - start) * 1e9 / trace->count;
}

/* ns a page; a counter changes in each. */
static double
time_stage(void)
{
    g_autoptr(VmfPageCache) cache = vmf_page_cache_new(PAGE, STAGE_PAGES * PAGE);
    g_autoptr(VmfFingerprints) prints = vmf_fingerprints_new(PAGE, NULL);
    g_autofree uint8_t *pages = g_malloc(STAGE_PAGES * PAGE);
    uint8_t out[PAGE];
    double start = 0;
    size_t length;

    for (gsize i = 0; i < STAGE_PAGES * PAGE; i++)
        pages[i] = (uint8_t)(i * i >> 5);
    for (guint round = 0; round < 2; round++) {
        start = measure_seconds();
        for (guint i = 0; i < STAGE_PAGES; i++) {
            uint8_t *page = pages + (gsize)i * PAGE;

            page[1024]++;
            vmf_page_cache_encode(cache, i, page, out, sizeof out, &length);
            (void)vmf_fingerprints_put(prints, i, page);
        }
    }
    return (measure_seconds() - start) * 1e9 / STAGE_PAGES;
}

int
main(int argc, char **argv)
{
    g_autoptr(VmfSampler) judged = vmf_sampler_new(PAGE);
    g_autofree guint *hits = NULL;
    double ns[ROUNDS], shares[ROUNDS], sum = 0, greatest = 0;
    guint repeats, at = 0, so_far = 0;
    Trace trace;

    if (argc != 2) {
        fprintf(stderr, "usage: bench-sampler TRACE\n");
        return 2;
    }
    trace = load_trace(argv[1]);
    hits = g_new0(guint, trace.count + 1);
    repeats = exact_distances(&trace, hits);
    time_sampling(&trace, judged);
    for (guint i = 0; i < ROUNDS; i++) {
        g_autoptr(VmfSampler) sampler = vmf_sampler_new(PAGE);

        ns[i] = time_sampling(&trace, sampler);
        shares[i] = ns[i] / (ns[i] + time_stage());
    }
    for (guint i = 1; i <= SIZES; i++) {
        guint size = (guint)((guint64)trace.pages * i / SIZES);
        double difference;

        for (; at < size; at++)
            so_far += hits[at];
        difference = fabs(vmf_sampler_miss_ratio(judged, (uint64_t)size * PAGE) -
                          (1 - (double)so_far / repeats));
        sum += difference;
        greatest = MAX(greatest, difference);
    }
    measure_report("error", sum / SIZES, "ratio", repeats);
    measure_report("greatest_error", greatest, "ratio", repeats);
    measure_report("ns", measure_median(ns, ROUNDS), "ns/page", ROUNDS);
    measure_report("share_of_stage", measure_median(shares, ROUNDS), "ratio", ROUNDS);
    g_free(trace.sends);
    return EXIT_SUCCESS;
}
