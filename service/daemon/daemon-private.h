/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a daemon consists of; see daemon.h.
 *
 *   daemon.c             start and end, maintenance
 *   daemon-parts.c       what the parts ask it for: one another, peers, migrations
 *   daemon-migrations.c  migrations on the bus, and how long finished ones stay
 */
#pragma once

#include "daemon/daemon.h"
#include "daemon/port.h"
#include "daemon/readers.h"

struct VmfDaemon {
    VmfConfig *config;
    VmfBudget *budget;
    VmfLibvirt *libvirt;
    VmfOwner *owner;
    VmfTicketBook *tickets;
    VmfRefusals *refusals;
    VmfAgreementBook *agreements;
    VmfWorkers *workers;
    VmfInspector *inspector;
    VmfProber *prober;
    VmfNatives *natives;
    int maintenance;        /* atomic */
    GHashTable *peers;      /* name -> VmfPeer */
    GHashTable *migrations; /* id -> VmfMigration, finished ones for a while */
    GHashTable *incoming;   /* id -> VmfIncoming, running */
    GQueue finished;        /* VmfFinished, oldest first */
    VmfPort *port;
    VmfSockets *sockets;
    VmfCapturer *capturer;
    VmfPolicies *policies;
    VmfExternal *external;
    VmfObserver *observer;
    VmfLessons *lessons;
    VmfRewrite *rewrite; /* NULL: nothing is changed */

    GDBusConnection *bus;
    GDBusObjectManagerServer *objects;
    VmfReaders *readers; /* of all of them */
    GDBusInterfaceSkeleton *manager;
    guint name_id;
    guint forgetting; /* the timer for the oldest of `finished` */
    GMainLoop *loop;
    int status;
};

/* The oldest of those that are finished goes; there is one. */
void vmf_daemon_forget_oldest(VmfDaemon *daemon);
