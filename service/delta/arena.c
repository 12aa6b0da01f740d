/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/arena.h"

#include <string.h>
#include <sys/mman.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

static void
unmap_chunk(gpointer chunk)
{
    munmap(chunk, VMF_ARENA_CHUNK);
}

void
vmf_arena_init(VmfArena *arena, size_t slot_size)
{
    arena->slot_size = slot_size;
    arena->per_chunk = (guint)(VMF_ARENA_CHUNK / slot_size);
    arena->chunks = g_ptr_array_new_with_free_func(unmap_chunk);
}

void
vmf_arena_clear(VmfArena *arena)
{
    g_clear_pointer(&arena->chunks, g_ptr_array_unref);
}

/* Aligned to its size, or the kernel gives no huge page: twice as much, without the ends. */
static void *
map_chunk(void)
{
    uint8_t *start =
        mmap(NULL, 2 * VMF_ARENA_CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t before;

    if (start == MAP_FAILED)
        return NULL;
    before = -(uintptr_t)start % VMF_ARENA_CHUNK;
    if (before > 0)
        munmap(start, before);
    munmap(start + before + VMF_ARENA_CHUNK, VMF_ARENA_CHUNK - before);
    madvise(start + before, VMF_ARENA_CHUNK, MADV_HUGEPAGE);
    return start + before;
}

void
vmf_arena_store(VmfArena *arena, guint slot, const uint8_t *content)
{
    uint8_t *to = vmf_arena_slot(arena, slot);

#if defined(__SSE2__)
    for (size_t at = 0; at < arena->slot_size; at += sizeof(__m128i))
        _mm_stream_si128((__m128i *)(to + at), _mm_loadu_si128((const __m128i *)(content + at)));
    _mm_sfence();
#else
    memcpy(to, content, arena->slot_size);
#endif
}

gboolean
vmf_arena_reach(VmfArena *arena, guint slots)
{
    while ((uint64_t)arena->chunks->len * arena->per_chunk < slots) {
        void *chunk = map_chunk();

        if (!chunk)
            return FALSE;
        g_ptr_array_add(arena->chunks, chunk);
    }
    return TRUE;
}

void
vmf_arena_cut(VmfArena *arena, guint slots)
{
    guint keep = slots / arena->per_chunk + (slots % arena->per_chunk > 0);

    if (keep < arena->chunks->len)
        g_ptr_array_set_size(arena->chunks, (gint)keep);
}
