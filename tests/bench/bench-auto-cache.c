/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench-auto-cache [TRACE...]: how good the size is that the policy reads off the sampler's curve,
 * with the real page cache. For each kind of guest of the simulator, or each recorded trace
 * (tests/bench/record-traces), one line: name, bytes on the wire from the third pass on by those
 * with the best of a fine sweep of sizes, and the size chosen by the smallest with which at most
 * 5 % more than the best are sent.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "delta/page-cache.h"
#include "delta/sampler.h"
#include "policy/curve.h"
#include "sim.h"

#define PAGE 64u       /* bytes: what is in a page does not matter */
#define DELTA 0.1      /* bytes of a delta by those of a whole page */
#define SWEEP 64       /* sizes */
#define SWEEP_STEP 1.1 /* from one to the next */
#define PASSES 12
#define KNOWN_FROM 2  /* passes after which the curve is of use */
#define SPREAD 7919   /* no divisor of the guest's pages */
#define PASS_TIME 1.5 /* s */
#define BEST_SLACK 1.05

typedef struct {
    GArray *sends; /* guint: pages in the order they are sent */
    guint8 *dirty;
    guint pages; /* of the guest */
} Trace;

/* A working set lies anywhere, and not where the first pass begins. */
static void
note_write(guint page, gpointer data)
{
    Trace *trace = data;

    trace->dirty[page * SPREAD % trace->pages] = 1;
}

/* All of the guest, then what was written during each pass, ascending. */
static void
simulate(VmfSimGuestKind kind, Trace *trace)
{
    const VmfSimGuest guest = {.kind = kind,
                               .pages = 16384,
                               .set = kind == VMF_SIM_IDLE ? 400 : 6000,
                               .pace = kind == VMF_SIM_IDLE ? 100 : 8000,
                               .period = 4,
                               .zero = 0.1};
    VmfSimWriter writer;

    trace->pages = guest.pages;
    trace->dirty = g_malloc(guest.pages);
    memset(trace->dirty, 1, guest.pages);
    vmf_sim_writer_init(&writer, &guest, 42);
    for (guint pass = 0; pass < PASSES; pass++) {
        for (guint page = 0; page < guest.pages; page++)
            if (trace->dirty[page])
                g_array_append_val(trace->sends, page);
        memset(trace->dirty, 0, guest.pages);
        vmf_sim_writer_run(&writer, PASS_TIME, note_write, trace);
    }
    g_free(trace->dirty);
}

static void
load(const char *path, Trace *trace)
{
    g_autofree char *bytes = NULL;
    g_autoptr(GError) error = NULL;
    gsize length;
    VmfBytes reader;

    if (!g_file_get_contents(path, &bytes, &length, &error))
        g_error("%s", error->message);
    reader = VMF_BYTES((uint8_t *)bytes, length);
    while (reader.position < reader.length) {
        guint page = vmf_bytes_get_u32(&reader);

        g_array_append_val(trace->sends, page);
        trace->pages = MAX(trace->pages, (page & 0xffffff) + 1);
    }
}

static uint64_t
key_of(guint page)
{
    return vmf_page_key(page >> 24, page & 0xffffff);
}

/* A pass goes upwards through the guest's memory. */
static gboolean
begins_pass(const Trace *trace, guint at)
{
    guint page = g_array_index(trace->sends, guint, at) & 0xffffff;
    guint before = at ? g_array_index(trace->sends, guint, at - 1) & 0xffffff : 0;

    return before > page && before - page > trace->pages / 4;
}

/* The curve as bytes on the wire of pages that came again, a whole page being 1. */
static void
read_curve(const VmfSampler *sampler, VmfReuse *curve)
{
    VmfSamplerPoint points[VMF_CURVE_MAX];
    double repeats = (double)vmf_sampler_repeats(sampler);

    curve->n = vmf_sampler_curve(sampler, points, VMF_CURVE_MAX);
    for (guint i = 0; i < curve->n; i++) {
        curve->size[i] = points[i].bytes;
        curve->wire[i] = repeats * (points[i].miss_ratio + (1 - points[i].miss_ratio) * DELTA);
    }
}

/* What came again from the third pass on: the first one says nothing of those to come. */
static void
sample(const Trace *trace, VmfReuse *curve)
{
    g_autoptr(VmfSampler) sampler = vmf_sampler_new(PAGE);
    VmfReuse before = {0};
    VmfReuse now;
    guint passes = 0;

    for (guint i = 0; i < trace->sends->len; i++) {
        passes += begins_pass(trace, i);
        if (passes == KNOWN_FROM && before.n == 0)
            read_curve(sampler, &before);
        vmf_sampler_put(sampler, key_of(g_array_index(trace->sends, guint, i)));
    }
    read_curve(sampler, &now);
    vmf_reuse_since(&now, &before, curve);
}

/* Bytes, a whole page being 1, from the third pass on: before, nobody knows what comes again. */
static double
send_all(const Trace *trace, guint64 size)
{
    g_autoptr(VmfPageCache) cache = vmf_page_cache_new(PAGE, size);
    uint8_t page[PAGE] = {1}, out[PAGE];
    VmfPageCacheFigures before = {0};
    VmfPageCacheFigures figures;
    guint passes = 0;
    guint from = 0;
    size_t length;

    for (guint i = 0; i < trace->sends->len; i++) {
        passes += begins_pass(trace, i);
        if (passes == KNOWN_FROM && from == 0) {
            from = i;
            vmf_page_cache_figures(cache, &before);
        }
        page[1]++; /* one byte changes each time */
        vmf_page_cache_encode(cache, key_of(g_array_index(trace->sends, guint, i)), page, out,
                              sizeof out, &length);
    }
    vmf_page_cache_figures(cache, &figures);
    return (double)(trace->sends->len - from) - (double)(figures.hits - before.hits) * (1 - DELTA);
}

static void
judge(const char *name, const Trace *trace)
{
    VmfReuse curve;
    double wire[SWEEP + 1];
    double best = trace->sends->len;
    guint64 most = (guint64)trace->pages * PAGE;
    guint64 sizes[SWEEP + 1];
    guint64 chosen;
    guint smallest = 0;

    sample(trace, &curve);
    chosen = vmf_reuse_recommend(&curve, most);
    for (guint i = 0; i <= SWEEP; i++) {
        sizes[i] = (guint64)((double)most * pow(SWEEP_STEP, (double)i - SWEEP));
        wire[i] = send_all(trace, sizes[i]);
        best = MIN(best, wire[i]);
    }
    while (wire[smallest] > best * BEST_SLACK)
        smallest++;
    if (g_getenv("VERBOSE"))
        for (guint i = 0; i < curve.n; i++)
            printf("# %s %" G_GUINT64_FORMAT " %.0f\n", name, curve.size[i] / PAGE, curve.wire[i]);
    printf("%s %.4f %.4f\n", name, send_all(trace, chosen) / best,
           (double)chosen / (double)sizes[smallest]);
}

int
main(int argc, char **argv)
{
    for (int i = 1; i < argc || (argc == 1 && i <= VMF_SIM_SAWTOOTH + 1); i++) {
        Trace trace = {g_array_new(FALSE, FALSE, sizeof(guint)), NULL, 0};
        g_autofree char *name = NULL;

        if (argc > 1) {
            name = g_path_get_basename(argv[i]);
            load(argv[i], &trace);
        } else {
            name = g_strdup(vmf_sim_guest_name((VmfSimGuestKind)(i - 1)));
            simulate((VmfSimGuestKind)(i - 1), &trace);
        }
        judge(name, &trace);
        g_array_unref(trace.sends);
    }
    return EXIT_SUCCESS;
}
