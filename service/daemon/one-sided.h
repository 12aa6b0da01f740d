/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stream of a migration to a host without vmferryd: QEMU brings it to a door on this host's
 * loopback, and it goes on in the clear to where the destination's QEMU listens.
 *
 * libvirt is given one migration URI, tcp://127.77.0.1:PORT, and, as listen address, one of the
 * destination's own: the destination's QEMU listens there on the same port. The door takes root
 * (libvirtd) and QEMU's user. In between are both pumps, on this host and without encryption, so
 * that the stream can be rewritten as on any other way; nothing of theirs leaves the host but
 * QEMU's own stream. A stream that was captured needs no door and no URI.
 *
 * Made in a worker thread (it blocks), freed on the main loop.
 */
#pragma once

#include "daemon/daemon.h"
#include "daemon/options.h"
#include "daemon/pump-process.h"

typedef struct VmfOneSided VmfOneSided;

typedef struct {
    VmfDaemon *daemon;
    const VmfPeerConfig *peer;
    const VmfOptions *options;
    const char *id;         /* of the migration */
    guint64 memory;         /* of the guest, bytes; 0: not known */
    GSocketAddress *onward; /* the stream was captured on its way there; NULL: it is yet to come */
    GCancellable *cancellable;
} VmfOneSidedSetup;

/* Errors: PEER_UNREACHABLE (its name does not resolve), LIMIT_REACHED (no port is free, or no
 * memory for two pumps), PUMP_FAILED, CANCELLED. */
VmfOneSided *vmf_one_sided_new(const VmfOneSidedSetup *setup, GError **error);
void vmf_one_sided_free(VmfOneSided *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfOneSided, vmf_one_sided_free)

/* The pump that QEMU's connections go to, and the one that they go on from; borrowed. */
VmfPump *vmf_one_sided_get_pump(VmfOneSided *self);
VmfPump *vmf_one_sided_get_onward(VmfOneSided *self);

/* For libvirt; borrowed. NULL for a stream that was captured. */
const char *vmf_one_sided_get_uri(VmfOneSided *self);
const char *vmf_one_sided_get_listen_address(VmfOneSided *self);

/* What pumps leave that an earlier vmferryd started for that migration, once it is over. */
void vmf_one_sided_remove_leftovers(const VmfConfig *config, const char *id);
