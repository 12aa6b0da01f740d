/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The firewall rule that leads plain migrations to vmferryd: table inet "vmferry" of nftables,
 * all of it ours (libnftables).
 *
 * It catches what this host itself sends to the given addresses and ports, unless the sender has
 * marked its connection (SO_MARK) as vmferryd marks its own, and redirects it to a local port.
 * The kernel removes the table when the process that made it ends, however it ends.
 * The functions block shortly; a rule belongs to one thread at a time.
 * Error: VMF_ERROR_FAILED with nftables' message.
 */
#pragma once

#include <gio/gio.h>

#define VMF_CAPTURE_MARK 0x766d66 /* "vmf" */

/* The ports that libvirt gives to migrations unless qemu.conf says otherwise. */
#define VMF_CAPTURE_PORT_FIRST 49152
#define VMF_CAPTURE_PORT_LAST 49215

typedef struct {
    GPtrArray *addresses;          /* GInetAddress, of peers; none: nothing is caught */
    guint16 port_first, port_last; /* of the destination */
    guint16 listener;              /* where to, on this host's loopback */
} VmfCapture;

typedef struct VmfCaptureRule VmfCaptureRule;

/* The table, empty. Fails also while another process has it. */
VmfCaptureRule *vmf_capture_rule_new(GError **error);

/* Removes the table. */
void vmf_capture_rule_free(VmfCaptureRule *rule);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfCaptureRule, vmf_capture_rule_free)

/* In place of what it caught before, in one transaction. */
gboolean vmf_capture_rule_set(VmfCaptureRule *rule, const VmfCapture *what, GError **error);

/* That transaction, for tests; the caller's. */
char *vmf_capture_to_json(const VmfCapture *what);
