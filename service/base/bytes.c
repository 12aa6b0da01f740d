/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/bytes.h"

const uint8_t *
vmf_bytes_get_data(VmfBytes *bytes, size_t n)
{
    const uint8_t *data = bytes->data + bytes->position;

    if (bytes->failed || bytes->length - bytes->position < n) {
        bytes->failed = TRUE;
        return NULL;
    }
    bytes->position += n;
    return data;
}

uint8_t
vmf_bytes_get_u8(VmfBytes *bytes)
{
    const uint8_t *data = vmf_bytes_get_data(bytes, 1);

    return data ? *data : 0;
}

uint16_t
vmf_bytes_get_u16(VmfBytes *bytes)
{
    const uint8_t *data = vmf_bytes_get_data(bytes, 2);
    uint16_t value = 0;

    if (data)
        memcpy(&value, data, sizeof value);
    return GUINT16_FROM_BE(value);
}

uint32_t
vmf_bytes_get_u32(VmfBytes *bytes)
{
    const uint8_t *data = vmf_bytes_get_data(bytes, 4);
    uint32_t value = 0;

    if (data)
        memcpy(&value, data, sizeof value);
    return GUINT32_FROM_BE(value);
}

uint64_t
vmf_bytes_get_u64(VmfBytes *bytes)
{
    const uint8_t *data = vmf_bytes_get_data(bytes, 8);
    uint64_t value = 0;

    if (data)
        memcpy(&value, data, sizeof value);
    return GUINT64_FROM_BE(value);
}
