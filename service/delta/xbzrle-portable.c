/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>
#include <stdint.h>
#include <string.h>

#define CHUNK 16
#define LOW_BITS G_GUINT64_CONSTANT(0x7f7f7f7f7f7f7f7f)

static inline uint64_t
word_at(const uint8_t *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof word);
    return GUINT64_FROM_LE(word);
}

/* Bit i: byte i of a word is not 0. */
static inline uint64_t
bytes_set(uint64_t word)
{
    uint64_t top = (((word & LOW_BITS) + LOW_BITS) | word) & ~LOW_BITS;

    return (top >> 7) * G_GUINT64_CONSTANT(0x0102040810204080) >> 56;
}

static inline uint64_t
differing(const uint8_t *old, const uint8_t *page)
{
    uint64_t words[8], any = 0, mask = 0;

    for (guint i = 0; i < 8; i++) {
        words[i] = word_at(old + 8 * i) ^ word_at(page + 8 * i);
        any |= words[i];
    }
    if (!any)
        return 0;
    for (guint i = 0; i < 8; i++)
        mask |= bytes_set(words[i]) << 8 * i;
    return mask;
}

static inline void
copy_chunk(uint8_t *to, const uint8_t *from)
{
    memcpy(to, from, CHUNK);
}

#include "delta/xbzrle-encode.h"

static gboolean
usable(void)
{
    return TRUE;
}

const VmfXbzrle vmf_xbzrle_portable = {"portable", usable, encode};
