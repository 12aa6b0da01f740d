/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a pump is told. */
#include "daemon/pump-private.h"

#include <gio/gunixfdlist.h>

#include "base/error.h"
#include "base/log.h"

#define VMF_PUMP_STOP_PATIENCE 3    /* s: from Stop to SIGKILL */
#define VMF_PUMP_KILL_PATIENCE 2000 /* ms: and to its end */

GVariant *
vmf_pump_secret(const uint8_t secret[VMF_TICKET_SECRET_SIZE])
{
    return g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, secret, VMF_TICKET_SECRET_SIZE, 1);
}

static GVariant *
vmf_pump_fd_list(GSocket *socket, GUnixFDList **ret_list)
{
    *ret_list = g_unix_fd_list_new();
    return g_variant_new_handle(g_unix_fd_list_append(*ret_list, g_socket_get_fd(socket), NULL));
}

gboolean
vmf_pump_attach_link(VmfPump *self, GSocket *link, guint number,
                     const uint8_t secret[VMF_TICKET_SECRET_SIZE], GCancellable *cancellable,
                     GError **error)
{
    g_autoptr(GUnixFDList) list = NULL;
    GVariant *handle = vmf_pump_fd_list(link, &list);

    return vmf_bus_pump_call_attach_link_sync(
        self->proxy, handle, TRUE, number, vmf_pump_secret(secret), list, NULL, cancellable, error);
}

void
vmf_pump_attach_link_async(VmfPump *self, GSocket *link, const VmfTicket *ticket,
                           GAsyncReadyCallback callback, gpointer data)
{
    g_autoptr(GUnixFDList) list = NULL;
    GVariant *handle = vmf_pump_fd_list(link, &list);

    vmf_bus_pump_call_attach_link(self->proxy, handle, FALSE, ticket->link,
                                  vmf_pump_secret(ticket->secret), list, NULL, callback, data);
}

gboolean
vmf_pump_attach_link_finish(VmfPump *self, GAsyncResult *result, GError **error)
{
    return vmf_bus_pump_call_attach_link_finish(self->proxy, NULL, result, error);
}

static void
vmf_pump_channel_done(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(VmfPump) self = data;
    g_autoptr(GUnixFDList) list = NULL;
    g_autoptr(GVariant) answer = NULL;
    g_autoptr(GError) error = NULL;

    answer =
        g_dbus_proxy_call_with_unix_fd_list_finish(G_DBUS_PROXY(source), &list, result, &error);
    if (!answer && !vmf_pump_has_ended(self))
        vmf_warn(self->id, "the pump takes no channel: %s", error->message);
}

void
vmf_pump_attach_channel(VmfPump *self, const char *kind, guint link, GSocket *socket)
{
    g_autoptr(GUnixFDList) list = NULL;
    GVariant *handle = vmf_pump_fd_list(socket, &list);

    g_dbus_proxy_call_with_unix_fd_list(G_DBUS_PROXY(self->proxy), "AttachChannel",
                                        g_variant_new("(s@hu)", kind, handle, link), 0, -1, list,
                                        NULL, vmf_pump_channel_done, g_object_ref(self));
}

void
vmf_pump_answer_channel(VmfPump *self, guint channel, GSocket *socket)
{
    g_autoptr(GUnixFDList) list = NULL;
    GVariant *handle = vmf_pump_fd_list(socket, &list);

    g_dbus_proxy_call_with_unix_fd_list(G_DBUS_PROXY(self->proxy), "AnswerChannel",
                                        g_variant_new("(u@h)", channel, handle), 0, -1, list, NULL,
                                        vmf_pump_channel_done, g_object_ref(self));
}

void
vmf_pump_refuse_channel(VmfPump *self, guint channel, const char *reason)
{
    g_dbus_proxy_call_with_unix_fd_list(G_DBUS_PROXY(self->proxy), "RefuseChannel",
                                        g_variant_new("(us)", channel, reason), 0, -1, NULL, NULL,
                                        vmf_pump_channel_done, g_object_ref(self));
}

void
vmf_pump_set_delta(VmfPump *self, const VmfDelta *delta)
{
    vmf_bus_pump_call_set_delta(self->proxy, delta->on, NULL, NULL, NULL);
    vmf_bus_pump_call_set_cache_size(self->proxy, delta->cache, NULL, NULL, NULL);
    vmf_bus_pump_call_set_compression(self->proxy, delta->compression, delta->expected, NULL, NULL,
                                      NULL);
}

void
vmf_pump_set_patience(VmfPump *self, guint patience)
{
    vmf_bus_pump_call_set_patience(self->proxy, patience, NULL, NULL, NULL);
}

void
vmf_pump_set_bandwidth(VmfPump *self, guint64 rate)
{
    vmf_bus_pump_call_set_bandwidth(self->proxy, rate, NULL, NULL, NULL);
}

static gboolean
vmf_pump_on_stubborn(gpointer data)
{
    VmfPump *self = data;

    if (!vmf_pump_has_ended(self)) {
        vmf_warn(self->id, "the pump does not stop; killing it");
        vmf_process_id_kill(&self->process_id);
    }
    return G_SOURCE_REMOVE;
}

void
vmf_pump_stop(VmfPump *self, const GError *why)
{
    const char *name =
        !why ? ""
             : vmf_error_name(why->domain == VMF_ERROR ? (VmfError)why->code : VMF_ERROR_FAILED);

    /* Its answer is "ended", or the end of the connection. */
    vmf_bus_pump_call_stop(self->proxy, name, why ? why->message : "", NULL, NULL, NULL);
    g_timeout_add_seconds_full(G_PRIORITY_DEFAULT, VMF_PUMP_STOP_PATIENCE, vmf_pump_on_stubborn,
                               g_object_ref(self), g_object_unref);
}

void
vmf_pump_end(VmfPump *self, guint milliseconds, const GError *why)
{
    if (vmf_pump_wait_ended(self, milliseconds))
        return;
    vmf_pump_stop(self, why);
    if (!vmf_pump_wait_ended(self, 1000 * VMF_PUMP_STOP_PATIENCE + VMF_PUMP_KILL_PATIENCE))
        vmf_warn(self->id, "the pump was killed, and has not ended");
}
