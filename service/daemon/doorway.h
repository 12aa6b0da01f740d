/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The socket at the source where libvirtd and QEMU bring a guest's stream: RUN/PEER/GUEST.sock.
 *
 * It takes root and the user that this host's QEMU runs as, nobody else; each connection becomes a
 * channel of the pump, in order of accept. Opening and closing may be done in a worker thread
 * (they block shortly); connections are taken on the main loop.
 */
#pragma once

#include "daemon/owner.h"
#include "daemon/pump-process.h"

typedef struct VmfDoorway VmfDoorway;

/* `id`: of the migration, for the log. */
VmfDoorway *vmf_doorway_open(const char *path, VmfPump *pump, const char *id, VmfOwner *owner,
                             GError **error);

/* Removes the socket; connections that were taken stay. */
void vmf_doorway_close(VmfDoorway *doorway);
