/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pump/unpack.h"

#include <string.h>
#include <zstd.h>

#include "base/error.h"
#include "pump/prover.h"

struct VmfUnpack {
    VmfUnpackSetup setup;
    VmfChunkPool *pool;
    ZSTD_DCtx *zstd[VMF_LANES_MAX]; /* made when first needed */
    GQueue parcels;                 /* VmfParcel, as they were put */

    uint8_t head[VMF_BATCH_HEAD];
    gsize head_have;
    VmfBatchHead batch;
    uint32_t in_left, out_left; /* of the batch: still to come; 0: none is open */
    gsize used;                 /* taken in since the last bytes were given */

    uint8_t proof[VMF_BATCH_PROOF_SIZE];
    VmfProver *given; /* all that was; NULL: nothing is proved */
};

VmfUnpack *
vmf_unpack_new(const VmfUnpackSetup *setup, VmfChunkPool *pool)
{
    VmfUnpack *unpack = g_new0(VmfUnpack, 1);

    unpack->setup = *setup;
    unpack->setup.lanes = CLAMP(setup->lanes, 1, VMF_LANES_MAX);
    unpack->pool = pool;
    g_queue_init(&unpack->parcels);
    if (setup->proves)
        unpack->given = vmf_prover_new();
    return unpack;
}

static void
vmf_unpack_drop(gpointer data)
{
    VmfParcel *parcel = data;

    vmf_chunk_unref(parcel->bytes.chunk);
    g_free(parcel);
}

void
vmf_unpack_free(VmfUnpack *unpack)
{
    g_queue_clear_full(&unpack->parcels, vmf_unpack_drop);
    for (guint i = 0; i < VMF_LANES_MAX; i++)
        ZSTD_freeDCtx(unpack->zstd[i]);
    g_clear_pointer(&unpack->given, vmf_prover_free);
    g_free(unpack);
}

void
vmf_unpack_put(VmfUnpack *unpack, const VmfSlice *bytes, gboolean packed)
{
    VmfParcel parcel = {.bytes = vmf_slice_keep(bytes), .packed = packed};

    g_queue_push_tail(&unpack->parcels, g_memdup2(&parcel, sizeof parcel));
}

static gboolean
vmf_unpack_fail(GError **error, const char *what)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "packed bytes of the other side: %s", what);
    return FALSE;
}

static gboolean
vmf_unpack_is_inside(const VmfUnpack *unpack)
{
    return unpack->in_left > 0 || unpack->out_left > 0 || unpack->head_have > 0;
}

gboolean
vmf_unpack_is_empty(const VmfUnpack *unpack)
{
    return g_queue_is_empty((GQueue *)&unpack->parcels) && !vmf_unpack_is_inside(unpack) &&
           unpack->used == 0;
}

gboolean
vmf_unpack_end(const VmfUnpack *unpack, GError **error)
{
    return !vmf_unpack_is_inside(unpack) || vmf_unpack_fail(error, "they end inside a batch");
}

static gboolean
vmf_unpack_begin_frame(VmfUnpack *unpack, guint lane, GError **error)
{
    guint window_log = vmf_lane_window_log(lane, unpack->setup.window_log);
    ZSTD_DCtx **zstd = &unpack->zstd[lane];
    size_t result;

    if (!*zstd)
        *zstd = ZSTD_createDCtx();
    ZSTD_DCtx_reset(*zstd, ZSTD_reset_session_only);
    result = ZSTD_DCtx_setParameter(*zstd, ZSTD_d_windowLogMax, (int)window_log);
    return !ZSTD_isError(result) || vmf_unpack_fail(error, ZSTD_getErrorName(result));
}

/* Moves on in the first parcel. */
static void
vmf_unpack_used(VmfUnpack *unpack, gsize n)
{
    VmfParcel *parcel = g_queue_peek_head(&unpack->parcels);

    parcel->bytes.data += n;
    parcel->bytes.length -= n;
    unpack->used += n;
    if (parcel->bytes.length == 0)
        vmf_unpack_drop(g_queue_pop_head(&unpack->parcels));
}

static gboolean
vmf_unpack_head(VmfUnpack *unpack, const VmfParcel *parcel, GError **error)
{
    gsize n = MIN(parcel->bytes.length, VMF_BATCH_HEAD - unpack->head_have);

    memcpy(unpack->head + unpack->head_have, parcel->bytes.data, n);
    unpack->head_have += n;
    vmf_unpack_used(unpack, n);
    if (unpack->head_have < VMF_BATCH_HEAD)
        return TRUE;
    unpack->head_have = 0;
    if (unpack->setup.window_log == 0)
        return vmf_unpack_fail(error, "none were agreed on");
    if (!vmf_batch_head_decode(unpack->head, unpack->setup.lanes, &unpack->batch, error))
        return FALSE;
    unpack->in_left = unpack->batch.packed;
    unpack->out_left = unpack->batch.length;
    if (unpack->batch.kind == VMF_BATCH_PROOF)
        return unpack->given || vmf_unpack_fail(error, "a proof; none was agreed on");
    if (unpack->batch.kind == VMF_BATCH_BEGINS)
        return vmf_unpack_begin_frame(unpack, unpack->batch.lane, error);
    return unpack->zstd[unpack->batch.lane] ||
           vmf_unpack_fail(error, "they go on with nothing begun");
}

void
vmf_unpack_pass(VmfUnpack *unpack, const VmfSlice *bytes)
{
    if (unpack->given)
        vmf_prover_add(unpack->given, bytes->data, bytes->length);
}

/* A proof, which may be cut anywhere, is held against what was given. */
static gboolean
vmf_unpack_prove(VmfUnpack *unpack, const VmfParcel *parcel, GError **error)
{
    gsize n = MIN(parcel->bytes.length, unpack->in_left);
    VmfProofOfBytes proof, given;

    memcpy(unpack->proof + (VMF_BATCH_PROOF_SIZE - unpack->in_left), parcel->bytes.data, n);
    unpack->in_left -= (uint32_t)n;
    vmf_unpack_used(unpack, n);
    if (unpack->in_left > 0)
        return TRUE;
    vmf_batch_proof_decode(unpack->proof, &proof);
    vmf_prover_get(unpack->given, &given);
    if (proof.bytes == given.bytes && memcmp(proof.hash, given.hash, sizeof proof.hash) == 0)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_FAILED,
                "what the destination's QEMU was given is not what went in at the source "
                "(%" G_GUINT64_FORMAT " bytes of %" G_GUINT64_FORMAT
                "): one of the hosts damages memory; the guest was not let go on there",
                (guint64)given.bytes, (guint64)proof.bytes);
    return FALSE;
}

/* Bytes of the open batch: up to all that it said, and not one more. */
static gboolean
vmf_unpack_body(VmfUnpack *unpack, const VmfParcel *parcel, VmfSlice *ret, GError **error)
{
    g_autoptr(VmfChunk) chunk = vmf_chunk_new(unpack->pool, VMF_CHUNK_SIZE);
    ZSTD_inBuffer from = {parcel->bytes.data, MIN(parcel->bytes.length, unpack->in_left), 0};
    /* room for one more byte, by which a batch that lies about its length is known */
    ZSTD_outBuffer to = {chunk->data + VMF_CHUNK_HEADROOM, unpack->out_left + 1, 0};
    ZSTD_DCtx *zstd = unpack->zstd[unpack->batch.lane];
    size_t result = 0;

    do
        result = ZSTD_decompressStream(zstd, &to, &from);
    while (!ZSTD_isError(result) && from.pos < from.size && to.pos < to.size);
    if (ZSTD_isError(result))
        return vmf_unpack_fail(error, ZSTD_getErrorName(result));
    if (to.pos > unpack->out_left)
        return vmf_unpack_fail(error, "a batch unpacks to more bytes than it said: a bomb");
    unpack->in_left -= (uint32_t)from.pos;
    unpack->out_left -= (uint32_t)to.pos;
    vmf_unpack_used(unpack, from.pos);
    if (unpack->in_left == 0 && unpack->out_left > 0)
        return vmf_unpack_fail(error, "a batch unpacks to fewer bytes than it said");
    if (to.pos > 0) {
        VmfSlice whole = {chunk, to.dst, to.pos};

        *ret = vmf_slice_keep(&whole);
    }
    return TRUE;
}

static gboolean
vmf_unpack_step(VmfUnpack *unpack, VmfSlice *ret, GError **error)
{
    VmfParcel *parcel = g_queue_peek_head(&unpack->parcels);

    if (parcel->packed && unpack->in_left > 0 && unpack->batch.kind == VMF_BATCH_PROOF)
        return vmf_unpack_prove(unpack, parcel, error);
    if (parcel->packed && unpack->in_left > 0)
        return vmf_unpack_body(unpack, parcel, ret, error);
    if (parcel->packed)
        return vmf_unpack_head(unpack, parcel, error);
    if (vmf_unpack_is_inside(unpack))
        return vmf_unpack_fail(error, "a batch is cut by bytes that are not packed");
    *ret = parcel->bytes;
    unpack->used += ret->length;
    g_free(g_queue_pop_head(&unpack->parcels));
    return TRUE;
}

VmfUnpackAnswer
vmf_unpack_take(VmfUnpack *unpack, VmfSlice *ret, gsize *ret_used, GError **error)
{
    ret->chunk = NULL;
    while (!ret->chunk && !g_queue_is_empty(&unpack->parcels))
        if (!vmf_unpack_step(unpack, ret, error))
            return VMF_UNPACK_ERROR;
    if (!ret->chunk)
        return VMF_UNPACK_MORE;
    vmf_unpack_pass(unpack, ret);
    *ret_used = unpack->used;
    unpack->used = 0;
    return VMF_UNPACK_BYTES;
}
