/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/wire-private.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/timer.h"

#define SEALED_SIZE (18 * VMF_TLS_RECORD_WIRE) /* a full DATA frame and some */
#define TAKEN_SIZE (256 * 1024)                /* of TLS, from the socket at once */
#define PROOF_MAX (64 * 1024)     /* from who has not proved the secret; 1 KiB is usual */
#define RECEIVE_MIN (64 * 1024)   /* less room in a chunk: take a new one */
#define UNSENT_MAX (128 * 1024)   /* bytes; more would only wait in the kernel */
#define USER_TIMEOUT (30 * 1000u) /* ms without an acknowledgement by the other host's TCP */

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

void
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

GError *
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

static GError *
vmf_wire_too_long(void)
{
    return g_error_new(VMF_ERROR, VMF_ERROR_PEER_UNTRUSTED,
                       "the other side sent %d bytes and no proof that it knows this migration's "
                       "secret",
                       PROOF_MAX);
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

    if (!wire->secured)
        room = MIN(room, PROOF_MAX - wire->bytes_in);
    wire->in.end += vmf_wire_read(wire, wire->in.data + wire->in.end, room);
    if (!wire->secured && !wire->error)
        vmf_wire_handshake(wire);
    if (!wire->secured && !wire->error && wire->bytes_in >= PROOF_MAX)
        vmf_wire_break(wire, vmf_wire_too_long());
    while (!wire->freed && wire->secured && !wire->error && vmf_wire_open(wire))
        ;
}

/* Hands on the frames that are whole and right. */
static void
vmf_wire_check(VmfWire *wire, VmfSlice bytes)
{
    VmfSliceQueue *frame = vmf_sums_frame(wire->sums);
    VmfSumsAnswer answer = VMF_SUMS_FRAME;
    GError *error = NULL;

    while (answer == VMF_SUMS_FRAME && !wire->freed && !wire->error) {
        answer = vmf_sums_open(wire->sums, &bytes, &error);
        while (answer == VMF_SUMS_FRAME && frame->count > 0 && !wire->freed && !wire->error) {
            wire->events->received(wire->owner, vmf_slice_queue_peek(frame, 0));
            vmf_slice_queue_drop(frame, vmf_slice_queue_peek(frame, 0)->length);
        }
    }
    if (answer == VMF_SUMS_ERROR)
        vmf_wire_break(wire, error);
}

static void
vmf_wire_receive_clear(VmfWire *wire)
{
    VmfSlice slice;
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
    slice = (VmfSlice){wire->chunk, wire->chunk->data + wire->filled, n};
    if (n > 0 && wire->sums) {
        wire->filled += n;
        vmf_wire_check(wire, slice);
    } else if (n > 0) {
        vmf_wire_deliver(wire, n);
    }
}

static void
vmf_wire_unref(VmfWire *wire)
{
    if (--wire->refs > 0)
        return;
    g_clear_pointer(&wire->tls, vmf_tls_free);
    g_clear_pointer(&wire->sums, vmf_sums_free);
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
    wire->sums = setup->sums ? vmf_sums_new() : NULL;
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
