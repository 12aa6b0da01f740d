/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the source's part in a migration consists of; see outgoing.h.
 *
 *   outgoing.c          life: begin, cancel, settings, the thread's order of steps, the end
 *   outgoing-choose.c   the talk with the peer, and the engine that follows from it
 *   outgoing-prepare.c  what comes before libvirt: check, pump, doorways
 *   outgoing-migrate.c  libvirt's migration, and what came of it
 *   outgoing-takeover.c the same of one that an earlier vmferryd began
 */
#pragma once

#include "daemon/engine.h"
#include "daemon/follow.h"
#include "daemon/job-watch.h"
#include "daemon/one-sided.h"
#include "daemon/outgoing.h"
#include "daemon/pilot.h"
#include "daemon/pump-process.h"
#include "daemon/reconnect.h"
#include "daemon/switchover.h"
#include "daemon/uptake.h"
#include "link/agreement.h"

typedef struct {
    VmfDaemon *daemon; /* outlives it: it waits for its migrations */
    VmfMigration *migration;
    VmfPeer *peer;
    VmfOptions *options;
    VmfFollow *follow;         /* libvirt was asked by somebody else; NULL: by us */
    GCancellable *cancellable; /* for every step but libvirt's */
    VmfJobWatch *watch;
    VmfPilot *pilot;
    VmfSwitchover *switchover;
    VmfUptake uptake;        /* main loop */
    VmfReconnect *reconnect; /* once there is a pump that may need it; main loop */

    /* the worker's, set once and in order */
    GDBusConnection *link;
    GSocketAddress *remote;
    VmfAgreement *agreement;
    GVariant *loadable; /* what the stream is held against; NULL: nothing */
    gboolean prepared;
    char *path;
    uint8_t ticket[VMF_TICKET_ID_SIZE];
    uint8_t secret[VMF_TICKET_SECRET_SIZE];
    GPtrArray *doorways;
    VmfEngine engine;
    VmfNativeMethod method; /* of engine native */
    VmfNative native;       /* what the guest's emulator can without a pump, if that is known: */
    gboolean native_is_known;
    VmfOneSided *one_sided; /* of that engine; freed on the main loop */

    GMutex lock; /* for the following, which both threads touch */
    VmfPump *pump;
    virDomainPtr domain; /* while libvirt migrates it */
    GError *pump_error;
    gboolean torn;         /* the guest's memory is on both hosts */
    gboolean ended_surely; /* of `ended`: not that it may just be gone */
    gboolean ended;        /* its QEMU here has, of itself or by somebody's doing */
    VmfFollow *unattended; /* post-copy: what QEMU does when libvirt has given up; or NULL */
    VmfFollow *taken;      /* begun by an earlier vmferryd: what libvirt does; or NULL */
    VmfProcessId process;  /* its pump then */
} VmfOutgoing;

const char *vmf_outgoing_id(VmfOutgoing *outgoing);

/* ---- the steps, in the worker's order ---- */

/* Talks with the peer, and chooses the engine. */
gboolean vmf_outgoing_choose(VmfOutgoing *outgoing, GError **error);

/* Chooses the engine and lays its way, to where libvirt can be called. */
gboolean vmf_outgoing_prepare(VmfOutgoing *outgoing, GError **error);

/* Until libvirt says how it ended. */
gboolean vmf_outgoing_migrate(VmfOutgoing *outgoing, GError **error);

/* Instead of both, for one that an earlier vmferryd began. */
gboolean vmf_outgoing_take_up(VmfOutgoing *outgoing, GError **error);

/* ---- parts of them ---- */

/* It is heard and told from now on; takes the reference. */
void vmf_outgoing_take_pump(VmfOutgoing *outgoing, VmfPump *pump);

/* The sockets that libvirt and QEMU come to. Error: FAILED. */
gboolean vmf_outgoing_open_doorways(VmfOutgoing *outgoing, GError **error);

/*
 * From here on a cancel aborts libvirt's job on `domain`, NULL: no more. FALSE and CANCELLED when
 * there was one before.
 */
gboolean vmf_outgoing_set_domain(VmfOutgoing *outgoing, virDomainPtr domain, GError **error);

/* What came of it, as libvirt says: `problem`, or NULL. `domain` may be NULL: not there. */
gboolean vmf_outgoing_conclude(VmfOutgoing *outgoing, virDomainPtr domain, const GError *problem,
                               GError **error);

/*
 * In post-copy libvirt waits for the destination's QEMU to notice that the stream is over, and that
 * one's pump for the link to come back: its vmferryd is told at once that ours is gone. Any thread.
 */
void vmf_outgoing_warn_peer(VmfOutgoing *outgoing, GDBusConnection *link, const GError *error);

/* A new one, with what listens and steers; goes by itself after vmf_outgoing_run(). */
VmfOutgoing *vmf_outgoing_new(VmfDaemon *daemon, VmfMigration *migration, VmfPeer *peer,
                              VmfOptions *options, VmfFollow *follow);
void vmf_outgoing_run(VmfOutgoing *outgoing);

/* Where the guest is when it did not end well, in words; the caller's. */
char *vmf_outgoing_fate(VmfOutgoing *outgoing);

/* Likewise, of one that is on both hosts. */
char *vmf_outgoing_torn_fate(VmfOutgoing *outgoing);

/* The source's libvirtd reaches the destination's over the data link. */
gboolean vmf_outgoing_carries_libvirt(VmfOutgoing *outgoing);

/* Tells the pump what to do to the stream, as far as there is memory for it. With the lock held. */
void vmf_outgoing_give_delta(VmfOutgoing *outgoing);

/* ---- what the pump says (main loop) ---- */

void vmf_outgoing_on_statistics(VmfPump *pump, GVariant *statistics, VmfOutgoing *outgoing);
void vmf_outgoing_on_lost_links(VmfPump *pump, GVariant *lost, VmfOutgoing *outgoing);
void vmf_outgoing_on_pump_ended(VmfPump *pump, const GError *error, VmfOutgoing *outgoing);
