/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The destination's part in channels: dials what each one is for, and hands the connection to the
 * pump. One at a time and in order, because QEMU tells its streams apart by the order in which they
 * come; at once and without waiting for bytes, because some say nothing for long. Main loop.
 */
#pragma once

#include "daemon/listeners.h"
#include "daemon/pump-process.h"
#include "link/agreement.h"

typedef struct VmfDialler VmfDialler;

/*
 * `id`: of the migration, for the log. `path`: QEMU's socket, see socket-path.h, in a folder that
 * belongs to `uid`, the user QEMU runs as: only what this user listens on is taken there.
 * `libvirt_socket`: this host's libvirtd. `agreement`: says which kinds of channels there may be.
 */
VmfDialler *vmf_dialler_new(VmfPump *pump, const char *id, const char *path, guint uid,
                            const char *libvirt_socket, const VmfAgreement *agreement);

/* Every channel is QEMU's, and goes on to `there`, which is on another host. */
VmfDialler *vmf_dialler_new_onward(VmfPump *pump, const char *id, GSocketAddress *there);

void vmf_dialler_free(VmfDialler *dialler);

/* QEMU waits on TCP, in this range. `guest`: libvirt's name of it here. */
void vmf_dialler_use_ports(VmfDialler *dialler, const char *guest, const VmfPorts *range);

/* The pump wants a connection for `channel`. */
void vmf_dialler_add(VmfDialler *dialler, guint channel, const char *kind);
