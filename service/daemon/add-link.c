/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/add-link.h"

#include "daemon/link-answer.h"
#include "daemon/link-service.h"
#include "link/control.h"

#define VMF_ADD_LINK_WAIT 5000 /* ms */

gboolean
vmf_add_link(const VmfAddLink *add, GCancellable *cancellable, GError **error)
{
    g_autoptr(GVariant) answer = g_dbus_connection_call_sync(
        add->link, NULL, VMF_LINK_OBJECT, "org.vmferry1.Link", "AddLink",
        g_variant_new("(su)", add->id, add->number), G_VARIANT_TYPE("(a{sv})"),
        G_DBUS_CALL_FLAGS_NONE, VMF_ADD_LINK_WAIT, cancellable, error);
    g_autoptr(GVariant) dict = answer ? g_variant_get_child_value(answer, 0) : NULL;
    g_autoptr(GSocket) data = NULL;
    uint8_t ticket[VMF_TICKET_ID_SIZE];
    uint8_t secret[VMF_TICKET_SECRET_SIZE];
    gboolean ok = FALSE;

    if (!dict || !vmf_link_answer_get(dict, "ticket", ticket, sizeof ticket, error) ||
        !vmf_link_answer_get(dict, "secret", secret, sizeof secret, error))
        return FALSE;
    data = vmf_data_dial(add->remote, ticket, cancellable, error);
    ok = data && vmf_pump_attach_link(add->pump, data, add->number, secret, cancellable, error);
    explicit_bzero(secret, sizeof secret);
    return ok;
}
