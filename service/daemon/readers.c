/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/readers.h"

#include "base/thread-time.h"
#include "base/timer.h"
#include "daemon/turns.h"

#define VMF_READERS_TURN 15000 /* µs of a processor, after the look; then others have theirs */

struct VmfReaders {
    GDBusConnection *bus;
    GDBusObjectManager *objects;
    const char *path;
    guint filter;
    GMutex lock;     /* for the following */
    VmfTurns *calls; /* GDBusMessage, from GDBus's thread */
    GSource *turn;   /* ready while there are some */
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

static GDBusMessage *
vmf_readers_next(VmfReaders *self)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    return vmf_turns_pop(self->calls);
}

/*
 * Nothing is told on the bus in between, so that one look is right for all of these. By the wall's
 * clock, a busy host would leave time for one answer to a look.
 */
static void
vmf_readers_answer_some(VmfReaders *self, GDBusMessage *first)
{
    g_autoptr(GVariant) all = vmf_readers_look(self);
    gint64 until = vmf_thread_time() + VMF_READERS_TURN;

    for (GDBusMessage *call = first; call; call = vmf_readers_next(self)) {
        vmf_readers_answer(self, call, all);
        g_object_unref(call);
        if (vmf_thread_time() >= until)
            break;
    }
}

static gboolean
vmf_readers_on_turn(gpointer data)
{
    VmfReaders *self = data;
    GDBusMessage *first;

    g_source_set_ready_time(self->turn, -1); /* before it is seen who waits: others come */
    first = vmf_readers_next(self);
    if (!first)
        return G_SOURCE_CONTINUE; /* the latest turn had it */
    vmf_readers_answer_some(self, first);
    g_mutex_lock(&self->lock);
    if (!vmf_turns_are_over(self->calls))
        g_source_set_ready_time(self->turn, 0);
    g_mutex_unlock(&self->lock);
    return G_SOURCE_CONTINUE;
}

/* In GDBus's thread. What is not quite such a call is left to GDBus. */
static GDBusMessage *
vmf_readers_filter(GDBusConnection *bus, GDBusMessage *message, gboolean incoming, gpointer data)
{
    VmfReaders *self = data;
    const char *sender = g_dbus_message_get_sender(message);

    if (!incoming || g_dbus_message_get_message_type(message) != G_DBUS_MESSAGE_TYPE_METHOD_CALL ||
        (g_dbus_message_get_flags(message) & G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED) ||
        g_strcmp0(g_dbus_message_get_member(message), "GetManagedObjects") != 0 ||
        g_strcmp0(g_dbus_message_get_interface(message), "org.freedesktop.DBus.ObjectManager") !=
            0 ||
        g_strcmp0(g_dbus_message_get_path(message), self->path) != 0 ||
        *g_dbus_message_get_signature(message))
        return message;
    g_mutex_lock(&self->lock);
    vmf_turns_push(self->calls, sender ? sender : "", message);
    g_mutex_unlock(&self->lock);
    g_source_set_ready_time(self->turn, 0);
    return NULL;
}

/* The filter may be at work while it is removed; when its data is let go, it is not any more. */
static void
vmf_readers_let_go(gpointer data)
{
    VmfReaders *self = data;

    g_source_unref(self->turn);
    vmf_turns_free(self->calls);
    g_mutex_clear(&self->lock);
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
    g_mutex_init(&self->lock);
    self->calls = vmf_turns_new(g_object_unref);
    self->turn = vmf_alarm_new(vmf_readers_on_turn, self);
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
