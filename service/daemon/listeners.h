/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which guest's QEMU waits on a TCP port of this host: the socket's inode (proc(5), net/tcp) among
 * the descriptors of the process that libvirt noted for the guest. Nobody else's port is ever told
 * to a peer, or dialled for one.
 *
 * Reads /proc only: a millisecond. Any thread.
 */
#pragma once

#include <gio/gio.h>

/* TCP ports, both included. */
typedef struct {
    guint16 first, last;
} VmfPorts;

/*
 * The name of the guest, or NULL when no guest's QEMU listens there; the caller's. `ret_disks`: it
 * is where its disks go. libvirt takes the lowest free port of its range for the stream and then
 * the next one for the disks, so of two listeners of one QEMU the lower is the stream's.
 */
char *vmf_listener_find_guest(guint16 port, const VmfPorts *range, gboolean *ret_disks);

/* Where that guest's QEMU waits for its stream, or for its disks; NULL when it does not. */
GSocketAddress *vmf_listener_find_address(const char *guest, gboolean disks, const VmfPorts *range);

/* ---- for tests ---- */

typedef struct {
    GInetAddress *address;
    guint16 port;
    guint64 inode;
} VmfListener;

/* Adds the listening sockets of a net/tcp or net/tcp6 to an array that frees them. */
GPtrArray *vmf_listeners_new(void);
void vmf_listeners_parse(GPtrArray *listeners, const char *proc_net_tcp);
