/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "memory-wire.h"

#include <string.h>

#include "base/error.h"

struct VmfWire {
    const VmfWireEvents *events;
    gpointer owner;
    VmfSliceQueue urgent, queue;
    VmfSlice frame; /* part of it was taken: none may pass it now */
    guint64 out, in;
    gboolean finished;
};

VmfWire *
vmf_wire_new(const VmfWireSetup *setup, VmfChunkPool *pool, const VmfWireEvents *events,
             gpointer owner, GError **error)
{
    VmfWire *wire = g_new0(VmfWire, 1);

    wire->events = events;
    wire->owner = owner;
    return wire;
}

void
vmf_wire_free(VmfWire *wire)
{
    vmf_slice_queue_clear(&wire->urgent);
    vmf_slice_queue_clear(&wire->queue);
    if (wire->frame.chunk)
        vmf_chunk_unref(wire->frame.chunk);
    g_free(wire);
}

static void
push(VmfWire *wire, VmfSliceQueue *queue, VmfSlice frame)
{
    g_assert_false(wire->finished);
    vmf_slice_queue_push(queue, frame);
}

void
vmf_wire_send(VmfWire *wire, VmfSlice frame)
{
    push(wire, &wire->queue, frame);
}

void
vmf_wire_send_urgent(VmfWire *wire, VmfSlice frame)
{
    push(wire, &wire->urgent, frame);
}

void
vmf_wire_finish(VmfWire *wire)
{
    wire->finished = TRUE;
}

gsize
vmf_wire_waiting(const VmfWire *wire)
{
    return wire->urgent.bytes + wire->queue.bytes + wire->frame.length;
}

gsize
vmf_wire_waiting_urgent(const VmfWire *wire)
{
    return wire->urgent.bytes;
}

guint64
vmf_wire_bytes_out(const VmfWire *wire)
{
    return wire->out;
}

guint64
vmf_wire_bytes_in(const VmfWire *wire)
{
    return wire->in;
}

void
memory_wire_secure(VmfWire *wire)
{
    wire->events->secured(wire->owner);
}

/* FALSE: nothing waits. */
static gboolean
next_frame(VmfWire *wire)
{
    VmfSliceQueue *queue = wire->urgent.count > 0 ? &wire->urgent : &wire->queue;

    if (wire->frame.length > 0)
        return TRUE;
    g_clear_pointer(&wire->frame.chunk, vmf_chunk_unref);
    if (queue->count == 0)
        return FALSE;
    wire->frame = *vmf_slice_queue_peek(queue, 0);
    vmf_chunk_ref(wire->frame.chunk);
    vmf_slice_queue_drop(queue, wire->frame.length);
    return TRUE;
}

gsize
memory_wire_take(VmfWire *wire, gsize most, MemoryWireTaker taker, gpointer data)
{
    gboolean was_long = vmf_wire_waiting(wire) >= VMF_WIRE_QUEUE;
    gsize taken = 0;

    while (taken < most && next_frame(wire)) {
        gsize n = MIN(wire->frame.length, most - taken);

        taker(data, wire->frame.data, n);
        wire->frame.data += n;
        wire->frame.length -= n;
        taken += n;
    }
    wire->out += taken;
    if (was_long || taken > 0)
        wire->events->drained(wire->owner);
    return taken;
}

void
memory_wire_receive(VmfWire *wire, VmfChunkPool *pool, const uint8_t *bytes, gsize length)
{
    g_autoptr(VmfChunk) chunk = vmf_chunk_new(pool, length);

    memcpy(chunk->data, bytes, length);
    wire->in += length;
    wire->events->received(wire->owner, &(VmfSlice){chunk, chunk->data, length});
}

void
memory_wire_break(VmfWire *wire)
{
    g_autoptr(GError) error =
        g_error_new_literal(VMF_ERROR, VMF_ERROR_LINK_BROKEN, "the link was cut");

    wire->events->broken(wire->owner, error);
}
