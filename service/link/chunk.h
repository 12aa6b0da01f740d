/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory that stream passes through: counted chunks, slices of them, and queues of slices.
 *
 * A chunk is filled once, by whoever took it, and read by everybody who holds it. Between stages go
 * slices; bytes are not copied. VMF_CHUNK_HEADROOM bytes in front of a payload are left free, so
 * that a frame's header can be written there and header and payload are one piece.
 *
 * Large chunks come from a pool that keeps a few warm ones for the next use. The pool counts all
 * bytes that are out, which is what a pump holds of a stream.
 *
 * Threads: chunks and pools may be used from any; a slice queue belongs to one. Memory is not
 * refused: the users' own bounds (flow, credit) limit what they take.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

#define VMF_CHUNK_SIZE (256 * 1024)
#define VMF_CHUNK_HEADROOM 16

typedef struct VmfChunkPool VmfChunkPool;

typedef struct VmfChunk {
    gatomicrefcount refs;
    VmfChunkPool *pool;
    struct VmfChunk *next; /* the pool's */
    gsize size;
    uint8_t data[];
} VmfChunk;

typedef struct {
    VmfChunk *chunk;
    uint8_t *data; /* inside the chunk */
    gsize length;
} VmfSlice;

VmfChunkPool *vmf_chunk_pool_new(void);

/* Chunks that are still out keep working. */
void vmf_chunk_pool_free(VmfChunkPool *pool);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfChunkPool, vmf_chunk_pool_free)

/* Bytes in chunks that somebody holds. */
gsize vmf_chunk_pool_held(VmfChunkPool *pool);

/* At least `size` bytes, usually VMF_CHUNK_SIZE. */
VmfChunk *vmf_chunk_new(VmfChunkPool *pool, gsize size);
VmfChunk *vmf_chunk_ref(VmfChunk *chunk);
void vmf_chunk_unref(VmfChunk *chunk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfChunk, vmf_chunk_unref)

/*
 * A reference to the same bytes. If they are only a small part of their chunk they are copied (with
 * headroom) instead, so that whoever keeps a slice keeps at most four times its length.
 */
VmfSlice vmf_slice_keep(const VmfSlice *slice);

/* First in, first out; holds references. */
typedef struct {
    VmfSlice *ring;
    guint size; /* a power of two, or 0 */
    guint head;
    guint count;
    gsize bytes;
} VmfSliceQueue;

/* Takes the slice's reference. */
void vmf_slice_queue_push(VmfSliceQueue *queue, VmfSlice slice);

/*
 * Adds the same bytes, by reference or, if they are few, as a copy behind those that are there: so
 * that a queue of many little pieces takes no more than a small multiple of their length.
 */
void vmf_slice_queue_add(VmfSliceQueue *queue, const VmfSlice *bytes);

/* The `n`th of the queue; valid until the next push. */
const VmfSlice *vmf_slice_queue_peek(const VmfSliceQueue *queue, guint n);

/* Drops `bytes` from the front: whole slices, and the beginning of one. */
void vmf_slice_queue_drop(VmfSliceQueue *queue, gsize bytes);
void vmf_slice_queue_clear(VmfSliceQueue *queue);
