/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sockets that stand open for who types virsh migrate: for each running guest and each peer
 * that may receive it RUN/PEER/GUEST.sock and, for its disks, RUN/PEER/GUEST.nbd; and on the
 * destination the folder RUN/THIS-HOST in which QEMU binds the same path.
 *
 *     virsh migrate --live GUEST qemu+ssh://PEER/system --migrateuri unix:///RUN/PEER/GUEST.sock
 *
 * The first connection starts a migration of origin "socket"; those that follow belong to it until
 * it is over. A guest whose policy does not name this way (vmferry-policy(5), auto-enable) has no
 * sockets. Guests are known from libvirt's lifecycle events. Main loop; what blocks is done in
 * threads. A VmfSockets belongs to its daemon.
 */
#pragma once

#include "daemon/daemon.h"
#include "xml/policy.h"

VmfSockets *vmf_sockets_new(VmfDaemon *daemon);
void vmf_sockets_free(VmfSockets *sockets);

/*
 * The path that stands open for a guest (name or UUID) towards a peer; the caller's.
 * Errors: PEER_REFUSED, DOMAIN_NOT_RUNNING, NOT_SUPPORTED.
 */
char *vmf_sockets_find_path(VmfSockets *sockets, const char *guest, VmfPeer *peer, GError **error);

/*
 * A migration that vmferry leads opens the same paths itself: while it runs they are not ours. When
 * one is over they are opened again.
 */
void vmf_sockets_lend(VmfSockets *sockets, const char *uuid);
void vmf_sockets_take_back(VmfSockets *sockets);

/* Of a guest that runs here and can be taken, or NULL; borrowed. */
const char *vmf_sockets_get_name(VmfSockets *sockets, const char *uuid);
const char *vmf_sockets_get_uuid(VmfSockets *sockets, const char *name);

/* What holds for a guest that runs here on its way to a peer; NULL: not known. The caller's. */
VmfChosenPolicy *vmf_sockets_choose_policy(VmfSockets *sockets, const char *uuid, VmfPeer *peer);

/* A connection of a guest's, by whatever way. All is borrowed. */
typedef struct {
    VmfPeer *peer;
    const char *name, *uuid; /* the guest's */
    const char *origin;      /* as Migration.Origin */
    const char *kind;        /* of the channel; static */
    GSocket *socket;
    GSocketAddress *onward; /* no vmferryd answers there: where it was going; or NULL */
    const char *why_onward;
} VmfBrought;

/*
 * Starts the guest's migration, or joins it. When it cannot be, the connection is dropped, and the
 * log says why.
 */
void vmf_sockets_take(VmfSockets *sockets, const VmfBrought *brought);

/* One more of a stream that goes on to just there, if there is such: TRUE. */
gboolean vmf_sockets_join_onward(VmfSockets *sockets, GSocketAddress *onward, GSocket *socket);
