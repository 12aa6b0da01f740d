/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/timer.h"
#include "base/watch.h"
#include "link/proof.h"
#include "link/tls.h"

#define SEALED_SIZE (18 * VMF_TLS_RECORD_WIRE) /* a full DATA frame and some */
#define TAKEN_SIZE (256 * 1024)                /* of TLS, from the socket at once */
#define RECEIVE_MIN (64 * 1024)                /* less room in a chunk: take a new one */
#define IOVECS 16
#define UNSENT_MAX (128 * 1024)   /* bytes; more would only wait in the kernel */
#define USER_TIMEOUT (30 * 1000u) /* ms without an acknowledgement by the other host's TCP */

struct VmfWire {
    int fd;
    VmfWatch *watch;
    VmfChunkPool *pool;
    const VmfWireEvents *events;
    gpointer owner;

    gboolean secured;
    VmfTls *tls;    /* NULL: in the clear */
    VmfProof proof; /* in the clear only */
    VmfBuffer in;   /* sealed, or of the proof */
    VmfBuffer out;

    VmfSliceQueue urgent, queue;
    gboolean in_frame; /* the front of `queue` has gone in part */
    gboolean finish;   /* half-close when all is written */
    gboolean finished;
    VmfChunk *chunk; /* that is received into */
    gsize filled;

    GError *error;       /* why it is broken */
    GError *write_error; /* nothing more can be written; what the other side said is still read */
    GSource *report;     /* will tell the owner */
    guint refs;          /* the owner's, and one while events are told */
    gboolean freed;      /* by the owner */
    guint64 bytes_out, bytes_in;
};

/* Best effort: the tests use sockets that are not TCP. */
static void
vmf_wire_tune(int fd)
{
    const int on = 1, unsent = UNSENT_MAX;
    const unsigned int timeout = USER_TIMEOUT;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

static gboolean
vmf_wire_report(gpointer data)
{
    VmfWire *wire = data;

    vmf_timer_clear(&wire->report);
    wire->events->broken(wire->owner, wire->error); /* may free the wire */
    return G_SOURCE_REMOVE;
}

/* Takes the error. */
static void
vmf_wire_break(VmfWire *wire, GError *error)
{
    if (wire->error) {
        g_error_free(error);
        return;
    }
    wire->error = error;
    vmf_watch_want(wire->watch, 0);
    vmf_slice_queue_clear(&wire->urgent);
    vmf_slice_queue_clear(&wire->queue);
    wire->report = vmf_timer_new(0, vmf_wire_report, wire);
}

static GError *
vmf_wire_errno(const char *what)
{
    return g_error_new(VMF_ERROR, VMF_ERROR_LINK_BROKEN, "the data link broke (%s: %s)", what,
                       g_strerror(errno));
}

static GError *
vmf_wire_hung_up(void)
{
    return g_error_new_literal(VMF_ERROR, VMF_ERROR_LINK_BROKEN,
                               "the other side closed the data link");
}

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
    if (queue == &wire->queue)
        wire->in_frame = bytes < front;
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

static void
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
vmf_wire_secure(VmfWire *wire)
{
    wire->secured = TRUE;
    wire->events->secured(wire->owner);
}

static void
vmf_wire_handshake(VmfWire *wire)
{
    GError *error = NULL;
    VmfTlsStatus status = vmf_tls_handshake(wire->tls, &error);

    vmf_wire_flush(wire); /* an alert, too */
    if (status == VMF_TLS_ERROR)
        vmf_wire_break(wire, error);
    else if (status == VMF_TLS_DONE && !wire->error)
        vmf_wire_secure(wire);
}

static void
vmf_wire_prove(VmfWire *wire)
{
    GError *error = NULL;
    gsize n = 0;
    gboolean ok;

    if (wire->in.end < vmf_proof_wants(&wire->proof))
        return;
    ok = vmf_proof_next(&wire->proof, wire->in.data, wire->out.data + wire->out.end, &n, &error);
    wire->in.end = 0;
    wire->out.end += n;
    vmf_wire_flush(wire);
    if (!ok) {
        vmf_wire_break(wire, error);
    } else if (vmf_proof_wants(&wire->proof) == 0 && !wire->error) {
        vmf_proof_clear(&wire->proof);
        vmf_wire_secure(wire);
    }
}

/* Reads from the socket; 0 also when there is nothing now. */
static gsize
vmf_wire_read(VmfWire *wire, uint8_t *to, gsize size)
{
    gssize n = recv(wire->fd, to, size, MSG_DONTWAIT);

    if (n > 0) {
        wire->bytes_in += (guint64)n;
        return (gsize)n;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (wire->write_error)
        vmf_wire_break(wire, g_steal_pointer(&wire->write_error));
    else if (n < 0)
        vmf_wire_break(wire, vmf_wire_errno("read"));
    else
        vmf_wire_break(wire, vmf_wire_hung_up());
    return 0;
}

/* Makes room in the chunk that is received into; returns how much. */
static gsize
vmf_wire_make_room(VmfWire *wire)
{
    if (wire->chunk && g_atomic_ref_count_compare(&wire->chunk->refs, 1))
        wire->filled = 0; /* nobody kept anything */
    if (wire->chunk && wire->chunk->size - wire->filled < RECEIVE_MIN)
        g_clear_pointer(&wire->chunk, vmf_chunk_unref);
    if (!wire->chunk) {
        wire->chunk = vmf_chunk_new(wire->pool, VMF_CHUNK_SIZE);
        wire->filled = 0;
    }
    return wire->chunk->size - wire->filled;
}

/* `n` bytes were put behind what was filled. */
static void
vmf_wire_deliver(VmfWire *wire, gsize n)
{
    VmfSlice slice = {wire->chunk, wire->chunk->data + wire->filled, n};

    wire->filled += n;
    wire->events->received(wire->owner, &slice);
}

/* Fills a chunk with what can be opened; FALSE when there was nothing (more). */
static gboolean
vmf_wire_open(VmfWire *wire)
{
    gsize room = vmf_wire_make_room(wire);
    gsize filled = 0;
    GError *error = NULL;
    VmfTlsStatus status = VMF_TLS_DONE;

    while (status == VMF_TLS_DONE && room - filled >= VMF_TLS_RECORD) {
        gsize n = 0;

        status = vmf_tls_open(wire->tls, wire->chunk->data + wire->filled + filled, room - filled,
                              &n, &error);
        filled += n;
    }
    /* what came before the end is heard, and may be answered, before it */
    if (filled > 0)
        vmf_wire_deliver(wire, filled);
    if (status == VMF_TLS_END && !wire->freed)
        error = vmf_wire_hung_up();
    if (error && !wire->freed)
        vmf_wire_break(wire, error);
    else
        g_clear_error(&error);
    return status == VMF_TLS_DONE;
}

static void
vmf_wire_receive_sealed(VmfWire *wire)
{
    gsize room = vmf_buffer_room(&wire->in);

    wire->in.end += vmf_wire_read(wire, wire->in.data + wire->in.end, room);
    if (!wire->secured && !wire->error)
        vmf_wire_handshake(wire);
    while (!wire->freed && wire->secured && !wire->error && vmf_wire_open(wire))
        ;
}

static void
vmf_wire_receive_clear(VmfWire *wire)
{
    gsize n;

    if (!wire->secured) {
        /* not a byte more than the proof: the rest is frames */
        wire->in.end += vmf_wire_read(wire, wire->in.data + wire->in.end,
                                      vmf_proof_wants(&wire->proof) - wire->in.end);
        if (!wire->error)
            vmf_wire_prove(wire);
        return;
    }
    n = vmf_wire_make_room(wire);
    n = vmf_wire_read(wire, wire->chunk->data + wire->filled, n);
    if (n > 0)
        vmf_wire_deliver(wire, n);
}

static void
vmf_wire_unref(VmfWire *wire)
{
    if (--wire->refs > 0)
        return;
    g_clear_pointer(&wire->tls, vmf_tls_free);
    vmf_proof_clear(&wire->proof);
    vmf_buffer_clear(&wire->in);
    vmf_buffer_clear(&wire->out);
    vmf_slice_queue_clear(&wire->urgent);
    vmf_slice_queue_clear(&wire->queue);
    g_clear_pointer(&wire->chunk, vmf_chunk_unref);
    g_clear_error(&wire->error);
    g_clear_error(&wire->write_error);
    g_free(wire);
}

static void
vmf_wire_ready(GIOCondition condition, gpointer data)
{
    VmfWire *wire = data;

    wire->refs++;
    if (condition & G_IO_OUT) {
        vmf_wire_flush(wire);
        if (!wire->error && wire->secured && vmf_wire_waiting(wire) < VMF_WIRE_QUEUE)
            wire->events->drained(wire->owner);
    }
    if (condition & ~G_IO_OUT && !wire->error && !wire->freed) {
        if (wire->tls)
            vmf_wire_receive_sealed(wire);
        else
            vmf_wire_receive_clear(wire);
    }
    vmf_wire_unref(wire);
}

static gboolean
vmf_wire_set_up(VmfWire *wire, const VmfWireSetup *setup, GError **error)
{
    gsize n = 0;

    if (setup->encrypt) {
        vmf_buffer_init(&wire->in, TAKEN_SIZE);
        vmf_buffer_init(&wire->out, SEALED_SIZE);
        wire->tls = vmf_tls_new(setup->initiator, setup->secret, &wire->in, &wire->out, error);
        return wire->tls != NULL;
    }
    vmf_buffer_init(&wire->in, VMF_PROOF_MAX);
    vmf_buffer_init(&wire->out, 2 * VMF_PROOF_MAX);
    if (!vmf_proof_start(&wire->proof, setup->initiator, setup->secret, wire->out.data, &n, error))
        return FALSE;
    wire->out.end = n;
    return TRUE;
}

VmfWire *
vmf_wire_new(const VmfWireSetup *setup, VmfChunkPool *pool, const VmfWireEvents *events,
             gpointer owner, GError **error)
{
    VmfWire *wire = g_new0(VmfWire, 1);

    wire->refs = 1;
    wire->fd = setup->fd;
    wire->pool = pool;
    wire->events = events;
    wire->owner = owner;
    wire->watch = vmf_watch_new(wire->fd, vmf_wire_ready, wire);
    vmf_wire_tune(wire->fd);
    if (!vmf_wire_set_up(wire, setup, error)) {
        vmf_wire_free(wire);
        return NULL;
    }
    vmf_watch_want(wire->watch, G_IO_IN);
    if (wire->tls && setup->initiator)
        vmf_wire_handshake(wire);
    else
        vmf_wire_flush(wire);
    return wire;
}

void
vmf_wire_free(VmfWire *wire)
{
    wire->freed = TRUE;
    vmf_watch_free(wire->watch);
    close(wire->fd);
    vmf_timer_clear(&wire->report);
    vmf_wire_unref(wire);
}

static void
vmf_wire_add(VmfWire *wire, VmfSliceQueue *queue, VmfSlice frame)
{
    gboolean idle = vmf_wire_waiting(wire) == 0;

    if (!wire->secured || wire->error || wire->write_error || wire->finish) {
        vmf_chunk_unref(frame.chunk);
        return;
    }
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

guint64
vmf_wire_bytes_out(const VmfWire *wire)
{
    return wire->bytes_out;
}

guint64
vmf_wire_bytes_in(const VmfWire *wire)
{
    return wire->bytes_in;
}
