/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/sums.h"

#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"
#include "link/frame.h"

#define FRAME_MAX (VMF_FRAME_HEADER_SIZE + VMF_FRAME_PAYLOAD_MAX)

struct VmfSums {
    guint64 opened; /* frames */
    uint8_t head[VMF_SUM_HEAD];
    gsize have; /* of it */
    uint32_t left;
    uint64_t expected;
    XXH3_state_t *state; /* over what is held */
    VmfSliceQueue held;
};

VmfSums *
vmf_sums_new(void)
{
    VmfSums *sums = g_new0(VmfSums, 1);

    sums->state = XXH3_createState();
    return sums;
}

void
vmf_sums_free(VmfSums *sums)
{
    vmf_slice_queue_clear(&sums->held);
    XXH3_freeState(sums->state);
    g_free(sums);
}

VmfSlice
vmf_sums_seal(const VmfSlice *frame, VmfChunkPool *pool)
{
    VmfChunk *chunk = vmf_chunk_new(pool, VMF_SUM_HEAD);
    uint64_t sum = XXH3_64bits(frame->data, frame->length);

    vmf_hash_settle();
    vmf_put_u32(chunk->data, (uint32_t)frame->length);
    vmf_put_u64(chunk->data + 4, sum);
    return (VmfSlice){chunk, chunk->data, VMF_SUM_HEAD};
}

static VmfSumsAnswer
vmf_sums_refuse(const VmfSums *sums, GError **error)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_LINK_BROKEN,
                "frame %" G_GUINT64_FORMAT " was damaged on its way: its checksum is wrong",
                sums->opened + 1);
    return VMF_SUMS_ERROR;
}

/* FALSE: there is no such frame. */
static gboolean
vmf_sums_begin(VmfSums *sums)
{
    VmfBytes head = VMF_BYTES(sums->head, VMF_SUM_HEAD);

    sums->left = vmf_bytes_get_u32(&head);
    sums->expected = vmf_bytes_get_u64(&head);
    XXH3_64bits_reset(sums->state);
    return sums->left > 0 && sums->left <= FRAME_MAX;
}

static void
vmf_sums_skip(VmfSlice *bytes, gsize n)
{
    bytes->data += n;
    bytes->length -= n;
}

static void
vmf_sums_hold(VmfSums *sums, VmfSlice *bytes)
{
    VmfSlice piece = {vmf_chunk_ref(bytes->chunk), bytes->data, MIN(bytes->length, sums->left)};

    XXH3_64bits_update(sums->state, piece.data, piece.length);
    vmf_hash_settle();
    vmf_slice_queue_push(&sums->held, piece);
    vmf_sums_skip(bytes, piece.length);
    sums->left -= (uint32_t)piece.length;
}

VmfSumsAnswer
vmf_sums_open(VmfSums *sums, VmfSlice *bytes, GError **error)
{
    gsize n = MIN(VMF_SUM_HEAD - sums->have, bytes->length);

    if (n > 0) {
        memcpy(sums->head + sums->have, bytes->data, n);
        sums->have += n;
        vmf_sums_skip(bytes, n);
        if (sums->have == VMF_SUM_HEAD && !vmf_sums_begin(sums))
            return vmf_sums_refuse(sums, error);
    }
    if (bytes->length == 0)
        return VMF_SUMS_MORE;
    vmf_sums_hold(sums, bytes);
    if (sums->left > 0)
        return VMF_SUMS_MORE;
    if (XXH3_64bits_digest(sums->state) != sums->expected)
        return vmf_sums_refuse(sums, error);
    sums->have = 0;
    sums->opened++;
    return VMF_SUMS_FRAME;
}

VmfSliceQueue *
vmf_sums_frame(VmfSums *sums)
{
    return &sums->held;
}
