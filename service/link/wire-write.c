/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The writing half of a wire: what goes next, sealed or not, in large writes. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "link/wire-private.h"

#define IOVECS 16

/*
 * The other side may have said why before it hung up; so a failed write is not the end before that
 * was read.
 */
static void
vmf_wire_stop_writing(VmfWire *wire)
{
    if (!wire->write_error)
        wire->write_error = vmf_wire_errno("write");
    vmf_slice_queue_clear(&wire->urgent);
    vmf_slice_queue_clear(&wire->queue);
    wire->out.start = wire->out.end = 0;
    vmf_watch_want(wire->watch, G_IO_IN);
}

gsize
vmf_wire_waiting(const VmfWire *wire)
{
    return wire->queue.bytes + wire->urgent.bytes + (wire->out.end - wire->out.start);
}

gsize
vmf_wire_waiting_urgent(const VmfWire *wire)
{
    return wire->urgent.bytes;
}

/* What goes next, but for what was sealed already. */
static VmfSliceQueue *
vmf_wire_next_queue(VmfWire *wire)
{
    if (!wire->in_frame && wire->urgent.count > 0)
        return &wire->urgent;
    return wire->queue.count > 0 ? &wire->queue : NULL;
}

static void
vmf_wire_drop(VmfWire *wire, VmfSliceQueue *queue, gsize bytes)
{
    gsize front = vmf_slice_queue_peek(queue, 0)->length;

    vmf_slice_queue_drop(queue, bytes);
    if (queue != &wire->queue)
        return;
    if (bytes == front && wire->sums)
        wire->headed = !wire->headed;
    wire->in_frame = bytes < front || wire->headed;
}

static gboolean
vmf_wire_seal(VmfWire *wire)
{
    VmfSliceQueue *queue;

    while (vmf_buffer_room(&wire->out) >= VMF_TLS_RECORD_WIRE &&
           (queue = vmf_wire_next_queue(wire))) {
        const VmfSlice *front = vmf_slice_queue_peek(queue, 0);
        gsize n = MIN(front->length, VMF_TLS_RECORD);
        GError *error = NULL;

        if (!vmf_tls_seal(wire->tls, front->data, n, &error)) {
            vmf_wire_break(wire, error);
            return FALSE;
        }
        vmf_wire_drop(wire, queue, n);
    }
    return TRUE;
}

/* Writes what is in `out`: sealed bytes, or a part of the proof. 0: the socket is full. */
static gssize
vmf_wire_write_out(VmfWire *wire)
{
    gssize n = send(wire->fd, wire->out.data + wire->out.start, wire->out.end - wire->out.start,
                    MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    wire->bytes_out += (guint64)n;
    wire->out.start += (gsize)n;
    if (wire->out.start == wire->out.end)
        wire->out.start = wire->out.end = 0;
    return n;
}

static gssize
vmf_wire_write_frames(VmfWire *wire, VmfSliceQueue *queue)
{
    struct iovec iov[IOVECS];
    struct msghdr message = {.msg_iov = iov};
    guint count = MIN(queue->count, IOVECS);
    gssize n;

    /* with something urgent waiting, no more than the frame that has begun */
    if (queue == &wire->queue && wire->urgent.count > 0)
        count = 1;
    for (guint i = 0; i < count; i++) {
        const VmfSlice *slice = vmf_slice_queue_peek(queue, i);

        iov[i] = (struct iovec){slice->data, slice->length};
        message.msg_iovlen++;
    }
    n = sendmsg(wire->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    wire->bytes_out += (guint64)n;
    for (gsize left = (gsize)n; left > 0;) {
        gsize part = MIN(left, vmf_slice_queue_peek(queue, 0)->length);

        vmf_wire_drop(wire, queue, part);
        left -= part;
    }
    return n;
}

/* One write; > 0: some went, 0: the socket is full, -1: it failed. */
static gssize
vmf_wire_write(VmfWire *wire)
{
    if (wire->tls && wire->secured && !vmf_wire_seal(wire))
        return -1;
    if (wire->out.end > wire->out.start)
        return vmf_wire_write_out(wire);
    return vmf_wire_write_frames(wire, vmf_wire_next_queue(wire));
}

void
vmf_wire_flush(VmfWire *wire)
{
    while (vmf_wire_waiting(wire) > 0 && !wire->error && !wire->write_error) {
        gssize n = vmf_wire_write(wire);

        if (n == 0) {
            vmf_watch_change(wire->watch, G_IO_OUT, TRUE);
            return;
        }
        if (n < 0 && !wire->error)
            vmf_wire_stop_writing(wire);
    }
    if (wire->error)
        return;
    vmf_watch_change(wire->watch, G_IO_OUT, FALSE);
    if (wire->finish && !wire->finished) {
        wire->finished = TRUE;
        if (wire->tls) {
            vmf_tls_close(wire->tls);
            (void)vmf_wire_write_out(wire);
        }
        (void)shutdown(wire->fd, SHUT_WR);
    }
}

static void
vmf_wire_add(VmfWire *wire, VmfSliceQueue *queue, VmfSlice frame)
{
    gboolean idle = vmf_wire_waiting(wire) == 0;

    if (!wire->secured || wire->error || wire->write_error || wire->finish) {
        vmf_chunk_unref(frame.chunk);
        return;
    }
    if (wire->sums)
        vmf_slice_queue_push(queue, vmf_sums_seal(&frame, wire->pool));
    vmf_slice_queue_push(queue, frame);
    if (idle)
        vmf_wire_flush(wire);
}

void
vmf_wire_send(VmfWire *wire, VmfSlice frame)
{
    vmf_wire_add(wire, &wire->queue, frame);
}

void
vmf_wire_send_urgent(VmfWire *wire, VmfSlice frame)
{
    vmf_wire_add(wire, &wire->urgent, frame);
}

void
vmf_wire_finish(VmfWire *wire)
{
    wire->finish = TRUE;
    if (vmf_wire_waiting(wire) == 0)
        vmf_wire_flush(wire);
}
