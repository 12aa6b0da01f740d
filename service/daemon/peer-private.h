/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a peer consists of; see peer.h.
 *
 *   peer.c        its links: dialled, taken, lost; its object on the bus
 *   peer-hello.c  what is said on them first, and what follows from it
 */
#pragma once

#include "daemon/peer.h"
#include "daemon/redial.h"
#include "vmferry-bus.h"

struct _VmfPeer {
    GObject parent_instance;

    VmfDaemon *daemon; /* outlives its peers */
    VmfPeerConfig *config;
    VmfBusObjectSkeleton *object;
    VmfRedial *redial; /* NULL at the end; main loop */
    int calls;         /* of the peer's, that are not answered yet; atomic */
    VmfBusPeer *bus;   /* setters from any thread */
    GMutex lock;       /* for the following */
    gboolean dialling; /* by one worker; the others wait for `dialled` */
    GCond dialled;
    GDBusConnection *link;
    GSocketAddress *remote;
    guint links; /* open, in both directions */
};
