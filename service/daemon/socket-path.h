/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the sockets of vmferry lie.
 *
 *   RUN/PEER/GUEST.sock  on the source our socket, on the destination the one QEMU itself binds:
 *                        libvirt hands one path string to both
 *   RUN/pumps/ID         control sockets of pumps
 *
 * A guest's name may hold anything but a slash. Bytes outside [A-Za-z0-9._-], and a dot in front,
 * are written ~XX (libvirt decodes %XX in a migration URI, so that is not for us); a name too long
 * for the 107 bytes of a socket address is cut and ends in ~~ and 16 hex digits of its SHA-256.
 * Distinct names give distinct paths. Pure; results are the caller's.
 */
#pragma once

#include <glib.h>

#define VMF_SOCKET_PATH_MAX 107

/* NULL when `run_directory` and `peer` leave no room for a guest (40 bytes are enough). */
char *vmf_socket_path(const char *run_directory, const char *peer, const char *guest);

char *vmf_pump_socket_path(const char *run_directory, const char *id);
