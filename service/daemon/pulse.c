/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/pulse.h"

#include "base/log.h"

typedef struct {
    GDBusConnection *link; /* until it is closed */
    char *name;
    guint timer;
} VmfPulse;

static gboolean vmf_pulse_ask(gpointer data);

static void
vmf_pulse_clear(gpointer data)
{
    VmfPulse *self = data;

    g_free(self->name);
}

static void
vmf_pulse_unref(gpointer data)
{
    g_atomic_rc_box_release_full(data, vmf_pulse_clear);
}

static void
vmf_pulse_on_closed(GDBusConnection *link, gboolean vanished, GError *error, VmfPulse *self)
{
    g_signal_handlers_disconnect_by_func(link, vmf_pulse_on_closed, self);
    g_clear_handle_id(&self->timer, g_source_remove);
    g_clear_object(&self->link);
    vmf_pulse_unref(self);
}

static void
vmf_pulse_answered(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfPulse *self = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) answer =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);

    /* Whatever it says, it is there. */
    if (self->link && g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)) {
        vmf_warn(NULL, "%s does not answer on the control link any more", self->name);
        g_dbus_connection_close(self->link, NULL, NULL, NULL);
    } else if (self->link) {
        self->timer = g_timeout_add_seconds(VMF_PULSE_INTERVAL, vmf_pulse_ask, self);
    }
    vmf_pulse_unref(self);
}

static gboolean
vmf_pulse_ask(gpointer data)
{
    VmfPulse *self = data;

    self->timer = 0;
    g_dbus_connection_call(self->link, NULL, "/", "org.freedesktop.DBus.Peer", "Ping", NULL, NULL,
                           G_DBUS_CALL_FLAGS_NONE, VMF_PULSE_PATIENCE * 1000, NULL,
                           vmf_pulse_answered, g_atomic_rc_box_acquire(self));
    return G_SOURCE_REMOVE;
}

/* Main loop, where "closed" is told, too: it comes before or after, not meanwhile. */
static gboolean
vmf_pulse_begin(gpointer data)
{
    VmfPulse *self = data;

    if (g_dbus_connection_is_closed(self->link)) {
        g_clear_object(&self->link);
        vmf_pulse_unref(self);
        return G_SOURCE_REMOVE;
    }
    g_signal_connect(self->link, "closed", G_CALLBACK(vmf_pulse_on_closed), self);
    self->timer = g_timeout_add_seconds(VMF_PULSE_INTERVAL, vmf_pulse_ask, self);
    return G_SOURCE_REMOVE;
}

void
vmf_pulse_start(GDBusConnection *link, const char *name)
{
    VmfPulse *self = g_atomic_rc_box_new0(VmfPulse);

    self->link = g_object_ref(link);
    self->name = g_strdup(name);
    g_main_context_invoke(NULL, vmf_pulse_begin, self);
}
