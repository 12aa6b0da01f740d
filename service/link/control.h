/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control link: peer-to-peer D-Bus over TLS 1.3 with certificates on both sides (PROTOCOL.md,
 * "Control link"). What is said on it is org.vmferry1.Link, data/org.vmferry1.Link.xml.
 *
 * A VmfIdentity is what a host shows and trusts: the files of its TLS directory. It is read anew
 * for each connection, so that renewed certificates need no restart.
 *
 * Threads: vmf_control_dial() and vmf_control_accept() block and are for worker threads; an
 * identity may be used by any one thread at a time. Connections come with message processing
 * delayed: export objects, then g_dbus_connection_start_message_processing().
 */
#pragma once

#include <gio/gio.h>

#include "link/preface.h"

/* Seconds that one step of connecting (TCP, TLS, D-Bus) may wait for the other side. */
#define VMF_CONTROL_STEP_TIMEOUT 10

typedef struct VmfIdentity VmfIdentity;

/*
 * `directory` holds libvirt's file names: cacert.pem, servercert.pem, serverkey.pem and, if a
 * certificate of its own is to be shown when dialling, clientcert.pem and clientkey.pem; and what
 * was revoked in cacrl.pem, if there is one.
 * Fails with VMF_ERROR_BAD_CONFIGURATION naming the file.
 */
VmfIdentity *vmf_identity_load(const char *directory, GError **error);
void vmf_identity_free(VmfIdentity *identity);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfIdentity, vmf_identity_free)

/*
 * The DNS names in the server certificate: what peers know this host as. Never empty; lower case,
 * as all names of a certificate here.
 */
const char *const *vmf_identity_get_names(const VmfIdentity *identity);

/*
 * Dials `address` (HOST or HOST:PORT) and expects `name` in the certificate there. In
 * `ret_remote` is where it was reached, for data connections.
 * Errors: PEER_UNREACHABLE, PEER_UNTRUSTED, PEER_NAME_MISMATCH, PROTOCOL_VERSION, PROTOCOL.
 */
GDBusConnection *vmf_control_dial(const VmfIdentity *identity, const char *name,
                                  const char *address, guint16 default_port,
                                  GCancellable *cancellable, GSocketAddress **ret_remote,
                                  GError **error);

/*
 * The listening side, after the preface. In `ret_names` the DNS names of the peer's certificate.
 * Errors: PEER_UNTRUSTED, PROTOCOL.
 */
GDBusConnection *vmf_control_accept(const VmfIdentity *identity, GSocketConnection *connection,
                                    GCancellable *cancellable, GStrv *ret_names, GError **error);

/*
 * Whether the certificate that the other side of a control link showed is good at this time still;
 * `name` is the peer's, for the message. Error: PEER_UNTRUSTED.
 */
gboolean vmf_control_check_certificate(GDBusConnection *link, const char *name, GError **error);

/* Likewise, whether it was revoked meanwhile. Error: PEER_UNTRUSTED. */
gboolean vmf_identity_check_peer(const VmfIdentity *identity, GDBusConnection *link,
                                 const char *name, GError **error);

/* When it ends, µs since the epoch; 0 if it says nothing of that. */
gint64 vmf_control_get_certificate_end(GDBusConnection *link);

/* One TCP connection for a data link to where the control link went; the preface is done. */
GSocket *vmf_data_dial(GSocketAddress *remote, const uint8_t ticket[VMF_TICKET_ID_SIZE],
                       GCancellable *cancellable, GError **error);
