/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The last stage: writes bytes to QEMU's socket, in order, at once as far as the socket takes them.
 *
 * It may be given bytes before it has a socket (the daemon is still dialling). Its queue is bounded
 * by the credit that the other side was given.
 *
 * Events may come from inside the calls. After `failed` bytes are dropped and nothing is reported.
 * Ownership: the descriptor is the caller's. Threads: belongs to one.
 */
#pragma once

#include "link/chunk.h"

typedef struct VmfOutlet VmfOutlet;

typedef struct {
    /* That many more bytes were written. */
    void (*delivered)(gpointer owner, gsize bytes);
    /* Everything was written, and the socket half-closed. */
    void (*ended)(gpointer owner);
    /* An errno. */
    void (*failed)(gpointer owner, int error);
} VmfOutletEvents;

VmfOutlet *vmf_outlet_new(const VmfOutletEvents *events, gpointer owner);

/* Not from inside an event. */
void vmf_outlet_free(VmfOutlet *outlet);
void vmf_outlet_attach(VmfOutlet *outlet, int fd);

/* The slice stays the caller's; what cannot be written now is kept. */
void vmf_outlet_write(VmfOutlet *outlet, const VmfSlice *bytes);

/* Bytes that it was given and the socket has not taken. */
gsize vmf_outlet_waiting(const VmfOutlet *outlet);

/* Half-close after all that was given. */
void vmf_outlet_end(VmfOutlet *outlet);

/* No more writing, no more events; what waits is dropped. */
void vmf_outlet_stop(VmfOutlet *outlet);
