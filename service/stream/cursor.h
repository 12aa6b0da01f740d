/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A position in bytes that may not be complete yet.
 *
 * Taking more than there is sets `need`: how many bytes from the start are needed at least before
 * it is worth trying again. From then on every take fails, so an item may be read in one go and
 * checked once. Inline, because a RAM page costs three of these calls.
 */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    const uint8_t *data; /* NULL only when the length is 0 and nothing will be taken */
    size_t length;
    size_t at;
    size_t need; /* 0: nothing was missing so far */
} VmfCursor;

/* `n` bytes, or NULL. */
static inline const uint8_t *
vmf_cursor_take(VmfCursor *cursor, size_t n)
{
    const uint8_t *bytes;

    if (G_UNLIKELY(cursor->need > 0 || n > cursor->length - cursor->at)) {
        if (cursor->need == 0)
            cursor->need = cursor->at + n;
        return NULL;
    }
    bytes = cursor->data + cursor->at;
    cursor->at += n;
    return bytes;
}

static inline uint8_t
vmf_cursor_u8(VmfCursor *cursor)
{
    const uint8_t *bytes = vmf_cursor_take(cursor, 1);

    return bytes ? *bytes : 0;
}

static inline uint16_t
vmf_cursor_u16(VmfCursor *cursor)
{
    const uint8_t *bytes = vmf_cursor_take(cursor, sizeof(uint16_t));
    uint16_t value = 0;

    if (bytes)
        memcpy(&value, bytes, sizeof value);
    return GUINT16_FROM_BE(value);
}

static inline uint32_t
vmf_cursor_u32(VmfCursor *cursor)
{
    const uint8_t *bytes = vmf_cursor_take(cursor, sizeof(uint32_t));
    uint32_t value = 0;

    if (bytes)
        memcpy(&value, bytes, sizeof value);
    return GUINT32_FROM_BE(value);
}

static inline uint64_t
vmf_cursor_u64(VmfCursor *cursor)
{
    const uint8_t *bytes = vmf_cursor_take(cursor, sizeof(uint64_t));
    uint64_t value = 0;

    if (bytes)
        memcpy(&value, bytes, sizeof value);
    return GUINT64_FROM_BE(value);
}
