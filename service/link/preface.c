/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/preface.h"

#include "base/bytes.h"
#include "base/error.h"

static const uint8_t vmf_magic[8] = "vmferry\n";

void
vmf_preface_encode(const VmfPreface *preface, uint8_t out[VMF_PREFACE_SIZE])
{
    memset(out, 0, VMF_PREFACE_SIZE);
    memcpy(out, vmf_magic, sizeof vmf_magic);
    vmf_put_u16(out + 8, preface->version);
    out[10] = (uint8_t)preface->kind;
    memcpy(out + 16, preface->ticket, VMF_TICKET_ID_SIZE);
}

gboolean
vmf_preface_decode(const uint8_t in[VMF_PREFACE_SIZE], VmfPreface *ret, GError **error)
{
    VmfBytes bytes = VMF_BYTES(in, VMF_PREFACE_SIZE);
    const uint8_t *reserved;
    const uint8_t zero[5] = {0};

    if (memcmp(vmf_bytes_get_data(&bytes, sizeof vmf_magic), vmf_magic, sizeof vmf_magic) != 0) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                            "the connection does not open with vmferry's preface: is the other "
                            "side vmferry?");
        return FALSE;
    }
    ret->version = vmf_bytes_get_u16(&bytes);
    ret->kind = (VmfLinkKind)vmf_bytes_get_u8(&bytes);
    reserved = vmf_bytes_get_data(&bytes, sizeof zero);
    memcpy(ret->ticket, vmf_bytes_get_data(&bytes, VMF_TICKET_ID_SIZE), VMF_TICKET_ID_SIZE);
    if (ret->version != VMF_PROTOCOL_VERSION) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL_VERSION,
                    "the other side speaks vmferry protocol version %u, this side version %u: "
                    "bring both hosts to a common version of vmferry",
                    ret->version, VMF_PROTOCOL_VERSION);
        return FALSE;
    }
    if (memcmp(reserved, zero, sizeof zero) != 0) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                            "the preface has reserved bytes that are not zero");
        return FALSE;
    }
    return TRUE;
}

void
vmf_answer_encode(VmfAnswer answer, uint8_t out[VMF_ANSWER_SIZE])
{
    memset(out, 0, VMF_ANSWER_SIZE);
    memcpy(out, vmf_magic, sizeof vmf_magic);
    vmf_put_u16(out + 8, VMF_PROTOCOL_VERSION);
    vmf_put_u16(out + 10, (uint16_t)answer);
}

gboolean
vmf_answer_decode(const uint8_t in[VMF_ANSWER_SIZE], GError **error)
{
    VmfBytes bytes = VMF_BYTES(in, VMF_ANSWER_SIZE);
    uint16_t version, status;

    if (memcmp(vmf_bytes_get_data(&bytes, sizeof vmf_magic), vmf_magic, sizeof vmf_magic) != 0) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                            "the answer to the preface is not vmferry's: check the peer's "
                            "address and port");
        return FALSE;
    }
    version = vmf_bytes_get_u16(&bytes);
    status = vmf_bytes_get_u16(&bytes);
    switch (status) {
    case VMF_ANSWER_OK:
        return TRUE;
    case VMF_ANSWER_VERSION:
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL_VERSION,
                    "the peer speaks vmferry protocol version %u, this side version %u: bring "
                    "both hosts to a common version of vmferry",
                    version, VMF_PROTOCOL_VERSION);
        return FALSE;
    case VMF_ANSWER_KIND:
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_PEER_REFUSED,
                            "the peer does not allow this kind of connection");
        return FALSE;
    case VMF_ANSWER_TICKET:
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_TICKET_REFUSED,
                            "the peer refused the ticket: unknown, used or expired");
        return FALSE;
    case VMF_ANSWER_BUSY:
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_LIMIT_REACHED,
                            "the peer has too many connections at the moment: try again later");
        return FALSE;
    default:
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                    "the peer answered the preface with the unknown status %u", status);
        return FALSE;
    }
}

/* Cancellation keeps its meaning; whatever else happens to the socket means no vmferry there. */
static void
vmf_preface_take_error(GError *cause, GError **error)
{
    if (g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_CANCELLED, cause->message);
    else
        g_set_error(error, VMF_ERROR, VMF_ERROR_PEER_UNREACHABLE,
                    "no answer to the preface: %s; is vmferryd running at the peer?",
                    cause->message);
    g_error_free(cause);
}

static gboolean
vmf_preface_send(GSocket *socket, const uint8_t *data, gsize length, GCancellable *cancellable,
                 GError **error)
{
    while (length > 0) {
        GError *cause = NULL;
        gssize n = g_socket_send(socket, (const char *)data, length, cancellable, &cause);

        if (n < 0) {
            vmf_preface_take_error(cause, error);
            return FALSE;
        }
        data += n;
        length -= (gsize)n;
    }
    return TRUE;
}

static gboolean
vmf_preface_receive(GSocket *socket, uint8_t *data, gsize length, GCancellable *cancellable,
                    GError **error)
{
    while (length > 0) {
        GError *cause = NULL;
        gssize n = g_socket_receive(socket, (char *)data, length, cancellable, &cause);

        if (n < 0) {
            vmf_preface_take_error(cause, error);
            return FALSE;
        }
        if (n == 0) {
            g_set_error_literal(error, VMF_ERROR, VMF_ERROR_PEER_UNREACHABLE,
                                "the peer hung up before it answered the preface: is it vmferryd "
                                "that listens there?");
            return FALSE;
        }
        data += n;
        length -= (gsize)n;
    }
    return TRUE;
}

gboolean
vmf_preface_exchange(GSocket *socket, const VmfPreface *preface, GCancellable *cancellable,
                     GError **error)
{
    uint8_t out[VMF_PREFACE_SIZE];
    uint8_t in[VMF_ANSWER_SIZE];

    vmf_preface_encode(preface, out);
    return vmf_preface_send(socket, out, sizeof out, cancellable, error) &&
           vmf_preface_receive(socket, in, sizeof in, cancellable, error) &&
           vmf_answer_decode(in, error);
}
