/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Big-endian integers in byte strings, and a reader that cannot run over its end.
 *
 * A VmfBytes is a view: it borrows the data. Every vmf_bytes_get_*() that would pass the end
 * returns 0 (or NULL) and sets `failed`; once set it stays set, so a whole header may be read and
 * checked once. Threads: none shared; a view belongs to its caller.
 */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    const uint8_t *data;
    size_t length;
    size_t position;
    gboolean failed;
} VmfBytes;

#define VMF_BYTES(d, n) ((VmfBytes){.data = (d), .length = (n)})

uint8_t vmf_bytes_get_u8(VmfBytes *bytes);
uint16_t vmf_bytes_get_u16(VmfBytes *bytes);
uint32_t vmf_bytes_get_u32(VmfBytes *bytes);
uint64_t vmf_bytes_get_u64(VmfBytes *bytes);

/* `n` bytes inside the view, or NULL. */
const uint8_t *vmf_bytes_get_data(VmfBytes *bytes, size_t n);

static inline void
vmf_put_u16(uint8_t *to, uint16_t value)
{
    value = GUINT16_TO_BE(value);
    memcpy(to, &value, sizeof value);
}

static inline void
vmf_put_u32(uint8_t *to, uint32_t value)
{
    value = GUINT32_TO_BE(value);
    memcpy(to, &value, sizeof value);
}

static inline void
vmf_put_u64(uint8_t *to, uint64_t value)
{
    value = GUINT64_TO_BE(value);
    memcpy(to, &value, sizeof value);
}
