/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Unpacking what another host sent, and packing. With an odd first byte the input is what came, as
 * pieces { packed or not, length, bytes }: it must be taken or refused, and never unpack to more at
 * a time than a batch. Otherwise it is packed in changing ways and lanes, and must come out as it
 * was.
 */
#include "fuzz.h"

#include <string.h>

#include "pump/prover.h"
#include "pump/unpack.h"

#define LANES 3

typedef struct {
    VmfChunkPool *pool;
    VmfUnpack *unpack;
    GByteArray *out;
    gsize used;
} Run;

static VmfSlice
slice_of(VmfChunkPool *pool, const uint8_t *data, gsize length)
{
    VmfChunk *chunk = vmf_chunk_new(pool, VMF_CHUNK_HEADROOM + length);
    VmfSlice slice = {chunk, chunk->data + VMF_CHUNK_HEADROOM, length};

    memcpy(slice.data, data, length);
    return slice;
}

/* FALSE: refused. */
static gboolean
drain(Run *run)
{
    g_autoptr(GError) error = NULL;
    VmfUnpackAnswer answer;
    VmfSlice bytes;
    gsize used = 0;

    while ((answer = vmf_unpack_take(run->unpack, &bytes, &used, &error)) == VMF_UNPACK_BYTES) {
        g_assert_true(bytes.length > 0 && bytes.length <= VMF_CHUNK_SIZE);
        run->used += used;
        if (run->out)
            g_byte_array_append(run->out, bytes.data, (guint)bytes.length);
        vmf_chunk_unref(bytes.chunk);
    }
    g_assert_true((answer == VMF_UNPACK_ERROR) == (error != NULL));
    return answer != VMF_UNPACK_ERROR;
}

static void
read_foreign(Run *run, const uint8_t *data, size_t length)
{
    gsize put = 0;

    while (length >= 3) {
        gsize n = MIN((gsize)data[1] << 8 | data[2], length - 3);
        VmfSlice slice = slice_of(run->pool, data + 3, n);

        if (n > 0)
            vmf_unpack_put(run->unpack, &slice, data[0] & 1);
        vmf_chunk_unref(slice.chunk);
        put += n;
        data += 3 + n;
        length -= 3 + n;
        if (!drain(run))
            return;
        g_assert_cmpuint(run->used, <=, put);
    }
    (void)vmf_unpack_end(run->unpack, NULL);
}

static void
on_packed(gpointer owner, const VmfParcel *parcel, gsize taken)
{
    Run *run = owner;

    vmf_unpack_put(run->unpack, &parcel->bytes, parcel->packed);
    vmf_chunk_unref(parcel->bytes.chunk);
    g_assert_true(drain(run));
}

static void
there_and_back(Run *run, const uint8_t *data, size_t length)
{
    VmfProver *prover = vmf_prover_new();
    VmfPack *packs[LANES];
    guint before = 0, now;

    for (guint i = 0; i < LANES; i++)
        packs[i] = vmf_pack_new(VMF_WINDOW_LOG_MIN, i, run->pool, on_packed, run);
    run->out = g_byte_array_new();
    for (size_t at = 0; at < length;) {
        size_t n = MIN(1 + (size_t)data[at] * 37, length - at);
        const VmfPackWay way = {
            .raw = data[at] % 3 == 0, .level = data[at] % 4, .far = data[at] % 2};
        VmfSlice slice = slice_of(run->pool, data + at, n);

        now = data[at] / 16 % LANES;
        if (now != before)
            vmf_pack_flush(packs[before]);
        before = now;
        vmf_pack_set_way(packs[now], &way);
        vmf_pack_put(packs[now], &slice);
        vmf_prover_add(prover, slice.data, slice.length);
        vmf_chunk_unref(slice.chunk);
        if (data[at] & 0x60)
            vmf_pack_flush(packs[now]);
        if (data[at] & 0x20) {
            VmfParcel proof = vmf_prover_make_parcel(prover, run->pool);

            on_packed(run, &proof, 0);
        }
        at += n;
    }
    vmf_pack_flush(packs[before]);
    for (guint i = 0; i < LANES; i++)
        vmf_pack_free(packs[i]);
    vmf_prover_free(prover);
    g_assert_true(vmf_unpack_end(run->unpack, NULL));
    g_assert_cmpmem(run->out->data, run->out->len, data, length);
    g_byte_array_unref(run->out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    const VmfUnpackSetup setup = {.window_log = VMF_WINDOW_LOG_MIN, .lanes = LANES, .proves = TRUE};
    Run run = {.pool = vmf_chunk_pool_new()};

    if (length < 2) {
        vmf_chunk_pool_free(run.pool);
        return 0;
    }
    run.unpack = vmf_unpack_new(&setup, run.pool);
    if (data[0] & 1)
        read_foreign(&run, data + 1, length - 1);
    else
        there_and_back(&run, data + 1, length - 1);
    vmf_unpack_free(run.unpack);
    g_assert_cmpuint(vmf_chunk_pool_held(run.pool), ==, 0);
    vmf_chunk_pool_free(run.pool);
    return 0;
}
