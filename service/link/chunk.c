/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/chunk.h"

#include <string.h>

/* Enough that a burst needs no new memory, little enough to keep for nothing. */
#define VMF_POOL_WARM 16

/* Pieces shorter than this are gathered in chunks of this size. */
#define VMF_GATHER 16384

struct VmfChunkPool {
    GMutex lock;
    gatomicrefcount refs; /* the owner's and one for each chunk that is out */
    VmfChunk *warm;       /* last used first: it is still in the CPU's cache */
    guint n_warm;
    gsize held;
};

VmfChunkPool *
vmf_chunk_pool_new(void)
{
    VmfChunkPool *pool = g_new0(VmfChunkPool, 1);

    g_mutex_init(&pool->lock);
    g_atomic_ref_count_init(&pool->refs);
    return pool;
}

void
vmf_chunk_pool_free(VmfChunkPool *pool)
{
    if (!g_atomic_ref_count_dec(&pool->refs))
        return;
    while (pool->warm) {
        VmfChunk *chunk = pool->warm;

        pool->warm = chunk->next;
        g_free(chunk);
    }
    g_mutex_clear(&pool->lock);
    g_free(pool);
}

gsize
vmf_chunk_pool_held(VmfChunkPool *pool)
{
    gsize held;

    g_mutex_lock(&pool->lock);
    held = pool->held;
    g_mutex_unlock(&pool->lock);
    return held;
}

VmfChunk *
vmf_chunk_new(VmfChunkPool *pool, gsize size)
{
    VmfChunk *chunk = NULL;

    g_mutex_lock(&pool->lock);
    if (size == VMF_CHUNK_SIZE && pool->warm) {
        chunk = pool->warm;
        pool->warm = chunk->next;
        pool->n_warm--;
    }
    pool->held += size;
    g_mutex_unlock(&pool->lock);
    if (!chunk)
        chunk = g_malloc(sizeof *chunk + size);
    g_atomic_ref_count_init(&chunk->refs);
    g_atomic_ref_count_inc(&pool->refs);
    chunk->pool = pool;
    chunk->next = NULL;
    chunk->size = size;
    return chunk;
}

VmfChunk *
vmf_chunk_ref(VmfChunk *chunk)
{
    g_atomic_ref_count_inc(&chunk->refs);
    return chunk;
}

void
vmf_chunk_unref(VmfChunk *chunk)
{
    VmfChunkPool *pool = chunk->pool;

    if (!g_atomic_ref_count_dec(&chunk->refs))
        return;
    g_mutex_lock(&pool->lock);
    pool->held -= chunk->size;
    if (chunk->size == VMF_CHUNK_SIZE && pool->n_warm < VMF_POOL_WARM) {
        chunk->next = pool->warm;
        pool->warm = chunk;
        pool->n_warm++;
        chunk = NULL;
    }
    g_mutex_unlock(&pool->lock);
    g_free(chunk);
    vmf_chunk_pool_free(pool);
}

VmfSlice
vmf_slice_keep(const VmfSlice *slice)
{
    VmfSlice kept = *slice;

    if (slice->length >= slice->chunk->size / 4) {
        vmf_chunk_ref(slice->chunk);
        return kept;
    }
    kept.chunk = vmf_chunk_new(slice->chunk->pool, VMF_CHUNK_HEADROOM + slice->length);
    kept.data = kept.chunk->data + VMF_CHUNK_HEADROOM;
    memcpy(kept.data, slice->data, slice->length);
    return kept;
}

static void
vmf_slice_queue_grow(VmfSliceQueue *queue)
{
    guint size = queue->size ? queue->size * 2 : 16;
    VmfSlice *ring = g_new(VmfSlice, size);

    for (guint i = 0; i < queue->count; i++)
        ring[i] = queue->ring[(queue->head + i) & (queue->size - 1)];
    g_free(queue->ring);
    queue->ring = ring;
    queue->size = size;
    queue->head = 0;
}

void
vmf_slice_queue_push(VmfSliceQueue *queue, VmfSlice slice)
{
    if (queue->count == queue->size)
        vmf_slice_queue_grow(queue);
    queue->ring[(queue->head + queue->count) & (queue->size - 1)] = slice;
    queue->count++;
    queue->bytes += slice.length;
}

/* The last slice, if it is ours alone and `length` bytes fit behind it; else a new, empty one. */
static VmfSlice *
vmf_slice_queue_gather(VmfSliceQueue *queue, VmfChunkPool *pool, gsize length)
{
    VmfSlice *last;
    VmfChunk *chunk;

    if (queue->count > 0) {
        last = &queue->ring[(queue->head + queue->count - 1) & (queue->size - 1)];
        chunk = last->chunk;
        if (g_atomic_ref_count_compare(&chunk->refs, 1) &&
            last->data + last->length + length <= chunk->data + chunk->size)
            return last;
    }
    chunk = vmf_chunk_new(pool, VMF_GATHER);
    vmf_slice_queue_push(queue, (VmfSlice){chunk, chunk->data, 0});
    return &queue->ring[(queue->head + queue->count - 1) & (queue->size - 1)];
}

void
vmf_slice_queue_add(VmfSliceQueue *queue, const VmfSlice *bytes)
{
    VmfSlice *last;

    if (bytes->length >= VMF_GATHER) {
        vmf_slice_queue_push(queue, vmf_slice_keep(bytes));
        return;
    }
    last = vmf_slice_queue_gather(queue, bytes->chunk->pool, bytes->length);
    memcpy(last->data + last->length, bytes->data, bytes->length);
    last->length += bytes->length;
    queue->bytes += bytes->length;
}

const VmfSlice *
vmf_slice_queue_peek(const VmfSliceQueue *queue, guint n)
{
    g_return_val_if_fail(n < queue->count, NULL);
    return &queue->ring[(queue->head + n) & (queue->size - 1)];
}

void
vmf_slice_queue_drop(VmfSliceQueue *queue, gsize bytes)
{
    g_return_if_fail(bytes <= queue->bytes);
    queue->bytes -= bytes;
    while (bytes > 0) {
        VmfSlice *front = &queue->ring[queue->head];

        if (bytes < front->length) {
            front->data += bytes;
            front->length -= bytes;
            return;
        }
        bytes -= front->length;
        vmf_chunk_unref(front->chunk);
        queue->head = (queue->head + 1) & (queue->size - 1);
        queue->count--;
    }
}

void
vmf_slice_queue_clear(VmfSliceQueue *queue)
{
    vmf_slice_queue_drop(queue, queue->bytes);
    g_free(queue->ring);
    memset(queue, 0, sizeof *queue);
}
