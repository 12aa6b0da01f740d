/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What comes before frames: the preface and its answer, the proof of the secret, and the checksums
 * that frames have in front of them. The first byte is the size of the pieces. What was sealed here
 * opens again as it was, and not if a bit of it was changed.
 */
#include "fuzz.h"

#include <string.h>

#include "base/error.h"
#include "link/frame.h"
#include "link/preface.h"
#include "link/proof.h"
#include "link/sums.h"

#define FRAME_MAX (VMF_FRAME_HEADER_SIZE + VMF_FRAME_PAYLOAD_MAX)

static void
read_preface(const uint8_t *data, size_t length)
{
    g_autoptr(GError) error = NULL;
    uint8_t again[VMF_PREFACE_SIZE];
    VmfPreface preface;

    if (length >= VMF_ANSWER_SIZE)
        (void)vmf_answer_decode(data, NULL);
    if (length < VMF_PREFACE_SIZE || !vmf_preface_decode(data, &preface, &error))
        return;
    vmf_preface_encode(&preface, again);
    g_assert_cmpmem(again, sizeof again, data, VMF_PREFACE_SIZE);
}

/* Nobody who does not know the secret gets through. */
static void
hear_proof(gboolean initiator, const uint8_t *data, size_t length)
{
    static const uint8_t secret[VMF_TICKET_SECRET_SIZE] = {1, 2, 3};
    uint8_t out[VMF_PROOF_MAX];
    VmfProof proof;
    gboolean right;
    gsize said, wanted;

    right = vmf_proof_start(&proof, initiator, secret, out, &said, NULL);
    while (right && (wanted = vmf_proof_wants(&proof)) > 0 && length >= wanted) {
        right = vmf_proof_next(&proof, data, out, &said, NULL);
        g_assert_cmpuint(said, <=, sizeof out);
        data += wanted;
        length -= wanted;
    }
    g_assert_false(right && vmf_proof_wants(&proof) == 0);
    vmf_proof_clear(&proof);
}

/* The bytes of all frames that were right, and whether it ended without an error. */
static gboolean
open_sums(const uint8_t *data, size_t length, size_t piece, VmfChunkPool *pool, GByteArray *out)
{
    g_autoptr(VmfSums) sums = vmf_sums_new();

    for (size_t at = 0; at < length; at += piece) {
        size_t n = MIN(piece, length - at);
        g_autoptr(VmfChunk) chunk = vmf_chunk_new(pool, n);
        VmfSlice bytes = {chunk, chunk->data, n};
        VmfSumsAnswer answer;

        memcpy(chunk->data, data + at, n);
        while ((answer = vmf_sums_open(sums, &bytes, NULL)) == VMF_SUMS_FRAME) {
            VmfSliceQueue *frame = vmf_sums_frame(sums);

            g_assert_true(frame->bytes > 0 && frame->bytes <= FRAME_MAX);
            for (guint i = 0; i < frame->count; i++) {
                const VmfSlice *part = vmf_slice_queue_peek(frame, i);

                g_byte_array_append(out, part->data, (guint)part->length);
            }
            vmf_slice_queue_clear(frame);
        }
        if (answer == VMF_SUMS_ERROR)
            return FALSE;
        g_assert_cmpuint(bytes.length, ==, 0);
    }
    return TRUE;
}

static void
seal_and_open(const uint8_t *data, size_t length, size_t piece, VmfChunkPool *pool)
{
    g_autoptr(VmfChunk) chunk = vmf_chunk_new(pool, length);
    VmfSlice frame = {chunk, chunk->data, length};
    g_autoptr(GByteArray) sealed = g_byte_array_new();
    g_autoptr(GByteArray) out = g_byte_array_new();
    VmfSlice head;

    memcpy(chunk->data, data, length);
    head = vmf_sums_seal(&frame, pool);
    g_byte_array_append(sealed, head.data, (guint)head.length);
    g_byte_array_append(sealed, data, (guint)length);
    vmf_chunk_unref(head.chunk);
    g_assert_true(open_sums(sealed->data, sealed->len, piece, pool, out));
    g_assert_cmpmem(out->data, out->len, data, length);
    g_byte_array_set_size(out, 0);
    sealed->data[data[0] % sealed->len] ^= (uint8_t)(1u << (data[length - 1] % 8));
    (void)open_sums(sealed->data, sealed->len, piece, pool, out);
    g_assert_cmpuint(out->len, ==, 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    g_autoptr(VmfChunkPool) pool = vmf_chunk_pool_new();
    g_autoptr(GByteArray) out = g_byte_array_new();
    size_t piece;

    if (length < 2)
        return 0;
    piece = 1 + data[0];
    data++;
    length--;
    read_preface(data, length);
    hear_proof(TRUE, data, length);
    hear_proof(FALSE, data, length);
    (void)open_sums(data, length, piece, pool, out);
    if (length <= FRAME_MAX)
        seal_and_open(data, length, piece, pool);
    g_assert_cmpuint(vmf_chunk_pool_held(pool), ==, 0);
    return 0;
}
