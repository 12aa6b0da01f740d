/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The first stage: takes bytes from QEMU's socket as fast as the next stage has room for them, and
 * hands them on at once, however few.
 *
 * The next stage is whoever takes the events: the link now, something that rewrites later.
 * Ownership: the descriptor is the caller's. Threads: belongs to one.
 */
#pragma once

#include "link/chunk.h"

typedef struct VmfIntake VmfIntake;

typedef struct {
    /* Bytes that may be handed on now; with 0 the intake rests until vmf_intake_resume(). */
    gsize (*room)(gpointer owner);
    /* Headroom is in front of the bytes. Takes the reference. */
    void (*bytes)(gpointer owner, VmfSlice bytes);
    /* There was room for more, but nothing to read. */
    void (*starved)(gpointer owner);
    /* End of file. Nothing follows. */
    void (*end)(gpointer owner);
    /* An errno. Nothing follows. */
    void (*failed)(gpointer owner, int error);
} VmfIntakeEvents;

VmfIntake *vmf_intake_new(int fd, VmfChunkPool *pool, const VmfIntakeEvents *events,
                          gpointer owner);

/* Not from inside an event. */
void vmf_intake_free(VmfIntake *intake);

/* If it rests: looks again whether there is room. Events may come from inside. */
void vmf_intake_resume(VmfIntake *intake);

/* Reads now, whether or not the socket is known to have something. */
void vmf_intake_poke(VmfIntake *intake);

/* No more events. */
void vmf_intake_stop(VmfIntake *intake);
