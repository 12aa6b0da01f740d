/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A socket at the source where libvirtd and QEMU bring a guest's stream: RUN/PEER/GUEST.sock.
 *
 * And those beside it, for its disks and for the other host's libvirtd. It takes root (libvirtd)
 * and the user that this host's QEMU runs as, nobody else; with `guest` of that user only the
 * process that runs this guest.
 * Opening and closing may be done in a worker thread (they block shortly); connections are taken
 * on the main loop, in order of accept.
 */
#pragma once

#include <gio/gio.h>

typedef struct VmfDoorway VmfDoorway;

/* Main loop. `kind` is that of the setup. */
typedef void (*VmfDoorwayTaken)(gpointer data, const char *kind, GSocket *connection);

/* Strings are copied, but for `kind`. */
typedef struct {
    const char *path;
    const char *kind;  /* of the channels: "qemu", "nbd" or "libvirt"; static */
    const char *id;    /* of the migration, for the log; or NULL */
    const char *guest; /* libvirt's name of it, or NULL */
    guint uid, gid;    /* of QEMU */
    VmfDoorwayTaken taken;
    gpointer data;
    GDestroyNotify release; /* of `data`: on the main loop, when nothing can be taken any more */
} VmfDoorwaySetup;

/* Releases the data also when it fails. */
VmfDoorway *vmf_doorway_open(const VmfDoorwaySetup *setup, GError **error);

/* Removes the socket, unless another has taken its place; connections that were taken stay. */
void vmf_doorway_close(VmfDoorway *doorway);
