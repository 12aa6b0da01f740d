/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory for the contents of pages, in chunks of 2 MiB that the kernel may back with huge pages.
 *
 * Slots are numbered from 0. Chunks are taken as slots are given out, lowest number first, and
 * returned to the kernel by vmf_arena_cut(). Threads: one at a time.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

#define VMF_ARENA_CHUNK (2u << 20)

typedef struct {
    size_t slot_size; /* a multiple of 64, at most VMF_ARENA_CHUNK */
    guint per_chunk;
    GPtrArray *chunks;
} VmfArena;

void vmf_arena_init(VmfArena *arena, size_t slot_size);
void vmf_arena_clear(VmfArena *arena);

static inline uint8_t *
vmf_arena_slot(const VmfArena *arena, guint slot)
{
    uint8_t *chunk = g_ptr_array_index(arena->chunks, slot / arena->per_chunk);

    return chunk + slot % arena->per_chunk * arena->slot_size;
}

/* Fills a slot, past the CPU's caches where it can: what is stored is not needed soon. */
void vmf_arena_store(VmfArena *arena, guint slot, const uint8_t *content);

/* There are at least `slots` of them. FALSE: the kernel has no memory. */
gboolean vmf_arena_reach(VmfArena *arena, guint slots);

/* Returns the chunks that hold none of the first `slots`. */
void vmf_arena_cut(VmfArena *arena, guint slots);
