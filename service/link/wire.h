/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A data connection as a transport of bytes: the proof of the secret, TLS or not, large writes, and
 * a queue that is bounded by its user.
 *
 * Whole frames are queued; urgent ones pass those that wait, but never the inside of one. What is
 * queued is written at once as far as the socket takes it.
 *
 * Events come from the main loop, never from inside a call (but `received` may come again and again
 * in one round). `broken` is the last one. From inside an event a wire may be closed or freed.
 *
 * Ownership: the wire closes the descriptor. Threads: belongs to the one whose thread-default
 * context it was made in.
 */
#pragma once

#include <glib.h>

#include "link/chunk.h"
#include "link/ticket.h"

/* Users should not add to a queue that is as long as this. */
#define VMF_WIRE_QUEUE (256 * 1024)

typedef struct VmfWire VmfWire;

typedef struct {
    /* Both sides have proved the secret. */
    void (*secured)(gpointer owner);
    /* Plain bytes; keep with vmf_slice_keep(). */
    void (*received)(gpointer owner, const VmfSlice *bytes);
    /* The queue is shorter than VMF_WIRE_QUEUE (again). */
    void (*drained)(gpointer owner);
    /* VMF_ERROR_LINK_BROKEN, or VMF_ERROR_PEER_UNTRUSTED before `secured`. */
    void (*broken)(gpointer owner, const GError *error);
} VmfWireEvents;

typedef struct {
    int fd; /* a connected stream socket whose preface is done; taken, even on failure */
    gboolean initiator;
    gboolean encrypt;
    const uint8_t *secret; /* VMF_TICKET_SECRET_SIZE bytes, copied */
    gboolean sums; /* where it is not encrypted: checksums (link/sums.h), as was agreed on */
} VmfWireSetup;

/* The pool must live longer. Fails with VMF_ERROR_FAILED. */
VmfWire *vmf_wire_new(const VmfWireSetup *setup, VmfChunkPool *pool, const VmfWireEvents *events,
                      gpointer owner, GError **error);
void vmf_wire_free(VmfWire *wire);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfWire, vmf_wire_free)

/* Not before `secured`. Take the slice's reference; dropped if the wire is broken. */
void vmf_wire_send(VmfWire *wire, VmfSlice frame);
void vmf_wire_send_urgent(VmfWire *wire, VmfSlice frame);

/* Nothing more is sent: half-closes after what is queued. What comes is still received. */
void vmf_wire_finish(VmfWire *wire);

/* Bytes that the socket has not taken yet; in urgent frames. */
gsize vmf_wire_waiting(const VmfWire *wire);
gsize vmf_wire_waiting_urgent(const VmfWire *wire);

/* Bytes written to and read from the socket. */
guint64 vmf_wire_bytes_out(const VmfWire *wire);
guint64 vmf_wire_bytes_in(const VmfWire *wire);
