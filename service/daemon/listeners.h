/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which guest's QEMU waits on a TCP port of this host, or has a connection: the socket's inode
 * (proc(5), net/tcp) among the descriptors of the process that libvirt noted for the guest. Nobody
 * else's port is ever told to a peer, or dialled for one.
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

/*
 * The name of the guest whose QEMU holds the end of a connection that is at this address of this
 * host, or NULL; the caller's.
 */
char *vmf_connection_find_guest(GSocketAddress *end);

/* Where that guest's QEMU waits for its stream, or for its disks; NULL when it does not. */
GSocketAddress *vmf_listener_find_address(const char *guest, gboolean disks, const VmfPorts *range);

/* ---- for tests ---- */

typedef struct {
    GInetAddress *address;
    guint16 port;
    guint64 inode;
} VmfListener;

/* As the kernel's tcp_states.h. */
typedef enum { VMF_TCP_CONNECTED = 0x01, VMF_TCP_LISTENS = 0x0a } VmfTcpState;

/* Adds the sockets of a net/tcp or net/tcp6 in that state to an array that frees them. */
GPtrArray *vmf_listeners_new(void);
void vmf_listeners_parse(GPtrArray *listeners, const char *proc_net_tcp, VmfTcpState state);
