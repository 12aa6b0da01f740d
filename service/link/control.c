/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/control.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "base/error.h"
#include "link/revocation.h"

/* Unanswered data ends a control link after this; milliseconds. */
#define VMF_CONTROL_USER_TIMEOUT 20000

/* A peer that lost power is asked after this much silence, and then every few seconds until the
 * timeout above is over; in seconds. */
#define VMF_CONTROL_KEEPALIVE_IDLE 15
#define VMF_CONTROL_KEEPALIVE_INTERVAL 5

struct VmfIdentity {
    char *directory;
    GTlsDatabase *authorities;
    VmfRevocations *revoked; /* NULL: nothing was */
    GTlsCertificate *server;
    GTlsCertificate *client;
    GStrv names;
};

static GTlsCertificate *
vmf_identity_read_pair(const char *directory, const char *which, GError **error)
{
    g_autofree char *cert_file = g_strdup_printf("%s/%scert.pem", directory, which);
    g_autofree char *key_file = g_strdup_printf("%s/%skey.pem", directory, which);
    g_autoptr(GError) problem = NULL;
    GTlsCertificate *certificate = g_tls_certificate_new_from_files(cert_file, key_file, &problem);

    if (!certificate)
        g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION, "%s, %s: %s", cert_file,
                    key_file, problem->message);
    return certificate;
}

static GStrv
vmf_certificate_get_names(GTlsCertificate *certificate)
{
    g_autoptr(GPtrArray) names = g_tls_certificate_get_dns_names(certificate);
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

    for (guint i = 0; names && i < names->len; i++) {
        gsize length;
        const char *data = g_bytes_get_data(names->pdata[i], &length);
        g_autofree char *name = g_ascii_strdown(data, (gssize)length);

        g_strv_builder_add(builder, name);
    }
    return g_strv_builder_end(builder);
}

/* Whom it trusts. */
static gboolean
vmf_identity_read_authorities(VmfIdentity *identity, const char *ca, GError **error)
{
    g_autofree char *revoked = g_build_filename(identity->directory, "cacrl.pem", NULL);
    g_autoptr(GError) problem = NULL;

    /* what GIO says of a file that it cannot read is "Error while reading file" */
    if (access(ca, R_OK) < 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION,
                    "%s: %s; vmferryd.conf(5) says under TlsDirectory what belongs there", ca,
                    g_strerror(errno));
        return FALSE;
    }
    identity->authorities = g_tls_file_database_new(ca, &problem);
    if (!identity->authorities) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION, "%s: %s", ca, problem->message);
        return FALSE;
    }
    identity->revoked = vmf_revocations_load(revoked, ca, &problem);
    if (!problem)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
}

VmfIdentity *
vmf_identity_load(const char *directory, GError **error)
{
    g_autoptr(VmfIdentity) identity = g_new0(VmfIdentity, 1);
    g_autofree char *ca = g_build_filename(directory, "cacert.pem", NULL);
    g_autofree char *client = g_build_filename(directory, "clientcert.pem", NULL);

    identity->directory = g_strdup(directory);
    if (!g_tls_backend_supports_tls(g_tls_backend_get_default())) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION,
                    "GIO has no TLS on this host: install glib-networking");
        return NULL;
    }
    if (!vmf_identity_read_authorities(identity, ca, error))
        return NULL;
    identity->server = vmf_identity_read_pair(directory, "server", error);
    if (!identity->server)
        return NULL;
    identity->client = g_file_test(client, G_FILE_TEST_EXISTS)
                           ? vmf_identity_read_pair(directory, "client", error)
                           : g_object_ref(identity->server);
    if (!identity->client)
        return NULL;
    identity->names = vmf_certificate_get_names(identity->server);
    if (!identity->names[0]) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION,
                    "%s/servercert.pem: has no DNS name (subjectAltName); peers know this host "
                    "by it",
                    directory);
        return NULL;
    }
    return g_steal_pointer(&identity);
}

void
vmf_identity_free(VmfIdentity *identity)
{
    g_free(identity->directory);
    g_clear_object(&identity->authorities);
    g_clear_pointer(&identity->revoked, vmf_revocations_free);
    g_clear_object(&identity->server);
    g_clear_object(&identity->client);
    g_strfreev(identity->names);
    g_free(identity);
}

const char *const *
vmf_identity_get_names(const VmfIdentity *identity)
{
    return (const char *const *)identity->names;
}

static void
vmf_control_tune(GSocket *socket, guint timeout)
{
    g_socket_set_timeout(socket, timeout);
    g_socket_set_keepalive(socket, TRUE);
    g_socket_set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, VMF_CONTROL_KEEPALIVE_IDLE, NULL);
    g_socket_set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, VMF_CONTROL_KEEPALIVE_INTERVAL, NULL);
    /* Small messages that wait for one another: 45 ms a call without this. */
    g_socket_set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1, NULL);
    g_socket_set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, VMF_CONTROL_USER_TIMEOUT, NULL);
}

/* What is wrong with a certificate, in the words of somebody who has to mend it. */
static const char *
vmf_tls_problem(GTlsCertificateFlags flags)
{
    if (flags & G_TLS_CERTIFICATE_UNKNOWN_CA)
        return "it is not signed by the authority in cacert.pem";
    if (flags & G_TLS_CERTIFICATE_EXPIRED)
        return "it has expired";
    if (flags & G_TLS_CERTIFICATE_NOT_ACTIVATED)
        return "it is not valid yet; check both hosts' clocks";
    if (flags & G_TLS_CERTIFICATE_REVOKED)
        return "it has been revoked";
    if (flags & G_TLS_CERTIFICATE_INSECURE)
        return "its algorithm is not considered secure";
    return "it is not acceptable";
}

/* A server is asked about every certificate, a client only about those with something wrong. */
static gboolean
vmf_tls_note_flags(GTlsConnection *tls, GTlsCertificate *certificate, GTlsCertificateFlags flags,
                   gpointer data)
{
    *(GTlsCertificateFlags *)data = flags;
    return flags == 0;
}

/* Handshake, and TLS 1.3 or nothing. `ret_flags`: what a refused certificate was refused for. */
static gboolean
vmf_tls_handshake(const VmfIdentity *identity, GTlsConnection *tls, GCancellable *cancellable,
                  GTlsCertificateFlags *ret_flags, GError **error)
{
    gulong handler =
        g_signal_connect(tls, "accept-certificate", G_CALLBACK(vmf_tls_note_flags), ret_flags);
    gboolean done = g_tls_connection_handshake(tls, cancellable, error);

    g_signal_handler_disconnect(tls, handler);
    if (done && g_tls_connection_get_protocol_version(tls) != G_TLS_PROTOCOL_VERSION_TLS_1_3) {
        g_set_error(error, G_TLS_ERROR, G_TLS_ERROR_HANDSHAKE, "the other side has no TLS 1.3");
        return FALSE;
    }
    if (done &&
        vmf_revocations_have(identity->revoked, g_tls_connection_get_peer_certificate(tls))) {
        *ret_flags = G_TLS_CERTIFICATE_REVOKED;
        g_set_error(error, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE, "revoked");
        return FALSE;
    }
    return done;
}

static gboolean
vmf_error_is_cancelled(const GError *error)
{
    return g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

static void
vmf_set_unreachable(GError **error, const char *name, const char *address, const GError *why)
{
    if (vmf_error_is_cancelled(why))
        g_set_error(error, VMF_ERROR, VMF_ERROR_CANCELLED, "cancelled");
    else
        g_set_error(error, VMF_ERROR, VMF_ERROR_PEER_UNREACHABLE,
                    "cannot reach %s at %s: %s; is vmferryd running there, and its port open?",
                    name, address, why->message);
}

static GSocketConnection *
vmf_control_connect(const char *name, const char *address, guint16 default_port,
                    GCancellable *cancellable, GError **error)
{
    g_autoptr(GSocketClient) client = g_socket_client_new();
    g_autoptr(GSocketConnection) connection = NULL;
    const VmfPreface preface = {.version = VMF_PROTOCOL_VERSION, .kind = VMF_LINK_KIND_CONTROL};
    g_autoptr(GError) problem = NULL;

    g_socket_client_set_timeout(client, VMF_CONTROL_STEP_TIMEOUT);
    g_socket_client_set_enable_proxy(client, FALSE);
    connection =
        g_socket_client_connect_to_host(client, address, default_port, cancellable, &problem);
    if (!connection) {
        vmf_set_unreachable(error, name, address, problem);
        return NULL;
    }
    vmf_control_tune(g_socket_connection_get_socket(connection), VMF_CONTROL_STEP_TIMEOUT);
    if (!vmf_preface_exchange(g_socket_connection_get_socket(connection), &preface, cancellable,
                              &problem)) {
        if (problem->domain == VMF_ERROR)
            g_propagate_prefixed_error(error, g_steal_pointer(&problem), "%s at %s: ", name,
                                       address);
        else
            vmf_set_unreachable(error, name, address, problem);
        return NULL;
    }
    return g_steal_pointer(&connection);
}

static void
vmf_set_tls_error(GError **error, const char *name, GTlsCertificateFlags flags, const GError *why)
{
    if (vmf_error_is_cancelled(why))
        g_set_error(error, VMF_ERROR, VMF_ERROR_CANCELLED, "cancelled");
    else if (flags == G_TLS_CERTIFICATE_BAD_IDENTITY)
        g_set_error(error, VMF_ERROR, VMF_ERROR_PEER_NAME_MISMATCH,
                    "the host that answers as %s shows a certificate for another name; check "
                    "Addresses in peers.d and the DNS name in its servercert.pem",
                    name);
    else if (flags)
        g_set_error(error, VMF_ERROR, VMF_ERROR_PEER_UNTRUSTED,
                    "the certificate of %s is refused: %s", name, vmf_tls_problem(flags));
    else if (why->domain == G_IO_ERROR || g_error_matches(why, G_TLS_ERROR, G_TLS_ERROR_EOF) ||
             g_error_matches(why, G_TLS_ERROR, G_TLS_ERROR_NOT_TLS)) /* hung up, that is */
        g_set_error(error, VMF_ERROR, VMF_ERROR_PEER_UNREACHABLE,
                    "%s was lost in the middle of the TLS handshake: %s", name, why->message);
    else
        g_set_error(error, VMF_ERROR, VMF_ERROR_PEER_UNTRUSTED, "no TLS connection with %s: %s",
                    name, why->message);
}

GDBusConnection *
vmf_control_dial(const VmfIdentity *identity, const char *name, const char *address,
                 guint16 default_port, GCancellable *cancellable, GSocketAddress **ret_remote,
                 GError **error)
{
    g_autoptr(GSocketConnection) connection = NULL;
    g_autoptr(GSocketConnectable) expected = g_network_address_new(name, default_port);
    g_autoptr(GIOStream) tls = NULL;
    g_autoptr(GDBusConnection) bus = NULL;
    g_autoptr(GError) problem = NULL;
    GTlsCertificateFlags flags = 0;

    connection = vmf_control_connect(name, address, default_port, cancellable, error);
    if (!connection)
        return NULL;
    tls = g_initable_new(g_tls_backend_get_client_connection_type(g_tls_backend_get_default()),
                         cancellable, &problem, "base-io-stream", connection, "database",
                         identity->authorities, "server-identity", expected, NULL);
    if (tls)
        g_tls_connection_set_certificate(G_TLS_CONNECTION(tls), identity->client);
    if (!tls ||
        !vmf_tls_handshake(identity, G_TLS_CONNECTION(tls), cancellable, &flags, &problem)) {
        vmf_set_tls_error(error, name, flags, problem);
        return NULL;
    }
    /* Under TLS 1.3 a refused client learns it at its first read, which is here. */
    bus = g_dbus_connection_new_sync(tls, NULL,
                                     G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                         G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING,
                                     NULL, cancellable, &problem);
    if (!bus) {
        if (vmf_error_is_cancelled(problem))
            g_set_error(error, VMF_ERROR, VMF_ERROR_CANCELLED, "cancelled");
        else
            g_set_error(error, VMF_ERROR, VMF_ERROR_PEER_UNTRUSTED,
                        "%s does not accept this host's certificate (%s/clientcert.pem): %s", name,
                        identity->directory, problem->message);
        return NULL;
    }
    *ret_remote = g_socket_connection_get_remote_address(connection, error);
    if (!*ret_remote)
        return NULL;
    g_socket_set_timeout(g_socket_connection_get_socket(connection), 0);
    return g_steal_pointer(&bus);
}

GDBusConnection *
vmf_control_accept(const VmfIdentity *identity, GSocketConnection *connection,
                   GCancellable *cancellable, GStrv *ret_names, GError **error)
{
    g_autoptr(GIOStream) tls = NULL;
    g_autoptr(GError) problem = NULL;
    g_autofree char *guid = g_dbus_generate_guid();
    GTlsCertificateFlags flags = 0;
    GDBusConnection *bus = NULL;

    vmf_control_tune(g_socket_connection_get_socket(connection), VMF_CONTROL_STEP_TIMEOUT);
    tls = g_initable_new(g_tls_backend_get_server_connection_type(g_tls_backend_get_default()),
                         cancellable, &problem, "base-io-stream", connection, "database",
                         identity->authorities, "certificate", identity->server,
                         "authentication-mode", G_TLS_AUTHENTICATION_REQUIRED, NULL);
    if (!tls ||
        !vmf_tls_handshake(identity, G_TLS_CONNECTION(tls), cancellable, &flags, &problem)) {
        vmf_set_tls_error(error, "the caller", flags, problem);
        return NULL;
    }
    /* TLS said who it is; D-Bus need not ask again. */
    bus = g_dbus_connection_new_sync(tls, guid,
                                     G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER |
                                         G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_ALLOW_ANONYMOUS |
                                         G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING,
                                     NULL, cancellable, &problem);
    if (!bus) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "no D-Bus over TLS: %s",
                    problem->message);
        return NULL;
    }
    g_socket_set_timeout(g_socket_connection_get_socket(connection), 0);
    *ret_names =
        vmf_certificate_get_names(g_tls_connection_get_peer_certificate(G_TLS_CONNECTION(tls)));
    return bus;
}

/* Borrowed; NULL when it showed none. */
static GTlsCertificate *
vmf_control_peek_certificate(GDBusConnection *link)
{
    GIOStream *stream = g_dbus_connection_get_stream(link);

    return G_IS_TLS_CONNECTION(stream)
               ? g_tls_connection_get_peer_certificate(G_TLS_CONNECTION(stream))
               : NULL;
}

gint64
vmf_control_get_certificate_end(GDBusConnection *link)
{
    GTlsCertificate *certificate = vmf_control_peek_certificate(link);
    g_autoptr(GDateTime) end =
        certificate ? g_tls_certificate_get_not_valid_after(certificate) : NULL;

    return end ? g_date_time_to_unix(end) * G_USEC_PER_SEC : 0;
}

gboolean
vmf_control_check_certificate(GDBusConnection *link, const char *name, GError **error)
{
    gint64 end = vmf_control_get_certificate_end(link);

    if (end == 0 || g_get_real_time() <= end)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_PEER_UNTRUSTED,
                "the certificate of %s has expired since the control link was opened; renew it",
                name);
    return FALSE;
}

gboolean
vmf_identity_check_peer(const VmfIdentity *identity, GDBusConnection *link, const char *name,
                        GError **error)
{
    if (!vmf_revocations_have(identity->revoked, vmf_control_peek_certificate(link)))
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_PEER_UNTRUSTED,
                "the certificate of %s has been revoked since the control link was opened", name);
    return FALSE;
}

GSocket *
vmf_data_dial(GSocketAddress *remote, const uint8_t ticket[VMF_TICKET_ID_SIZE],
              GCancellable *cancellable, GError **error)
{
    g_autoptr(GSocket) socket = g_socket_new(g_socket_address_get_family(remote),
                                             G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, error);
    VmfPreface preface = {.version = VMF_PROTOCOL_VERSION, .kind = VMF_LINK_KIND_DATA};
    g_autoptr(GError) problem = NULL;

    if (!socket)
        return NULL;
    memcpy(preface.ticket, ticket, sizeof preface.ticket);
    g_socket_set_timeout(socket, VMF_CONTROL_STEP_TIMEOUT);
    if (!g_socket_connect(socket, remote, cancellable, &problem) ||
        !vmf_preface_exchange(socket, &preface, cancellable, &problem)) {
        g_propagate_prefixed_error(error, vmf_error_normalize(g_steal_pointer(&problem)),
                                   "no data connection: ");
        return NULL;
    }
    g_socket_set_timeout(socket, 0);
    return g_steal_pointer(&socket);
}
