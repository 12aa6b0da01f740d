/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/tls.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <string.h>

#include "base/error.h"

#define VMF_TLS_IDENTITY "vmferry1"

/* PROTOCOL.md names what must be there; nothing else is let in. */
#define VMF_TLS_PRIORITY                                                                           \
    "NONE:+VERS-TLS1.3:+ECDHE-PSK:+AES-128-GCM:+AEAD:+SIGN-ALL:+GROUP-X25519:+GROUP-SECP256R1"

struct VmfTls {
    gnutls_session_t session;
    gnutls_psk_client_credentials_t client;
    gnutls_psk_server_credentials_t server;
    uint8_t secret[VMF_TICKET_SECRET_SIZE];
    VmfBuffer *in, *out;
};

void
vmf_buffer_init(VmfBuffer *buffer, gsize size)
{
    *buffer = (VmfBuffer){.data = g_malloc(size), .size = size};
}

void
vmf_buffer_clear(VmfBuffer *buffer)
{
    g_clear_pointer(&buffer->data, g_free);
    buffer->start = buffer->end = buffer->size = 0;
}

gsize
vmf_buffer_room(VmfBuffer *buffer)
{
    gsize used = buffer->end - buffer->start;

    if (buffer->start > 0 && (used <= VMF_TLS_RECORD_WIRE || buffer->end == buffer->size)) {
        memmove(buffer->data, buffer->data + buffer->start, used);
        buffer->start = 0;
        buffer->end = used;
    }
    return buffer->size - buffer->end;
}

static ssize_t
vmf_tls_push(gnutls_transport_ptr_t transport, const void *data, size_t length)
{
    VmfTls *tls = transport;

    if (vmf_buffer_room(tls->out) < length) {
        gnutls_transport_set_errno(tls->session, EAGAIN);
        return -1;
    }
    memcpy(tls->out->data + tls->out->end, data, length);
    tls->out->end += length;
    return (ssize_t)length;
}

static ssize_t
vmf_tls_pull(gnutls_transport_ptr_t transport, void *to, size_t length)
{
    VmfTls *tls = transport;
    size_t n = MIN(length, tls->in->end - tls->in->start);

    if (n == 0) {
        gnutls_transport_set_errno(tls->session, EAGAIN);
        return -1;
    }
    memcpy(to, tls->in->data + tls->in->start, n);
    tls->in->start += n;
    return (ssize_t)n;
}

/* GnuTLS asks this while it waits for a handshake with a time limit; we have none inside it. */
static int
vmf_tls_pull_timeout(gnutls_transport_ptr_t transport, unsigned int ms)
{
    const VmfTls *tls = transport;

    return tls->in->end > tls->in->start;
}

static int
vmf_tls_find_key(gnutls_session_t session, const char *identity, gnutls_datum_t *key)
{
    const VmfTls *tls = gnutls_session_get_ptr(session);

    if (strcmp(identity, VMF_TLS_IDENTITY) != 0)
        return -1;
    key->data = gnutls_malloc(sizeof tls->secret);
    if (!key->data)
        return -1;
    memcpy(key->data, tls->secret, sizeof tls->secret);
    key->size = sizeof tls->secret;
    return 0;
}

static int
vmf_tls_set_credentials(VmfTls *tls, gboolean client)
{
    const gnutls_datum_t key = {tls->secret, sizeof tls->secret};
    int rc;

    if (!client) {
        rc = gnutls_psk_allocate_server_credentials(&tls->server);
        if (rc < 0)
            return rc;
        gnutls_psk_set_server_credentials_function(tls->server, vmf_tls_find_key);
        return gnutls_credentials_set(tls->session, GNUTLS_CRD_PSK, tls->server);
    }
    rc = gnutls_psk_allocate_client_credentials(&tls->client);
    if (rc < 0)
        return rc;
    rc = gnutls_psk_set_client_credentials(tls->client, VMF_TLS_IDENTITY, &key, GNUTLS_PSK_KEY_RAW);
    if (rc < 0)
        return rc;
    return gnutls_credentials_set(tls->session, GNUTLS_CRD_PSK, tls->client);
}

static int
vmf_tls_set_up(VmfTls *tls, gboolean client)
{
    int rc = gnutls_init(&tls->session, (client ? GNUTLS_CLIENT : GNUTLS_SERVER) | GNUTLS_NONBLOCK |
                                            GNUTLS_NO_TICKETS | GNUTLS_NO_SIGNAL);

    if (rc < 0)
        return rc;
    gnutls_session_set_ptr(tls->session, tls);
    gnutls_transport_set_ptr(tls->session, tls);
    gnutls_transport_set_push_function(tls->session, vmf_tls_push);
    gnutls_transport_set_pull_function(tls->session, vmf_tls_pull);
    gnutls_transport_set_pull_timeout_function(tls->session, vmf_tls_pull_timeout);
    rc = gnutls_priority_set_direct(tls->session, VMF_TLS_PRIORITY, NULL);
    if (rc < 0)
        return rc;
    return vmf_tls_set_credentials(tls, client);
}

VmfTls *
vmf_tls_new(gboolean client, const uint8_t secret[VMF_TICKET_SECRET_SIZE], VmfBuffer *in,
            VmfBuffer *out, GError **error)
{
    VmfTls *tls = g_new0(VmfTls, 1);
    int rc;

    tls->in = in;
    tls->out = out;
    memcpy(tls->secret, secret, sizeof tls->secret);
    rc = vmf_tls_set_up(tls, client);
    if (rc < 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_FAILED,
                    "TLS cannot be set up: %s; does this system's GnuTLS policy allow TLS 1.3 "
                    "with PSK and AES-128-GCM?",
                    gnutls_strerror(rc));
        vmf_tls_free(tls);
        return NULL;
    }
    return tls;
}

void
vmf_tls_free(VmfTls *tls)
{
    if (tls->session)
        gnutls_deinit(tls->session);
    if (tls->client)
        gnutls_psk_free_client_credentials(tls->client);
    if (tls->server)
        gnutls_psk_free_server_credentials(tls->server);
    gnutls_memset(tls->secret, 0, sizeof tls->secret);
    g_free(tls);
}

/* The priority string should leave no choice; that it did is checked, not assumed. */
static gboolean
vmf_tls_check(VmfTls *tls, GError **error)
{
    if (gnutls_protocol_get_version(tls->session) == GNUTLS_TLS1_3 &&
        gnutls_kx_get(tls->session) == GNUTLS_KX_ECDHE_PSK &&
        gnutls_group_get(tls->session) != GNUTLS_GROUP_INVALID &&
        gnutls_auth_get_type(tls->session) == GNUTLS_CRD_PSK &&
        !gnutls_session_is_resumed(tls->session))
        return TRUE;
    g_set_error_literal(error, VMF_ERROR, VMF_ERROR_PEER_UNTRUSTED,
                        "the TLS handshake did not use version 1.3 with PSK and ECDHE");
    return FALSE;
}

VmfTlsStatus
vmf_tls_handshake(VmfTls *tls, GError **error)
{
    const char *why;
    int rc;

    do {
        rc = gnutls_handshake(tls->session);
    } while (rc == GNUTLS_E_INTERRUPTED || rc == GNUTLS_E_WARNING_ALERT_RECEIVED);
    if (rc == 0)
        return vmf_tls_check(tls, error) ? VMF_TLS_DONE : VMF_TLS_ERROR;
    if (rc == GNUTLS_E_AGAIN)
        return VMF_TLS_MORE;
    (void)gnutls_alert_send_appropriate(tls->session, rc);
    why = rc == GNUTLS_E_FATAL_ALERT_RECEIVED
              ? gnutls_alert_get_name(gnutls_alert_get(tls->session))
              : gnutls_strerror(rc);
    g_set_error(error, VMF_ERROR, VMF_ERROR_PEER_UNTRUSTED,
                "the two pumps do not share this migration's secret (TLS handshake: %s)", why);
    return VMF_TLS_ERROR;
}

static void
vmf_tls_take_error(int rc, GError **error)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_LINK_BROKEN, "the data link's TLS failed: %s",
                gnutls_strerror(rc));
}

gboolean
vmf_tls_seal(VmfTls *tls, const uint8_t *data, gsize length, GError **error)
{
    ssize_t n = gnutls_record_send(tls->session, data, length);

    if (n == (ssize_t)length)
        return TRUE;
    vmf_tls_take_error(n < 0 ? (int)n : GNUTLS_E_INTERNAL_ERROR, error);
    return FALSE;
}

VmfTlsStatus
vmf_tls_open(VmfTls *tls, uint8_t *to, gsize size, gsize *ret, GError **error)
{
    gsize before;
    ssize_t n;

    /* a record without data (a key update) was taken, too, and more may be there behind it */
    do {
        before = tls->in->start;
        n = gnutls_record_recv(tls->session, to, size);
    } while (n == GNUTLS_E_INTERRUPTED ||
             (n == GNUTLS_E_AGAIN && tls->in->start > before && tls->in->end > tls->in->start));
    if (n == GNUTLS_E_AGAIN)
        return VMF_TLS_MORE;
    if (n == 0)
        return VMF_TLS_END;
    if (n < 0) {
        vmf_tls_take_error((int)n, error);
        return VMF_TLS_ERROR;
    }
    *ret = (gsize)n;
    return VMF_TLS_DONE;
}

void
vmf_tls_close(VmfTls *tls)
{
    (void)gnutls_bye(tls->session, GNUTLS_SHUT_WR);
}
