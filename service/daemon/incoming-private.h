/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the destination's part in a migration consists of; see incoming.h.
 *
 *   incoming.c           life: what the pump and libvirt say, data links, cancelling, the end
 *   incoming-prepare.c   the beginning
 *   incoming-takeover.c  the same of one that an earlier vmferryd prepared
 *   incoming-verdict.c   how it ended, by the source's word or libvirt's
 */
#pragma once

#include "daemon/dialler.h"
#include "daemon/incoming.h"
#include "daemon/pump-process.h"

struct VmfIncoming {
    VmfDaemon *daemon; /* outlives it */
    VmfMigration *migration;
    VmfPeer *peer;
    GDBusConnection *link; /* that it was prepared over; NULL: an earlier vmferryd's */
    VmfAgreement *agreement;
    char *dname;
    char *path;        /* QEMU's socket */
    guint uid;         /* QEMU's user */
    gboolean captured; /* QEMU waits on TCP, not at `path` */
    gboolean external; /* libvirt was asked by somebody else, and has prepared the guest here */
    gboolean resume;   /* the rest of a post-copy that failed: the guest is here */
    uint8_t secret[VMF_TICKET_SECRET_SIZE];
    uint8_t ticket[VMF_TICKET_ID_SIZE];

    VmfBusLink *skeleton;
    GDBusMethodInvocation *preparing; /* Prepare, until it is answered */
    GDBusMethodInvocation *finishing; /* Finish, likewise */

    gboolean adopting;    /* there may be a pump in a moment */
    VmfProcessId process; /* then */
    VmfPump *pump;
    VmfDialler *dialler;
    GError *pump_error;
    gulong cancel_handler;
    guint timer; /* the one patience that runs */

    gboolean doubted; /* what the source said is held against libvirt's word */
    gboolean decided; /* `verdict` holds */
    GError *verdict;
};

const char *vmf_incoming_id(VmfIncoming *incoming);

/* From now on what is wanted of the migration, and libvirt tells of its guest, is heard. */
void vmf_incoming_listen(VmfIncoming *incoming);

/* There is a pump: so is what it says, and what it wants is dialled. */
void vmf_incoming_take_pump(VmfIncoming *incoming, VmfPump *pump);

/* There is none any more: the source has some time to say how it ended, then libvirt is asked. */
void vmf_incoming_expect_verdict(VmfIncoming *incoming);

/* It is ready: a data link has to come within its time. */
void vmf_incoming_expect_link(VmfIncoming *incoming);

/* It is decided how it ended (NULL: well); over as soon as the pump is. */
void vmf_incoming_decide(VmfIncoming *incoming, const GError *verdict);

/* The one patience; 0: none. */
void vmf_incoming_set_timer(VmfIncoming *incoming, guint seconds, GSourceFunc callback);

/* QEMU leaves its sockets behind. */
void vmf_incoming_remove_sockets(VmfIncoming *incoming);
