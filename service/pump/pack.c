/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pump/pack.h"

#include <string.h>
#include <zstd.h>

#define TRY_LEVEL 1

struct VmfPack {
    guint window_log; /* of this lane */
    guint lane;
    VmfChunkPool *pool;
    VmfPackSink sink;
    gpointer owner;
    ZSTD_CCtx *zstd;  /* made when first needed: it takes memory */
    ZSTD_CCtx *aside; /* likewise, for vmf_pack_try() */
    uint8_t *tried;

    VmfPackWay way, next;
    gboolean begins;   /* the next batch begins a frame */
    VmfChunk *batch;   /* NULL: none was begun */
    ZSTD_outBuffer to; /* its packed bytes */
    gsize taken;       /* and those before packing */
};

guint
vmf_lane_window_log(guint lane, guint window_log)
{
    return lane == 0 ? window_log : MIN(window_log, VMF_WINDOW_LOG_NEAR);
}

VmfPack *
vmf_pack_new(guint window_log, guint lane, VmfChunkPool *pool, VmfPackSink sink, gpointer owner)
{
    VmfPack *pack = g_new0(VmfPack, 1);

    pack->window_log = vmf_lane_window_log(lane, window_log);
    pack->lane = lane;
    pack->pool = pool;
    pack->sink = sink;
    pack->owner = owner;
    pack->way.raw = pack->next.raw = TRUE;
    return pack;
}

void
vmf_pack_free(VmfPack *pack)
{
    ZSTD_freeCCtx(pack->zstd);
    ZSTD_freeCCtx(pack->aside);
    g_free(pack->tried);
    g_clear_pointer(&pack->batch, vmf_chunk_unref);
    g_free(pack);
}

void
vmf_pack_set_way(VmfPack *pack, const VmfPackWay *way)
{
    pack->next = *way;
}

/* There is no memory limit that it could fail by, and no parameter out of bounds. */
static void
vmf_pack_set(VmfPack *pack, ZSTD_cParameter parameter, int value)
{
    size_t result = ZSTD_CCtx_setParameter(pack->zstd, parameter, value);

    if (ZSTD_isError(result))
        g_error("zstd: %s", ZSTD_getErrorName(result));
}

static void
vmf_pack_begin_frame(VmfPack *pack)
{
    gboolean far = pack->way.far && pack->window_log > VMF_WINDOW_LOG_NEAR;

    if (!pack->zstd)
        pack->zstd = ZSTD_createCCtx();
    ZSTD_CCtx_reset(pack->zstd, ZSTD_reset_session_and_parameters);
    vmf_pack_set(pack, ZSTD_c_compressionLevel, pack->way.level);
    if (far || pack->window_log < VMF_WINDOW_LOG_NEAR)
        vmf_pack_set(pack, ZSTD_c_windowLog, (int)pack->window_log);
    vmf_pack_set(pack, ZSTD_c_enableLongDistanceMatching, far);
    vmf_pack_set(pack, ZSTD_c_contentSizeFlag, 0);
    pack->begins = TRUE;
}

/* Only between batches. */
static void
vmf_pack_take_way(VmfPack *pack)
{
    const VmfPackWay *now = &pack->way, *next = &pack->next;
    gboolean other = now->level != next->level || now->far != next->far || !pack->zstd;

    if (next->raw) {
        pack->way.raw = TRUE; /* and the frame can go on later */
        return;
    }
    pack->way = *next;
    if (other)
        vmf_pack_begin_frame(pack);
}

static void
vmf_pack_begin(VmfPack *pack)
{
    pack->batch = vmf_chunk_new(pack->pool, VMF_CHUNK_SIZE);
    pack->to = (ZSTD_outBuffer){
        .dst = pack->batch->data + VMF_CHUNK_HEADROOM + VMF_BATCH_HEAD,
        .size = VMF_CHUNK_SIZE - VMF_CHUNK_HEADROOM - VMF_BATCH_HEAD,
    };
    pack->taken = 0;
}

/* There is room for whatever comes of a batch, so that all is always taken. */
static void
vmf_pack_squeeze(VmfPack *pack, const uint8_t *data, gsize length, ZSTD_EndDirective what)
{
    ZSTD_inBuffer from = {.src = data, .size = length};
    size_t left = ZSTD_compressStream2(pack->zstd, &pack->to, &from, what);

    G_STATIC_ASSERT(ZSTD_COMPRESSBOUND(VMF_BATCH_MAX) + 64 <=
                    VMF_CHUNK_SIZE - VMF_CHUNK_HEADROOM - VMF_BATCH_HEAD);
    if (ZSTD_isError(left))
        g_error("zstd: %s", ZSTD_getErrorName(left));
    g_assert(from.pos == from.size && (what == ZSTD_e_continue || left == 0));
    pack->taken += length;
}

void
vmf_pack_flush(VmfPack *pack)
{
    VmfParcel parcel = {.packed = TRUE};
    VmfBatchHead head;
    VmfSlice whole;

    if (!pack->batch)
        return;
    vmf_pack_squeeze(pack, NULL, 0, ZSTD_e_flush);
    whole = (VmfSlice){pack->batch, pack->batch->data + VMF_CHUNK_HEADROOM,
                       VMF_BATCH_HEAD + pack->to.pos};
    head = (VmfBatchHead){pack->begins ? VMF_BATCH_BEGINS : VMF_BATCH_GOES_ON, pack->lane,
                          (uint32_t)pack->taken, (uint32_t)pack->to.pos};
    vmf_batch_head_encode(&head, whole.data);
    pack->begins = FALSE;
    parcel.bytes = vmf_slice_keep(&whole); /* a small one in a small piece of memory */
    g_clear_pointer(&pack->batch, vmf_chunk_unref);
    pack->sink(pack->owner, &parcel, pack->taken);
}

gsize
vmf_pack_try(VmfPack *pack, const uint8_t *data, gsize length)
{
    const gsize room = ZSTD_COMPRESSBOUND(VMF_PACK_TRY_MAX);
    size_t packed;

    g_assert(length <= VMF_PACK_TRY_MAX);
    if (!pack->aside)
        pack->aside = ZSTD_createCCtx();
    if (!pack->tried)
        pack->tried = g_malloc(room);
    packed = ZSTD_compressCCtx(pack->aside, pack->tried, room, data, length, TRY_LEVEL);
    if (ZSTD_isError(packed))
        g_error("zstd: %s", ZSTD_getErrorName(packed));
    return packed;
}

void
vmf_pack_put(VmfPack *pack, const VmfSlice *bytes)
{
    const uint8_t *data = bytes->data;
    gsize left = bytes->length;

    while (left > 0) {
        gsize n;

        if (!pack->batch)
            vmf_pack_take_way(pack);
        if (pack->way.raw) {
            VmfSlice rest = {bytes->chunk, (uint8_t *)data, left};
            VmfParcel parcel = {.bytes = vmf_slice_keep(&rest)};

            pack->sink(pack->owner, &parcel, left);
            return;
        }
        if (!pack->batch)
            vmf_pack_begin(pack);
        n = MIN(left, VMF_BATCH_MAX - pack->taken);
        vmf_pack_squeeze(pack, data, n, ZSTD_e_continue);
        data += n;
        left -= n;
        if (pack->taken == VMF_BATCH_MAX)
            vmf_pack_flush(pack);
    }
}
