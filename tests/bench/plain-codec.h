/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * XBZRLE as one writes it first, to measure the codec against. See delta/xbzrle.h for the format.
 */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <string.h>

/* The straightforward encoder: words while they are equal, or while no byte of them is. */
static inline uint64_t
word_at(const uint8_t *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof word);
    return word;
}

static inline gboolean
has_equal_byte(const uint8_t *old, const uint8_t *page)
{
    uint64_t ones = G_GUINT64_CONSTANT(0x0101010101010101), differ = word_at(old) ^ word_at(page);

    return ((differ - ones) & ~differ & ones << 7) != 0;
}

static inline size_t
put_number(uint8_t *to, size_t number)
{
    to[0] = (uint8_t)(number & 0x7f);
    if (number < 0x80)
        return 1;
    to[0] |= 0x80;
    to[1] = (uint8_t)(number >> 7);
    return 2;
}

static inline int
encode_by_words(const uint8_t *old, const uint8_t *page, size_t size, uint8_t *out, size_t out_size)
{
    size_t at = 0, length = 0;

    while (at < size) {
        size_t start = at;

        if (length + 2 > out_size)
            return -1;
        while (at + 8 <= size && word_at(old + at) == word_at(page + at))
            at += 8;
        while (at < size && old[at] == page[at])
            at++;
        if (at == size)
            break;
        length += put_number(out + length, at - start);
        if (length + 2 > out_size)
            return -1;
        start = at;
        while (at + 8 <= size && !has_equal_byte(old + at, page + at))
            at += 8;
        while (at < size && old[at] != page[at])
            at++;
        length += put_number(out + length, at - start);
        if (length + at - start > out_size)
            return -1;
        memcpy(out + length, page + start, at - start);
        length += at - start;
    }
    return (int)length;
}

/* The straightforward decoder. */
static inline gboolean
take_number(const uint8_t *data, size_t length, size_t *at, size_t *ret_number)
{
    if (*at >= length)
        return FALSE;
    *ret_number = data[(*at)++];
    if (*ret_number & 0x80) {
        if (*at >= length || data[*at] & 0x80)
            return FALSE;
        *ret_number = (*ret_number & 0x7f) | (size_t)data[(*at)++] << 7;
    }
    return TRUE;
}

static inline gboolean
decode_by_bytes(const uint8_t *data, size_t length, uint8_t *page, size_t size)
{
    size_t from = 0, to = 0, skip, store;

    while (from < length) {
        gboolean first = from == 0;

        if (!take_number(data, length, &from, &skip) || (skip == 0 && !first) || skip > size - to)
            return FALSE;
        to += skip;
        if (!take_number(data, length, &from, &store) || store == 0 || store > size - to ||
            store > length - from)
            return FALSE;
        memcpy(page + to, data + from, store);
        from += store;
        to += store;
    }
    return TRUE;
}
