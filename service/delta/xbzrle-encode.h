/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The encoder, but for the few lines that depend on the CPU. Each variant includes this file once,
 * after it has defined
 *
 *   static inline uint64_t differing(const uint8_t *old, const uint8_t *page)
 *       bit i: byte i of these 64 differs
 *   #define CHUNK n
 *   static inline void copy_chunk(uint8_t *to, const uint8_t *from)
 *       n bytes, at most 64
 *
 * and gets encode(). First all blocks of 64 bytes are compared; then only those with changes are
 * looked at again. Whether the delta fits is decided before it is written, by how many bytes
 * differ and in how many runs, unless it is a close thing.
 */
#pragma once

#include <string.h>

#include "delta/xbzrle-private.h"

#define BLOCK 64u
#define BLOCKS_MAX (VMF_XBZRLE_PAGE_MAX / BLOCK)
#define BLOCK_DELTA_MAX 100u /* of one block: 32 runs of one byte, and numbers of two */
#define BATCH 64u            /* blocks whose runs are listed at once: those of a page of 4 KiB */
#define EDGES_MAX (BATCH * (BLOCK + 1) + BITS_AT_ONCE)
#define BITS_AT_ONCE 8u

/* The blocks of a page that have changes, in order. */
typedef struct {
    guint count;
    uint16_t index[BLOCKS_MAX];
    uint64_t mask[BLOCKS_MAX];
} Changes;

typedef struct {
    const uint8_t *page;
    size_t page_size;
    uint8_t *out;
    size_t out_size;
    size_t at;  /* in `out` */
    size_t end; /* in the page: of the last run */
    gboolean refused;
    /* between blocks */
    guint inside;   /* 1: a run goes on, */
    uint32_t start; /* which started here */
    uint32_t next;  /* the block after the last one */
} Delta;

static inline __attribute__((always_inline)) void
find_changes(const uint8_t *old, const uint8_t *page, size_t page_size, Changes *changes,
             const VmfXbzrleAhead *ahead)
{
    guint count = 0;

#pragma GCC unroll 4
    for (size_t at = 0; at < page_size; at += BLOCK) {
        uint64_t mask = differing(old + at, page + at);

        if (ahead) {
            __builtin_prefetch(ahead->old + at, 0, 2);
            __builtin_prefetch(ahead->page + at, 0, 2);
        }
        changes->index[count] = (uint16_t)(at / BLOCK);
        changes->mask[count] = mask;
        count += mask != 0;
    }
    changes->count = count;
}

/* The ULEB128 of a number, as the lowest bytes of a word. */
static inline uint32_t
number_bytes(size_t number, guint *ret_length)
{
    guint two = number > 0x7f;

    *ret_length = 1 + two;
    return (uint32_t)((number & 0x7f) | two << 7 | number >> 7 << 8);
}

/* Writes four bytes, of which the numbers take up to that many. */
static inline guint
put_numbers(uint8_t *to, size_t skip, size_t store)
{
    guint length, more;
    uint32_t word = number_bytes(skip, &length);

    word |= number_bytes(store, &more) << 8 * length;
    word = GUINT32_TO_LE(word);
    memcpy(to, &word, sizeof word);
    return length + more;
}

/* There is room for everything, and for what a last chunk writes too much. */
static inline void
put_run(Delta *delta, size_t start, size_t end)
{
    uint8_t *to = delta->out + delta->at;
    const uint8_t *from = delta->page + start;
    size_t length = end - start;

    to += put_numbers(to, start - delta->end, length);
    delta->at = (size_t)(to - delta->out) + length;
    delta->end = end;
    if (G_LIKELY(end + CHUNK <= delta->page_size)) {
        copy_chunk(to, from);
        for (size_t done = CHUNK; G_UNLIKELY(done < length); done += CHUNK)
            copy_chunk(to + done, from + done);
    } else {
        memcpy(to, from, length);
    }
}

static inline void
put_run_checked(Delta *delta, size_t start, size_t end)
{
    uint8_t numbers[4];
    size_t length = end - start;
    size_t n = put_numbers(numbers, start - delta->end, length);

    if (length > VMF_XBZRLE_RUN_MAX || n + length > delta->out_size - delta->at) {
        delta->refused = TRUE;
        return;
    }
    memcpy(delta->out + delta->at, numbers, n);
    memcpy(delta->out + delta->at + n, delta->page + start, length);
    delta->at += n + length;
    delta->end = end;
}

/* Only pages over 16 KiB have these. What is left to skip must not be 0. */
static inline void
cut_long_skip(Delta *delta, size_t start)
{
    while (!delta->refused && start - delta->end > VMF_XBZRLE_RUN_MAX) {
        size_t stored = delta->end + MIN(VMF_XBZRLE_RUN_MAX, start - delta->end - 2);

        put_run_checked(delta, stored, stored + 1);
    }
}

static inline __attribute__((always_inline)) void
put_one(Delta *delta, size_t start, size_t end, gboolean checked)
{
    if (!checked) {
        put_run(delta, start, end);
        return;
    }
    if (delta->refused)
        return;
    cut_long_skip(delta, start);
    if (!delta->refused)
        put_run_checked(delta, start, end);
}

/* The bits of a word, lowest first; of the positions behind the last one any may be written. */
static inline guint
list_bits(uint64_t word, uint32_t base, uint32_t *positions)
{
    guint count = (guint)__builtin_popcountll(word);

    for (guint i = 0; i < count; i += BITS_AT_ONCE) {
#pragma GCC unroll 8
        for (guint j = 0; j < BITS_AT_ONCE; j++) {
            positions[i + j] = base + (uint32_t)__builtin_ctzll(word | 1ull << 63);
            word &= word - 1;
        }
    }
    return count;
}

/*
 * Puts the runs of some blocks. A run starts or ends wherever a bit is not as the one before it.
 * All these places are listed first: there are few branches in that which the CPU guesses wrong.
 */
static inline __attribute__((always_inline)) void
put_runs(Delta *delta, const Changes *changes, guint from, guint to, gboolean checked)
{
    uint32_t edges[EDGES_MAX];
    guint count = 0, i;

    if (delta->inside)
        edges[count++] = delta->start;
    for (i = from; i < to; i++) {
        uint32_t at = changes->index[i] * BLOCK;
        uint64_t mask = changes->mask[i];
        guint gap = at != delta->next;

        edges[count] = delta->next;
        count += gap & delta->inside;
        count += list_bits(mask ^ (mask << 1 | (delta->inside & !gap)), at, edges + count);
        delta->inside = mask >> 63;
        delta->next = at + BLOCK;
    }
    for (i = 0; i + 1 < count && !(checked && delta->refused); i += 2)
        put_one(delta, edges[i], edges[i + 1], checked);
    delta->start = edges[i];
}

static inline __attribute__((always_inline)) void
put_all_runs(Delta *delta, const Changes *changes, gboolean checked)
{
    for (guint from = 0; from < changes->count; from += BATCH)
        put_runs(delta, changes, from, MIN(from + BATCH, changes->count), checked);
    if (delta->inside)
        put_one(delta, delta->start, delta->next, checked);
}

typedef enum { ROOM_ENOUGH, ROOM_SCARCE, ROOM_NONE } Room;

/* By how many bytes differ, and in how many runs; each has two numbers of one or two bytes. */
static inline Room
find_room(const Changes *changes, size_t page_size, size_t out_size)
{
    size_t bytes = 0, runs = 0;
    uint64_t inside = 0;

    /* a run may be too long to be counted */
    if (page_size > VMF_XBZRLE_RUN_MAX + 1 || changes->count * BLOCK > VMF_XBZRLE_RUN_MAX)
        return ROOM_SCARCE;
    if (changes->count * BLOCK_DELTA_MAX + BLOCK <= out_size)
        return ROOM_ENOUGH;
    for (guint i = 0; i < changes->count; i++) {
        uint64_t mask = changes->mask[i];

        if (i > 0 && changes->index[i] != changes->index[i - 1] + 1)
            inside = 0;
        bytes += (size_t)__builtin_popcountll(mask);
        runs += (size_t)__builtin_popcountll(mask & ~(mask << 1 | inside));
        inside = mask >> 63;
    }
    if (bytes + 2 * runs > out_size)
        return ROOM_NONE;
    return bytes + 4 * runs + BLOCK <= out_size ? ROOM_ENOUGH : ROOM_SCARCE;
}

static inline int
put_delta(const uint8_t *page, size_t page_size, const Changes *changes, uint8_t *out,
          size_t out_size)
{
    Delta delta = {.page = page, .page_size = page_size, .out = out, .out_size = out_size};
    gboolean end_stays = changes->count == 0 ||
                         changes->index[changes->count - 1] != page_size / BLOCK - 1 ||
                         !(changes->mask[changes->count - 1] >> 63);

    switch (find_room(changes, page_size, out_size)) {
    case ROOM_NONE:
        return VMF_XBZRLE_TOO_LARGE;
    case ROOM_ENOUGH:
        put_all_runs(&delta, changes, FALSE);
        break;
    case ROOM_SCARCE:
        put_all_runs(&delta, changes, TRUE);
        break;
    }
    if (delta.refused || delta.at + (end_stays ? 2 : 0) > out_size)
        return VMF_XBZRLE_TOO_LARGE;
    return (int)delta.at;
}

static int
encode(const uint8_t *old, const uint8_t *page, size_t page_size, uint8_t *out, size_t out_size,
       uint8_t *update, const VmfXbzrleAhead *ahead)
{
    Changes changes;
    int length;

    if (ahead && ahead->old)
        find_changes(old, page, page_size, &changes, ahead);
    else
        find_changes(old, page, page_size, &changes, NULL);
    length = put_delta(page, page_size, &changes, out, out_size);
    if (update) {
        for (guint i = 0; i < changes.count; i++) {
            size_t at = changes.index[i] * BLOCK;

            for (size_t done = 0; done < BLOCK; done += CHUNK)
                copy_chunk(update + at + done, page + at + done);
        }
    }
    return length;
}
