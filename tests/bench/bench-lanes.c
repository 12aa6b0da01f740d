/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packing in several lanes side by side: what tests/bench/lanes runs, one figure a line.
 *
 *   bench-lanes FILE MIB RUNS
 *
 *   lanes.rate.L.N   MiB/s of the file's bytes, over and over, at level L in N lanes; the median
 *   lanes.ratio.L.N  what they are packed to, by what it is in one lane
 *   lanes.unpack.L   MiB/s of taking apart what level L packed in one lane
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "pump/packer.h"
#include "pump/unpack.h"

#define MIB 1048576.0
#define WINDOW_LOG VMF_WINDOW_LOG_NEAR /* no lane looks further, so that all do the same work */
#define MOST 4
#define RUNS_MOST 99

typedef struct {
    VmfChunkPool *pool;
    GPtrArray *pieces; /* of VmfSlice */
    gsize bytes;       /* to be packed in a run */
} Input;

typedef struct {
    double seconds, unpack_seconds;
    VmfPackerFigures figures;
} Result;

static void
read_input(Input *input, const char *path, gsize mib)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *bytes = NULL;
    gsize length = 0;

    if (!g_file_get_contents(path, &bytes, &length, &error)) {
        fprintf(stderr, "bench-lanes: %s\n", error->message);
        exit(1);
    }
    input->pool = vmf_chunk_pool_new();
    input->pieces = g_ptr_array_new();
    input->bytes = mib << 20;
    for (gsize at = 0; at + VMF_BATCH_MAX <= length; at += VMF_BATCH_MAX) {
        VmfChunk *chunk = vmf_chunk_new(input->pool, VMF_BATCH_MAX);
        VmfSlice slice = {chunk, chunk->data, VMF_BATCH_MAX};

        memcpy(chunk->data, bytes + at, VMF_BATCH_MAX);
        g_ptr_array_add(input->pieces, g_memdup2(&slice, sizeof slice));
    }
}

typedef struct {
    const Input *input;
    VmfDuct *in;
} Feeder;

static gpointer
feed(gpointer data)
{
    Feeder *feeder = data;
    const GPtrArray *pieces = feeder->input->pieces;

    for (gsize done = 0, i = 0; done < feeder->input->bytes; done += VMF_BATCH_MAX, i++) {
        VmfParcel parcel = {.bytes = *(VmfSlice *)pieces->pdata[i % pieces->len]};

        vmf_chunk_ref(parcel.bytes.chunk);
        (void)vmf_duct_push(feeder->in, &parcel);
    }
    vmf_duct_end(feeder->in);
    return NULL;
}

static void
unpack_all(VmfUnpack *unpack, GPtrArray *parcels)
{
    for (guint i = 0; i < parcels->len; i++) {
        VmfParcel *parcel = parcels->pdata[i];
        VmfSlice bytes;
        gsize used;

        vmf_unpack_put(unpack, &parcel->bytes, parcel->packed);
        vmf_chunk_unref(parcel->bytes.chunk);
        while (vmf_unpack_take(unpack, &bytes, &used, NULL) == VMF_UNPACK_BYTES)
            vmf_chunk_unref(bytes.chunk);
    }
}

static Result
run(const Input *input, int level, guint lanes)
{
    const VmfPackerSetup setup = {.window_log = WINDOW_LOG, .lanes = lanes};
    const VmfUnpackSetup unpack_setup = {.window_log = WINDOW_LOG, .lanes = lanes};
    g_autoptr(GPtrArray) parcels = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(VmfUnpack) unpack = vmf_unpack_new(&unpack_setup, input->pool);
    Feeder feeder = {input, vmf_duct_new(2 << 20, NULL, NULL)};
    VmfDuct *out = vmf_duct_new(1 << 20, NULL, NULL);
    VmfPacker *packer = vmf_packer_new(&setup, 0, feeder.in, out, input->pool, NULL, NULL);
    gint64 begin = g_get_monotonic_time();
    GThread *thread;
    Result result;
    VmfParcel parcel;

    vmf_packer_set(packer, level);
    thread = g_thread_new("feed", feed, &feeder);
    while (vmf_duct_pop(out, TRUE, &parcel) == VMF_DUCT_PARCEL)
        g_ptr_array_add(parcels, g_memdup2(&parcel, sizeof parcel));
    result.seconds = (double)(g_get_monotonic_time() - begin) / G_USEC_PER_SEC;
    g_thread_join(thread);
    vmf_packer_get_figures(packer, &result.figures);
    vmf_packer_free(packer);
    vmf_duct_free(feeder.in);
    vmf_duct_free(out);
    begin = g_get_monotonic_time();
    unpack_all(unpack, parcels);
    result.unpack_seconds = (double)(g_get_monotonic_time() - begin) / G_USEC_PER_SEC;
    return result;
}

/* In turns, so that what else the machine does hits all alike. */
static void
measure_level(const Input *input, int level, guint runs)
{
    double rate[MOST + 1][RUNS_MOST], unpack[RUNS_MOST], packed[MOST + 1] = {0};
    double mib = (double)input->bytes / MIB;

    for (guint i = 0; i < runs; i++)
        for (guint lanes = 1; lanes <= MOST; lanes *= 2) {
            Result result = run(input, level, lanes);

            rate[lanes][i] = mib / result.seconds;
            packed[lanes] += (double)result.figures.out;
            if (lanes == 1)
                unpack[i] = mib / result.unpack_seconds;
        }
    for (guint lanes = 1; lanes <= MOST; lanes *= 2) {
        printf("lanes.rate.%d.%u %.0f MiB/s %u\n", level, lanes, measure_median(rate[lanes], runs),
               runs);
        printf("lanes.ratio.%d.%u %.4f ratio %u\n", level, lanes, packed[lanes] / packed[1], runs);
    }
    printf("lanes.unpack.%d %.0f MiB/s %u\n", level, measure_median(unpack, runs), runs);
}

int
main(int argc, char **argv)
{
    Input input;
    guint runs = argc == 4 ? (guint)atoi(argv[3]) : 0;

    if (runs < 1 || runs > RUNS_MOST) {
        fprintf(stderr, "usage: bench-lanes FILE MIB RUNS\n");
        return 2;
    }
    read_input(&input, argv[1], (gsize)atoi(argv[2]));
    measure_level(&input, 1, runs);
    measure_level(&input, 3, runs);
    return 0;
}
