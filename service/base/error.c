/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"

#include <errno.h>

#include <gio/gio.h>

#define P VMF_ERROR_PREFIX

static const GDBusErrorEntry vmf_errors[] = {
    {VMF_ERROR_FAILED, P "Failed"},
    {VMF_ERROR_INVALID_ARGUMENT, P "InvalidArgument"},
    {VMF_ERROR_NOT_AUTHORIZED, P "NotAuthorized"},
    {VMF_ERROR_NOT_SUPPORTED, P "NotSupported"},
    {VMF_ERROR_BAD_CONFIGURATION, P "BadConfiguration"},
    {VMF_ERROR_NO_SUCH_DOMAIN, P "NoSuchDomain"},
    {VMF_ERROR_DOMAIN_NOT_RUNNING, P "DomainNotRunning"},
    {VMF_ERROR_DOMAIN_UNSAFE, P "DomainUnsafe"},
    {VMF_ERROR_DOMAIN_EXISTS, P "DomainExists"},
    {VMF_ERROR_ALREADY_MIGRATING, P "AlreadyMigrating"},
    {VMF_ERROR_NO_SUCH_MIGRATION, P "NoSuchMigration"},
    {VMF_ERROR_NO_SUCH_PEER, P "NoSuchPeer"},
    {VMF_ERROR_PEER_UNREACHABLE, P "PeerUnreachable"},
    {VMF_ERROR_PEER_UNTRUSTED, P "PeerUntrusted"},
    {VMF_ERROR_PEER_NAME_MISMATCH, P "PeerNameMismatch"},
    {VMF_ERROR_PEER_REFUSED, P "PeerRefused"},
    {VMF_ERROR_PROTOCOL_VERSION, P "ProtocolVersion"},
    {VMF_ERROR_PROTOCOL, P "Protocol"},
    {VMF_ERROR_FEATURE_MISSING, P "FeatureMissing"},
    {VMF_ERROR_AGREEMENT_REFUSED, P "AgreementRefused"},
    {VMF_ERROR_TICKET_REFUSED, P "TicketRefused"},
    {VMF_ERROR_LINK_BROKEN, P "LinkBroken"},
    {VMF_ERROR_LIMIT_REACHED, P "LimitReached"},
    {VMF_ERROR_LIBVIRT_UNAVAILABLE, P "LibvirtUnavailable"},
    {VMF_ERROR_LIBVIRT_FAILED, P "LibvirtFailed"},
    {VMF_ERROR_PUMP_FAILED, P "PumpFailed"},
    {VMF_ERROR_CANCELLED, P "Cancelled"},
    {VMF_ERROR_TIMED_OUT, P "TimedOut"},
    {VMF_ERROR_BAD_STREAM, P "BadStream"},
    {VMF_ERROR_INCOMPATIBLE, P "Incompatible"},
};

G_STATIC_ASSERT(G_N_ELEMENTS(vmf_errors) == VMF_ERROR_LAST);

GQuark
vmf_error_quark(void)
{
    static gsize quark;

    g_dbus_error_register_error_domain("vmf-error-quark", &quark, vmf_errors,
                                       G_N_ELEMENTS(vmf_errors));
    return (GQuark)quark;
}

const char *
vmf_error_name(VmfError code)
{
    g_return_val_if_fail((guint)code < VMF_ERROR_LAST, P "Failed");
    return vmf_errors[code].dbus_error_name;
}

VmfError
vmf_error_from_name(const char *name)
{
    for (guint i = 0; i < G_N_ELEMENTS(vmf_errors); i++)
        if (g_strcmp0(name, vmf_errors[i].dbus_error_name) == 0)
            return (VmfError)vmf_errors[i].error_code;
    return VMF_ERROR_FAILED;
}

static VmfError
vmf_error_translate(const GError *error)
{
    const struct {
        GIOErrorEnum from;
        VmfError to;
    } codes[] = {
        {G_IO_ERROR_CANCELLED, VMF_ERROR_CANCELLED},
        {G_IO_ERROR_TIMED_OUT, VMF_ERROR_TIMED_OUT},
        {G_IO_ERROR_CLOSED, VMF_ERROR_LINK_BROKEN},
        {G_IO_ERROR_CONNECTION_CLOSED, VMF_ERROR_LINK_BROKEN},
        {G_IO_ERROR_NO_SPACE, VMF_ERROR_LIMIT_REACHED},
        {G_IO_ERROR_TOO_MANY_OPEN_FILES, VMF_ERROR_LIMIT_REACHED},
    };

    for (guint i = 0; i < G_N_ELEMENTS(codes); i++)
        if (g_error_matches(error, G_IO_ERROR, codes[i].from))
            return codes[i].to;
    return VMF_ERROR_FAILED;
}

GError *
vmf_error_normalize(GError *error)
{
    GError *plain;

    if (g_dbus_error_is_remote_error(error)) {
        g_autofree char *said = NULL;

        g_dbus_error_strip_remote_error(error);
        said = g_steal_pointer(&error->message);
        error->message = vmf_text_clean(said);
    }
    if (error->domain == VMF_ERROR)
        return error;
    plain = g_error_new_literal(VMF_ERROR, (int)vmf_error_translate(error), error->message);
    g_error_free(error);
    return plain;
}

gboolean
vmf_error_set_errno(GError **error, const char *what)
{
    int code = errno;
    g_autoptr(GError) raw =
        g_error_new_literal(G_IO_ERROR, (int)g_io_error_from_errno(code), g_strerror(code));

    g_set_error(error, VMF_ERROR, (int)vmf_error_translate(raw), "%s: %s", what, raw->message);
    return FALSE;
}

char *
vmf_text_clean(const char *text)
{
    g_autofree char *cut = g_strndup(text, 1000);
    char *clean = g_utf8_make_valid(cut, -1);

    for (char *c = clean; *c; c = g_utf8_next_char(c))
        if (g_ascii_iscntrl(*c))
            *c = ' ';
    return clean;
}
