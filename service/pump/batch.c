/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pump/batch.h"

#include "base/bytes.h"
#include "base/error.h"

#define GOES_ON 1
#define BEGINS 2

void
vmf_batch_head_encode(const VmfBatchHead *head, uint8_t out[VMF_BATCH_HEAD])
{
    vmf_put_u32(out, (uint32_t)(head->begins ? BEGINS : GOES_ON) << 24);
    vmf_put_u32(out + 4, head->length);
    vmf_put_u32(out + 8, head->packed);
}

gboolean
vmf_batch_head_decode(const uint8_t in[VMF_BATCH_HEAD], VmfBatchHead *ret, GError **error)
{
    VmfBytes bytes = VMF_BYTES(in, VMF_BATCH_HEAD);
    uint32_t kind = vmf_bytes_get_u32(&bytes);

    ret->begins = kind == (uint32_t)BEGINS << 24;
    ret->length = vmf_bytes_get_u32(&bytes);
    ret->packed = vmf_bytes_get_u32(&bytes);
    if ((ret->begins || kind == (uint32_t)GOES_ON << 24) && ret->length > 0 &&
        ret->length <= VMF_BATCH_MAX && ret->packed > 0 && ret->packed <= VMF_CHUNK_SIZE)
        return TRUE;
    g_set_error(
        error, VMF_ERROR, VMF_ERROR_PROTOCOL,
        "a packed batch with the head 0x%08x, %u bytes of %u; expected kind %d or %d with 1 "
        "to %d bytes, packed into 1 to %d",
        kind, ret->packed, ret->length, GOES_ON, BEGINS, VMF_BATCH_MAX, VMF_CHUNK_SIZE);
    return FALSE;
}
