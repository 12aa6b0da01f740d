/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/readers.h"

#define VMF_READERS_TURN 15000 /* µs; then others have theirs */

struct VmfReaders {
    GDBusConnection *bus;
    GDBusObjectManager *objects;
    const char *path;
    guint filter;
    GAsyncQueue *calls; /* GDBusMessage, from GDBus's thread */
    GSource *turn;      /* ready while there are some */
};

/* a{sa{sv}}, floating. */
static GVariant *
vmf_readers_describe(GDBusObject *object)
{
    GList *interfaces = g_dbus_object_get_interfaces(object);
    GVariantBuilder all;

    g_variant_builder_init(&all, G_VARIANT_TYPE("a{sa{sv}}"));
    for (GList *item = interfaces; item; item = item->next) {
        GDBusInterfaceSkeleton *skeleton = item->data;
        g_autoptr(GVariant) properties = g_dbus_interface_skeleton_get_properties(skeleton);

        g_variant_builder_add(&all, "{s@a{sv}}", g_dbus_interface_skeleton_get_info(skeleton)->name,
                              properties);
    }
    g_list_free_full(interfaces, g_object_unref);
    return g_variant_builder_end(&all);
}

/* The body of an answer, as things are now. */
static GVariant *
vmf_readers_look(VmfReaders *self)
{
    GList *objects = g_dbus_object_manager_get_objects(self->objects);
    GVariantBuilder all;

    g_variant_builder_init(&all, G_VARIANT_TYPE("a{oa{sa{sv}}}"));
    for (GList *item = objects; item; item = item->next)
        g_variant_builder_add(&all, "{o@a{sa{sv}}}", g_dbus_object_get_object_path(item->data),
                              vmf_readers_describe(item->data));
    g_list_free_full(objects, g_object_unref);
    return g_variant_ref_sink(g_variant_new("(a{oa{sa{sv}}})", &all));
}

static void
vmf_readers_answer(VmfReaders *self, GDBusMessage *call, GVariant *all)
{
    g_autoptr(GDBusMessage) answer = g_dbus_message_new_method_reply(call);

    g_dbus_message_set_body(answer, all);
    (void)g_dbus_connection_send_message(self->bus, answer, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL,
                                         NULL); /* who went away needs none */
}

static gboolean
vmf_readers_on_turn(gpointer data)
{
    VmfReaders *self = data;
    gint64 until = g_get_monotonic_time() + VMF_READERS_TURN;
    g_autoptr(GVariant) all = vmf_readers_look(self);

    do {
        g_autoptr(GDBusMessage) call = g_async_queue_try_pop(self->calls);

        if (!call)
            break;
        vmf_readers_answer(self, call, all);
    } while (g_get_monotonic_time() < until);
    if (g_async_queue_length(self->calls) <= 0)
        g_source_set_ready_time(self->turn, -1);
    if (g_async_queue_length(self->calls) > 0) /* one that came in between */
        g_source_set_ready_time(self->turn, 0);
    return G_SOURCE_CONTINUE;
}

/* In GDBus's thread. What is not quite such a call is left to GDBus. */
static GDBusMessage *
vmf_readers_filter(GDBusConnection *bus, GDBusMessage *message, gboolean incoming, gpointer data)
{
    VmfReaders *self = data;

    if (!incoming || g_dbus_message_get_message_type(message) != G_DBUS_MESSAGE_TYPE_METHOD_CALL ||
        (g_dbus_message_get_flags(message) & G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED) ||
        g_strcmp0(g_dbus_message_get_member(message), "GetManagedObjects") != 0 ||
        g_strcmp0(g_dbus_message_get_interface(message), "org.freedesktop.DBus.ObjectManager") !=
            0 ||
        g_strcmp0(g_dbus_message_get_path(message), self->path) != 0 ||
        *g_dbus_message_get_signature(message))
        return message;
    g_async_queue_push(self->calls, message);
    g_source_set_ready_time(self->turn, 0);
    return NULL;
}

static gboolean
vmf_readers_dispatch(GSource *source, GSourceFunc func, gpointer data)
{
    return func(data);
}

static GSourceFuncs vmf_readers_source = {.dispatch = vmf_readers_dispatch};

/* The filter may be at work while it is removed; when its data is let go, it is not any more. */
static void
vmf_readers_let_go(gpointer data)
{
    VmfReaders *self = data;

    g_source_unref(self->turn);
    g_async_queue_unref(self->calls);
    g_object_unref(self->objects);
    g_free(self);
}

VmfReaders *
vmf_readers_new(GDBusConnection *bus, GDBusObjectManagerServer *objects)
{
    VmfReaders *self = g_new0(VmfReaders, 1);

    self->bus = g_object_ref(bus);
    self->objects = G_DBUS_OBJECT_MANAGER(g_object_ref(objects));
    self->path = g_dbus_object_manager_get_object_path(self->objects);
    self->calls = g_async_queue_new_full(g_object_unref);
    self->turn = g_source_new(&vmf_readers_source, sizeof(GSource));
    g_source_set_callback(self->turn, vmf_readers_on_turn, self, NULL);
    g_source_attach(self->turn, NULL);
    self->filter = g_dbus_connection_add_filter(bus, vmf_readers_filter, self, vmf_readers_let_go);
    return self;
}

void
vmf_readers_free(VmfReaders *self)
{
    g_autoptr(GDBusConnection) bus = self->bus;

    g_source_destroy(self->turn);
    g_dbus_connection_remove_filter(bus, self->filter);
}
