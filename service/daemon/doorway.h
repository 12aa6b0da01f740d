/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The socket at the source where libvirtd and QEMU bring a guest's stream: RUN/PEER/GUEST.sock.
 *
 * And those beside it, for its disks and for the other host's libvirtd. It takes root and the user
 * that this host's QEMU runs as, nobody else; each connection becomes a channel of the pump, in
 * order of accept. Opening and closing may be done in a worker thread (they block shortly);
 * connections are taken on the main loop.
 */
#pragma once

#include "daemon/owner.h"
#include "daemon/preempt.h"
#include "daemon/pump-process.h"

typedef struct VmfDoorway VmfDoorway;

/*
 * `kind`: of the channels, "qemu", "nbd" or "libvirt"; static. `id`: of the migration, for the log.
 * `preempt`: asked first whether it takes a connection; NULL: none.
 */
VmfDoorway *vmf_doorway_open(const char *path, const char *kind, VmfPump *pump, const char *id,
                             VmfOwner *owner, VmfPreempt *preempt, GError **error);

/* Removes the socket; connections that were taken stay. */
void vmf_doorway_close(VmfDoorway *doorway);
