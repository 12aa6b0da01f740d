/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the sockets of vmferry lie.
 *
 *   RUN/PEER/GUEST.sock  on the source our socket, on the destination the one QEMU itself binds:
 *                        libvirt hands one path string to both
 *   RUN/PEER/GUEST.nbd   likewise for the disks of a guest that takes them along
 *   RUN/PEER/GUEST.virt  on the source, where its libvirtd finds the destination's through the pump
 *   RUN/pumps/ID         control sockets of pumps
 *
 * A guest's name may hold anything but a slash. Bytes outside [A-Za-z0-9._-], and a dot in front,
 * are written ~XX (libvirt decodes %XX in a migration URI, so that is not for us); a name too long
 * for the 107 bytes of a socket address is cut and ends in ~~ and 16 hex digits of its SHA-256.
 * Distinct names give distinct paths. Results are the caller's. Pure, but for
 * vmf_socket_folder_make().
 */
#pragma once

#include <glib.h>

#define VMF_SOCKET_PATH_MAX 107

/* NULL when `run_directory` and `peer` leave no room for a guest (40 bytes are enough). */
char *vmf_socket_path(const char *run_directory, const char *peer, const char *guest);

/* The sockets beside one of vmf_socket_path(). */
char *vmf_socket_path_for_nbd(const char *path);
char *vmf_socket_path_for_libvirt(const char *path);

char *vmf_pump_socket_path(const char *run_directory, const char *id);

/*
 * RUN/HOST on the destination: QEMU's user binds its sockets there, and nobody else.
 * Error: FAILED. Any thread.
 */
gboolean vmf_socket_folder_make(const char *run_directory, const char *host, guint uid, guint gid,
                                GError **error);
