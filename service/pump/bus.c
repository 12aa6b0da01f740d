/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pump/bus.h"

#include <gio/gunixfdlist.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/timer.h"
#include "base/watch.h"
#include "pump-bus.h"
#include "pump/pump.h"

struct VmfPumpBus {
    int listener;
    VmfWatch *watch;
    VmfBusPump *object;
    GList *connections; /* of GDBusConnection */
    guint n_coming;     /* in the middle of authentication */
    GCancellable *cancellable;
    VmfPump *pump;

    VmfPumpBusDone done;
    gpointer data;
    gboolean clean;
    guint n_flushing;
    GSource *flush_timer;
};

/* ---- what the pump says ---- */

static void
vmf_pump_bus_on_changed(gpointer owner)
{
    VmfPumpBus *bus = owner;

    vmf_bus_pump_set_state(bus->object, vmf_pump_state_name(bus->pump));
    vmf_bus_pump_set_id(bus->object, vmf_pump_id(bus->pump));
    vmf_bus_pump_set_side(bus->object, vmf_pump_side(bus->pump));
    vmf_bus_pump_set_wanted_channels(bus->object, vmf_pump_wanted(bus->pump));
    vmf_bus_pump_set_lost_links(bus->object, vmf_pump_lost_links(bus->pump));
    /* before the answer to the call that made the difference */
    g_dbus_interface_skeleton_flush(G_DBUS_INTERFACE_SKELETON(bus->object));
}

static void
vmf_pump_bus_on_wanted(gpointer owner, guint channel, VmfChannelKind kind)
{
    VmfPumpBus *bus = owner;

    vmf_bus_pump_emit_channel_wanted(bus->object, channel, vmf_channel_kind_name(kind));
}

static void
vmf_pump_bus_on_channel_ended(gpointer owner, guint channel, gboolean clean)
{
    VmfPumpBus *bus = owner;

    vmf_bus_pump_emit_channel_ended(bus->object, channel, clean);
}

static void
vmf_pump_bus_on_figures(gpointer owner)
{
    VmfPumpBus *bus = owner;

    vmf_bus_pump_set_statistics(bus->object, vmf_pump_statistics(bus->pump));
}

static gboolean
vmf_pump_bus_finish(gpointer data)
{
    VmfPumpBus *bus = data;

    vmf_timer_clear(&bus->flush_timer);
    bus->done(bus->data, bus->clean);
    return G_SOURCE_REMOVE;
}

static void
vmf_pump_bus_flushed(GObject *connection, GAsyncResult *result, gpointer data)
{
    VmfPumpBus *bus = data;
    g_autoptr(GError) error = NULL;

    if (!g_dbus_connection_flush_finish(G_DBUS_CONNECTION(connection), result, &error) &&
        g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return; /* the bus may be gone */
    if (--bus->n_flushing == 0 && bus->flush_timer)
        vmf_pump_bus_finish(bus);
}

static void
vmf_pump_bus_on_ended(gpointer owner, const GError *error)
{
    VmfPumpBus *bus = owner;

    vmf_pump_bus_on_figures(bus);
    g_dbus_interface_skeleton_flush(G_DBUS_INTERFACE_SKELETON(bus->object));
    vmf_bus_pump_emit_ended(bus->object, error ? vmf_error_name((VmfError)error->code) : "",
                            error ? error->message : "", vmf_pump_statistics(bus->pump));
    if (error)
        vmf_warn(vmf_pump_log_id(bus->pump), "%s", error->message);
    bus->clean = error == NULL;
    for (GList *l = bus->connections; l; l = l->next) {
        bus->n_flushing++;
        g_dbus_connection_flush(l->data, bus->cancellable, vmf_pump_bus_flushed, bus);
    }
    bus->flush_timer = vmf_timer_new(bus->n_flushing > 0 ? VMF_PUMP_FLUSH_WAIT * 1000 : 0,
                                     vmf_pump_bus_finish, bus);
}

static const VmfPumpEvents vmf_pump_bus_events = {
    .changed = vmf_pump_bus_on_changed,
    .wanted = vmf_pump_bus_on_wanted,
    .channel_ended = vmf_pump_bus_on_channel_ended,
    .figures = vmf_pump_bus_on_figures,
    .ended = vmf_pump_bus_on_ended,
};

/* ---- what daemons say ---- */

/* The descriptor of an "h" argument, or -1. */
static int
vmf_pump_bus_take_fd(GUnixFDList *fds, GVariant *handle, GError **error)
{
    gint32 index = g_variant_get_handle(handle);

    if (fds && index >= 0 && index < g_unix_fd_list_get_length(fds))
        return g_unix_fd_list_get(fds, index, error);
    g_set_error_literal(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                        "the call came without its descriptor");
    return -1;
}

static gboolean
vmf_pump_bus_start(VmfBusPump *object, GDBusMethodInvocation *call, const char *id,
                   const char *side, GVariant *secret, gboolean encrypt, GVariant *options,
                   VmfPumpBus *bus)
{
    GError *error = NULL;
    gsize length;
    const uint8_t *bytes = g_variant_get_fixed_array(secret, &length, 1);

    if (vmf_pump_start(bus->pump, id, side, bytes, length, encrypt, options, &error))
        vmf_bus_pump_complete_start(object, call);
    else
        g_dbus_method_invocation_take_error(call, error);
    return TRUE;
}

static void
vmf_pump_bus_linked(gpointer data, const GError *error)
{
    GDBusMethodInvocation *call = data;

    if (error)
        g_dbus_method_invocation_return_gerror(call, error);
    else
        g_dbus_method_invocation_return_value(call, NULL);
}

static gboolean
vmf_pump_bus_attach_link(VmfBusPump *object, GDBusMethodInvocation *call, GUnixFDList *fds,
                         GVariant *handle, gboolean initiator, guint number, GVariant *secret,
                         VmfPumpBus *bus)
{
    GError *error = NULL;
    gsize length = 0;
    VmfPumpAttach attach = {.fd = vmf_pump_bus_take_fd(fds, handle, &error),
                            .initiator = initiator,
                            .number = number,
                            .secret = g_variant_get_fixed_array(secret, &length, 1)};

    if (attach.fd >= 0 && length != 0 && length != VMF_TICKET_SECRET_SIZE) {
        close(attach.fd);
        error = g_error_new(VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                            "a link's secret has %d bytes, or none", VMF_TICKET_SECRET_SIZE);
    }
    if (length == 0)
        attach.secret = NULL;
    if (error)
        g_dbus_method_invocation_take_error(call, error);
    else
        vmf_pump_attach_link(bus->pump, &attach, vmf_pump_bus_linked, call);
    return TRUE;
}

static gboolean
vmf_pump_bus_attach_channel(VmfBusPump *object, GDBusMethodInvocation *call, GUnixFDList *fds,
                            const char *kind, GVariant *handle, guint link, VmfPumpBus *bus)
{
    GError *error = NULL;
    int fd = vmf_pump_bus_take_fd(fds, handle, &error);
    guint channel = fd >= 0 ? vmf_pump_attach_channel(bus->pump, kind, link, fd, &error) : 0;

    if (channel > 0)
        vmf_bus_pump_complete_attach_channel(object, call, NULL, channel);
    else
        g_dbus_method_invocation_take_error(call, error);
    return TRUE;
}

static gboolean
vmf_pump_bus_answer_channel(VmfBusPump *object, GDBusMethodInvocation *call, GUnixFDList *fds,
                            guint channel, GVariant *handle, VmfPumpBus *bus)
{
    GError *error = NULL;
    int fd = vmf_pump_bus_take_fd(fds, handle, &error);

    if (fd >= 0 && vmf_pump_answer_channel(bus->pump, channel, fd, &error))
        vmf_bus_pump_complete_answer_channel(object, call, NULL);
    else
        g_dbus_method_invocation_take_error(call, error);
    return TRUE;
}

static gboolean
vmf_pump_bus_refuse_channel(VmfBusPump *object, GDBusMethodInvocation *call, guint channel,
                            const char *reason, VmfPumpBus *bus)
{
    GError *error = NULL;

    if (vmf_pump_refuse_channel(bus->pump, channel, reason, &error))
        vmf_bus_pump_complete_refuse_channel(object, call);
    else
        g_dbus_method_invocation_take_error(call, error);
    return TRUE;
}

static gboolean
vmf_pump_bus_set_bandwidth(VmfBusPump *object, GDBusMethodInvocation *call, guint64 rate,
                           VmfPumpBus *bus)
{
    vmf_pump_set_bandwidth(bus->pump, rate);
    vmf_bus_pump_complete_set_bandwidth(object, call);
    return TRUE;
}

static gboolean
vmf_pump_bus_set_patience(VmfBusPump *object, GDBusMethodInvocation *call, guint patience,
                          VmfPumpBus *bus)
{
    vmf_pump_set_patience(bus->pump, patience);
    vmf_bus_pump_complete_set_patience(object, call);
    return TRUE;
}

static gboolean
vmf_pump_bus_set_cache_size(VmfBusPump *object, GDBusMethodInvocation *call, guint64 size,
                            VmfPumpBus *bus)
{
    vmf_pump_set_cache(bus->pump, size);
    vmf_bus_pump_complete_set_cache_size(object, call);
    return TRUE;
}

static gboolean
vmf_pump_bus_set_delta(VmfBusPump *object, GDBusMethodInvocation *call, gboolean delta,
                       VmfPumpBus *bus)
{
    vmf_pump_set_delta(bus->pump, delta);
    vmf_bus_pump_complete_set_delta(object, call);
    return TRUE;
}

static gboolean
vmf_pump_bus_set_compression(VmfBusPump *object, GDBusMethodInvocation *call, int level,
                             guint expected, VmfPumpBus *bus)
{
    vmf_pump_set_zstd(bus->pump, level, expected);
    vmf_bus_pump_complete_set_compression(object, call);
    return TRUE;
}

static gboolean
vmf_pump_bus_stop(VmfBusPump *object, GDBusMethodInvocation *call, const char *name,
                  const char *message, VmfPumpBus *bus)
{
    g_autoptr(GError) error = NULL;

    if (*name)
        error = g_error_new_literal(VMF_ERROR, (gint)vmf_error_from_name(name), message);
    vmf_bus_pump_complete_stop(object, call);
    vmf_pump_stop(bus->pump, error);
    return TRUE;
}

/* ---- daemons come and go ---- */

static void
vmf_pump_bus_closed(GDBusConnection *connection, gboolean vanished, GError *error, VmfPumpBus *bus)
{
    g_dbus_interface_skeleton_unexport_from_connection(G_DBUS_INTERFACE_SKELETON(bus->object),
                                                       connection);
    g_signal_handlers_disconnect_by_data(connection, bus);
    bus->connections = g_list_remove(bus->connections, connection);
    g_object_unref(connection);
    vmf_pump_set_attended(bus->pump, bus->connections != NULL);
}

static void
vmf_pump_bus_connected(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfPumpBus *bus = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GDBusConnection) connection = g_dbus_connection_new_finish(result, &error);

    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return; /* the bus is gone */
    bus->n_coming--;
    if (!connection || !g_dbus_interface_skeleton_export(G_DBUS_INTERFACE_SKELETON(bus->object),
                                                         connection, VMF_PUMP_OBJECT, &error)) {
        vmf_debug(vmf_pump_log_id(bus->pump), "a control connection failed: %s", error->message);
        return;
    }
    g_signal_connect(connection, "closed", G_CALLBACK(vmf_pump_bus_closed), bus);
    g_dbus_connection_set_exit_on_close(connection, FALSE);
    g_dbus_connection_start_message_processing(connection);
    bus->connections = g_list_prepend(bus->connections, g_steal_pointer(&connection));
    vmf_pump_set_attended(bus->pump, TRUE);
}

static gboolean
vmf_pump_bus_allows_mechanism(GDBusAuthObserver *observer, const char *mechanism, gpointer data)
{
    return g_str_equal(mechanism, "EXTERNAL");
}

/* Judged by the kernel's word; the D-Bus authentication is only followed. */
static gboolean
vmf_pump_bus_may_connect(int fd)
{
    struct ucred peer;
    socklen_t length = sizeof peer;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

static void
vmf_pump_bus_greet(VmfPumpBus *bus, GSocket *socket)
{
    g_autoptr(GSocketConnection) stream = g_socket_connection_factory_create_connection(socket);
    g_autoptr(GDBusAuthObserver) observer = g_dbus_auth_observer_new();
    g_autofree char *guid = g_dbus_generate_guid();

    g_signal_connect(observer, "allow-mechanism", G_CALLBACK(vmf_pump_bus_allows_mechanism), NULL);
    bus->n_coming++;
    g_dbus_connection_new(G_IO_STREAM(stream), guid,
                          G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER |
                              G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING,
                          observer, bus->cancellable, vmf_pump_bus_connected, bus);
}

static void
vmf_pump_bus_accept(GIOCondition condition, gpointer data)
{
    VmfPumpBus *bus = data;
    int fd = accept4(bus->listener, NULL, NULL, SOCK_CLOEXEC);
    g_autoptr(GSocket) socket = NULL;

    if (fd < 0)
        return;
    if (!vmf_pump_bus_may_connect(fd) ||
        g_list_length(bus->connections) + bus->n_coming >= VMF_PUMP_CONNECTIONS) {
        vmf_warn(vmf_pump_log_id(bus->pump), "a control connection was refused: %s",
                 vmf_pump_bus_may_connect(fd) ? "there are too many" : "it is not root's");
        close(fd);
        return;
    }
    socket = g_socket_new_from_fd(fd, NULL);
    if (socket)
        vmf_pump_bus_greet(bus, socket);
    else
        close(fd);
}

VmfPumpBus *
vmf_pump_bus_new(int listener, VmfPumpBusDone done, gpointer data)
{
    VmfPumpBus *bus = g_new0(VmfPumpBus, 1);

    bus->listener = listener;
    bus->done = done;
    bus->data = data;
    bus->cancellable = g_cancellable_new();
    bus->pump = vmf_pump_new(&vmf_pump_bus_events, bus);
    bus->object = vmf_bus_pump_skeleton_new();
    vmf_pump_bus_on_changed(bus);
    vmf_pump_bus_on_figures(bus);
    g_signal_connect(bus->object, "handle-start", G_CALLBACK(vmf_pump_bus_start), bus);
    g_signal_connect(bus->object, "handle-attach-link", G_CALLBACK(vmf_pump_bus_attach_link), bus);
    g_signal_connect(bus->object, "handle-attach-channel", G_CALLBACK(vmf_pump_bus_attach_channel),
                     bus);
    g_signal_connect(bus->object, "handle-answer-channel", G_CALLBACK(vmf_pump_bus_answer_channel),
                     bus);
    g_signal_connect(bus->object, "handle-refuse-channel", G_CALLBACK(vmf_pump_bus_refuse_channel),
                     bus);
    g_signal_connect(bus->object, "handle-set-bandwidth", G_CALLBACK(vmf_pump_bus_set_bandwidth),
                     bus);
    g_signal_connect(bus->object, "handle-set-patience", G_CALLBACK(vmf_pump_bus_set_patience),
                     bus);
    g_signal_connect(bus->object, "handle-set-cache-size", G_CALLBACK(vmf_pump_bus_set_cache_size),
                     bus);
    g_signal_connect(bus->object, "handle-set-delta", G_CALLBACK(vmf_pump_bus_set_delta), bus);
    g_signal_connect(bus->object, "handle-set-compression",
                     G_CALLBACK(vmf_pump_bus_set_compression), bus);
    g_signal_connect(bus->object, "handle-stop", G_CALLBACK(vmf_pump_bus_stop), bus);
    bus->watch = vmf_watch_new(listener, vmf_pump_bus_accept, bus);
    vmf_watch_want(bus->watch, G_IO_IN);
    return bus;
}

void
vmf_pump_bus_terminate(VmfPumpBus *bus)
{
    g_autoptr(GError) error =
        g_error_new_literal(VMF_ERROR, VMF_ERROR_CANCELLED, "the pump was terminated by a signal");

    vmf_pump_stop(bus->pump, error);
}

void
vmf_pump_bus_free(VmfPumpBus *bus)
{
    g_cancellable_cancel(bus->cancellable);
    vmf_watch_free(bus->watch);
    close(bus->listener);
    while (bus->connections) {
        GDBusConnection *connection = bus->connections->data;

        g_signal_handlers_disconnect_by_data(connection, bus);
        bus->connections = g_list_remove(bus->connections, connection);
        g_object_unref(connection);
    }
    vmf_timer_clear(&bus->flush_timer);
    vmf_pump_free(bus->pump);
    g_object_unref(bus->object);
    g_object_unref(bus->cancellable);
    g_free(bus);
}
