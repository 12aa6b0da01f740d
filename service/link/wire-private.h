/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What wire.c (life, proof, reading) and wire-write.c share. See wire.h. */
#pragma once

#include "base/watch.h"
#include "link/proof.h"
#include "link/sums.h"
#include "link/tls.h"
#include "link/wire.h"

struct VmfWire {
    int fd;
    VmfWatch *watch;
    VmfChunkPool *pool;
    const VmfWireEvents *events;
    gpointer owner;

    gboolean secured;
    VmfTls *tls;    /* NULL: in the clear */
    VmfProof proof; /* in the clear only */
    VmfSums *sums;  /* likewise; NULL: frames go without */
    VmfBuffer in;   /* sealed, or of the proof */
    VmfBuffer out;

    VmfSliceQueue urgent, queue;
    gboolean
        in_frame;    /* of the first in `queue` a part has gone, if only what `sums` put in front */
    gboolean headed; /* that part is gone */
    gboolean finish; /* half-close when all is written */
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

/* It is over; the owner will be told. Takes the error. */
void vmf_wire_break(VmfWire *wire, GError *error);

/* From errno. */
GError *vmf_wire_errno(const char *what);

/* Writes what the socket takes. */
void vmf_wire_flush(VmfWire *wire);
