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
} Delta;

static inline __attribute__((always_inline)) void
find_changes(const uint8_t *old, const uint8_t *page, size_t page_size, Changes *changes,
             const VmfXbzrleAhead *ahead)
{
    guint count = 0;

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

static inline size_t
put_number(uint8_t *to, size_t number)
{
    size_t two = number > 0x7f;

    to[0] = (uint8_t)((number & 0x7f) | two << 7);
    to[1] = (uint8_t)(number >> 7);
    return 1 + two;
}

/* There is room for everything, and for what a last chunk writes too much. */
static inline void
put_run(Delta *delta, size_t start, size_t end)
{
    uint8_t *to = delta->out + delta->at;
    const uint8_t *from = delta->page + start;
    size_t length = end - start;

    to += put_number(to, start - delta->end);
    to += put_number(to, length);
    delta->at = (size_t)(to - delta->out) + length;
    delta->end = end;
    if (G_LIKELY(end + CHUNK <= delta->page_size)) {
        copy_chunk(to, from);
        for (size_t done = CHUNK; done < length; done += CHUNK)
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
    size_t n = put_number(numbers, start - delta->end);

    n += put_number(numbers + n, length);
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
    cut_long_skip(delta, start);
    if (!delta->refused)
        put_run_checked(delta, start, end);
}

/* A run starts or ends wherever a bit is not as the one before it. */
static inline __attribute__((always_inline)) void
put_runs(Delta *delta, const Changes *changes, gboolean checked)
{
    size_t start = 0, next = 0; /* of the run that goes on; of the block that would go on with it */
    uint64_t inside = 0;

    for (guint i = 0; i < changes->count && !(checked && delta->refused); i++) {
        size_t at = changes->index[i] * BLOCK;
        uint64_t mask = changes->mask[i], edges;

        if (inside && at != next) {
            put_one(delta, start, next, checked);
            inside = 0;
        }
        edges = mask ^ (mask << 1 | inside);
        next = at + BLOCK;
        if (inside && edges) {
            put_one(delta, start, at + (size_t)__builtin_ctzll(edges), checked);
            edges &= edges - 1;
        }
        while (edges) {
            start = at + (size_t)__builtin_ctzll(edges);
            edges &= edges - 1;
            if (!edges)
                break;
            put_one(delta, start, at + (size_t)__builtin_ctzll(edges), checked);
            edges &= edges - 1;
        }
        inside = mask >> 63;
    }
    if (inside && !(checked && delta->refused))
        put_one(delta, start, next, checked);
}

/* How many bytes differ, and in how many runs, at least; a run over two blocks may count twice. */
static inline void
measure(const Changes *changes, size_t *ret_bytes, size_t *ret_runs)
{
    size_t bytes = 0, runs = 0;

    for (guint i = 0; i < changes->count; i++) {
        uint64_t mask = changes->mask[i];

        bytes += (size_t)__builtin_popcountll(mask);
        runs += (size_t)__builtin_popcountll(mask & ~(mask << 1));
    }
    *ret_bytes = bytes;
    *ret_runs = runs;
}

static inline int
put_delta(const uint8_t *page, size_t page_size, const Changes *changes, uint8_t *out,
          size_t out_size)
{
    Delta delta = {.page = page, .page_size = page_size, .out = out, .out_size = out_size};
    gboolean end_stays = changes->count == 0 ||
                         changes->index[changes->count - 1] != page_size / BLOCK - 1 ||
                         !(changes->mask[changes->count - 1] >> 63);
    size_t bytes, runs;

    measure(changes, &bytes, &runs);
    if (bytes > out_size)
        return VMF_XBZRLE_TOO_LARGE;
    if (page_size <= VMF_XBZRLE_RUN_MAX && bytes + 4 * runs + 2 + BLOCK <= out_size)
        put_runs(&delta, changes, FALSE);
    else
        put_runs(&delta, changes, TRUE);
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
