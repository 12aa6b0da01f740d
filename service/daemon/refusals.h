/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is said of those who are turned away at the port. Strangers may come ten thousand times a
 * second, and the log is not theirs to fill: of each cause the first one is logged at once, the
 * others are counted, and the count is logged once in a while, and at the end.
 *
 * Memory does not grow with what comes. Belongs to the main loop.
 */
#pragma once

#include <glib.h>

/* One cause each, as an administrator would count them. */
typedef enum {
    VMF_REFUSAL_SILENT,       /* no preface in time, or not all of one */
    VMF_REFUSAL_NOT_OURS,     /* bytes that are no preface */
    VMF_REFUSAL_VERSION,      /* a protocol version that is not spoken here */
    VMF_REFUSAL_KIND,         /* a kind of connection that is not taken */
    VMF_REFUSAL_TICKET,       /* unknown, used, or expired */
    VMF_REFUSAL_BUSY,         /* too many at once */
    VMF_REFUSAL_UNTRUSTED,    /* no TLS, or no good certificate */
    VMF_REFUSAL_STRANGER,     /* a good certificate, but not in peers.d */
    VMF_REFUSAL_PROOF,        /* a data connection that knows a ticket, but not its secret */
    VMF_REFUSAL_NO_RESOURCES, /* this host has no descriptor or memory for it */
    VMF_REFUSALS
} VmfRefusal;

#define VMF_REFUSALS_WINDOW 60 /* s */

typedef struct VmfRefusals VmfRefusals;

/* `window`: seconds between two lines of one cause. */
VmfRefusals *vmf_refusals_new(guint window);

/* Logs what was only counted. */
void vmf_refusals_free(VmfRefusals *refusals);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfRefusals, vmf_refusals_free)

/* `id`: of the migration it was about, or NULL. `from`: who was refused; `why`: in a sentence. */
void vmf_refusals_note(VmfRefusals *refusals, VmfRefusal cause, const char *id, const char *from,
                       const char *why);
