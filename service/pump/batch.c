/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pump/batch.h"

#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "link/chunk.h"

void
vmf_batch_proof_encode(const VmfProofOfBytes *proof, uint8_t out[VMF_BATCH_PROOF_SIZE])
{
    vmf_put_u64(out, proof->bytes);
    memcpy(out + 8, proof->hash, sizeof proof->hash);
}

void
vmf_batch_proof_decode(const uint8_t in[VMF_BATCH_PROOF_SIZE], VmfProofOfBytes *ret)
{
    VmfBytes bytes = VMF_BYTES(in, VMF_BATCH_PROOF_SIZE);

    ret->bytes = vmf_bytes_get_u64(&bytes);
    memcpy(ret->hash, in + 8, sizeof ret->hash);
}

void
vmf_batch_head_encode(const VmfBatchHead *head, uint8_t out[VMF_BATCH_HEAD])
{
    vmf_put_u32(out, (uint32_t)head->kind << 24 | head->lane << 16);
    vmf_put_u32(out + 4, head->length);
    vmf_put_u32(out + 8, head->packed);
}

gboolean
vmf_batch_head_decode(const uint8_t in[VMF_BATCH_HEAD], guint lanes, VmfBatchHead *ret,
                      GError **error)
{
    VmfBytes bytes = VMF_BYTES(in, VMF_BATCH_HEAD);
    uint32_t kind = vmf_bytes_get_u32(&bytes);
    gboolean right;

    ret->kind = (VmfBatchKind)(kind >> 24);
    ret->lane = kind >> 16 & 0xff;
    ret->length = vmf_bytes_get_u32(&bytes);
    ret->packed = vmf_bytes_get_u32(&bytes);
    if (ret->kind == VMF_BATCH_PROOF)
        right = ret->lane == 0 && ret->length == 0 && ret->packed == VMF_BATCH_PROOF_SIZE;
    else
        right = (ret->kind == VMF_BATCH_GOES_ON || ret->kind == VMF_BATCH_BEGINS) &&
                ret->length > 0 && ret->length <= VMF_BATCH_MAX && ret->packed > 0 &&
                ret->packed <= VMF_CHUNK_SIZE && ret->lane < lanes;
    if (right && (kind & 0xffff) == 0)
        return TRUE;
    g_set_error(
        error, VMF_ERROR, VMF_ERROR_PROTOCOL,
        "a packed batch with the head 0x%08x, %u bytes of %u; expected kind %d or %d in a lane "
        "below %u with 1 to %d bytes, packed into 1 to %d, or kind %d with none and %d",
        kind, ret->packed, ret->length, VMF_BATCH_GOES_ON, VMF_BATCH_BEGINS, lanes, VMF_BATCH_MAX,
        VMF_CHUNK_SIZE, VMF_BATCH_PROOF, VMF_BATCH_PROOF_SIZE);
    return FALSE;
}
