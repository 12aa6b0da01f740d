/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A door on this host's loopback for QEMU's connections, where they cannot come over a socket in
 * the file system: 127.77.0.1 and one of the ports that libvirt uses for migrations (and that
 * firewalls between hosts let through). It takes root and QEMU's user only.
 *
 * Opened in any thread; connections are taken, and the door is closed, on the main loop.
 */
#pragma once

#include <gio/gio.h>

#define VMF_LOOPBACK_ADDRESS "127.77.0.1"

typedef struct VmfLoopback VmfLoopback;

typedef void (*VmfLoopbackTaken)(gpointer data, GSocket *connection);

/* `uid`: of QEMU. `id`: of the migration, for the log. Error: LIMIT_REACHED (no port is free). */
VmfLoopback *vmf_loopback_open(guint uid, const char *id, VmfLoopbackTaken taken, gpointer data,
                               GError **error);
void vmf_loopback_close(VmfLoopback *loopback);

guint16 vmf_loopback_get_port(const VmfLoopback *loopback);

/* The uid of the process at the other end of a TCP connection within this host; FALSE if the kernel
 * does not say. Any thread. */
gboolean vmf_loopback_find_user(GSocket *connection, guint *ret_uid);
