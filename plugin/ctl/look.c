/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/look.h"

#define VMF_LOOK_MS 25000 /* as long as other calls have */

/* Neither asks nor hears anything by itself. */
#define VMF_LOOK_FLAGS                                                                             \
    (G_DBUS_PROXY_FLAGS_DO_NOT_LOAD_PROPERTIES | G_DBUS_PROXY_FLAGS_DO_NOT_CONNECT_SIGNALS |       \
     G_DBUS_PROXY_FLAGS_DO_NOT_AUTO_START)

/* ---- asking ---- */

typedef struct {
    gboolean over;
    GDBusMessage *answer; /* NULL: `error` says why */
    GError *error;
} VmfQuery;

static void
vmf_query_answered(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfQuery *query = data;

    query->answer = g_dbus_connection_send_message_with_reply_finish(G_DBUS_CONNECTION(source),
                                                                     result, &query->error);
    if (query->answer && g_dbus_message_to_gerror(query->answer, &query->error))
        g_clear_object(&query->answer);
    query->over = TRUE;
}

/* `body` may be floating, or NULL. */
static void
vmf_query_send(VmfQuery *query, GDBusConnection *bus, const char *interface, const char *method,
               GVariant *body)
{
    g_autoptr(GDBusMessage) call =
        g_dbus_message_new_method_call(VMF_CTL_BUS_NAME, VMF_CTL_ROOT, interface, method);

    if (body)
        g_dbus_message_set_body(call, body);
    g_dbus_connection_send_message_with_reply(bus, call, G_DBUS_SEND_MESSAGE_FLAGS_NONE,
                                              VMF_LOOK_MS, NULL, NULL, vmf_query_answered, query);
}

/* The body of the answer, the caller's, if it is of this type. */
static GVariant *
vmf_query_get(VmfQuery *query, const char *type, GError **error)
{
    GVariant *body = query->answer ? g_dbus_message_get_body(query->answer) : NULL;

    if (query->error)
        g_propagate_error(error, g_steal_pointer(&query->error));
    else if (!body || !g_variant_is_of_type(body, G_VARIANT_TYPE(type)))
        g_set_error(error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_SIGNATURE, "its answer is not %s",
                    type);
    else
        return g_variant_get_child_value(body, 0);
    return NULL;
}

static void
vmf_query_clear(VmfQuery *query)
{
    g_clear_object(&query->answer);
    g_clear_error(&query->error);
}

/* ---- what was answered ---- */

static void
vmf_look_fill(gpointer proxy, GVariant *properties)
{
    GVariantIter iter;
    const char *name;
    GVariant *value;

    g_variant_iter_init(&iter, properties);
    while (g_variant_iter_loop(&iter, "{&sv}", &name, &value))
        g_dbus_proxy_set_cached_property(proxy, name, value);
}

static gboolean
vmf_look_add(VmfLook *self, GDBusConnection *bus, const char *owner, const char *path,
             GVariant *properties, GError **error)
{
    VmfBusMigration *migration =
        vmf_bus_migration_proxy_new_sync(bus, VMF_LOOK_FLAGS, owner, path, NULL, error);

    if (!migration)
        return FALSE;
    vmf_look_fill(migration, properties);
    g_ptr_array_add(self->migrations, migration);
    return TRUE;
}

/* A unique name as the proxies' needs no further question of the bus. */
static gboolean
vmf_look_read(VmfLook *self, GDBusConnection *bus, const char *owner, GVariant *objects,
              GVariant *manager, GError **error)
{
    GVariantIter iter;
    const char *path;
    GVariant *interfaces;
    gboolean good = TRUE;

    self->manager =
        vmf_bus_manager_proxy_new_sync(bus, VMF_LOOK_FLAGS, owner, VMF_CTL_ROOT, NULL, error);
    if (!self->manager)
        return FALSE;
    vmf_look_fill(self->manager, manager);
    g_variant_iter_init(&iter, objects);
    while (good && g_variant_iter_next(&iter, "{&o@a{sa{sv}}}", &path, &interfaces)) {
        g_autoptr(GVariant) owned = interfaces;
        g_autoptr(GVariant) properties =
            g_variant_lookup_value(interfaces, "org.vmferry1.Migration", G_VARIANT_TYPE_VARDICT);

        good = !properties || vmf_look_add(self, bus, owner, path, properties, error);
    }
    return good;
}

static VmfLook *
vmf_look_new(GDBusConnection *bus, GError **error)
{
    g_autoptr(VmfLook) self = g_new0(VmfLook, 1);
    VmfQuery all = {0};
    VmfQuery own = {0};
    g_autoptr(GVariant) objects = NULL;
    g_autoptr(GVariant) manager = NULL;
    gboolean good;

    self->migrations = g_ptr_array_new_with_free_func(g_object_unref);
    vmf_query_send(&all, bus, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL);
    vmf_query_send(&own, bus, "org.freedesktop.DBus.Properties", "GetAll",
                   g_variant_new("(s)", "org.vmferry1.Manager"));
    while (!all.over || !own.over)
        g_main_context_iteration(NULL, TRUE);
    objects = vmf_query_get(&all, "(a{oa{sa{sv}}})", error);
    manager = objects ? vmf_query_get(&own, "(a{sv})", error) : NULL;
    good = manager &&
           vmf_look_read(self, bus, g_dbus_message_get_sender(all.answer), objects, manager, error);
    vmf_query_clear(&all);
    vmf_query_clear(&own);
    return good ? g_steal_pointer(&self) : NULL;
}

VmfLook *
vmf_ctl_look(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GDBusConnection) bus = g_bus_get_sync(vmf_ctl_bus_type(), NULL, &error);
    VmfLook *self = bus ? vmf_look_new(bus, &error) : NULL;

    if (!self)
        vmf_ctl_say_no_daemon(error);
    return self;
}

void
vmf_look_free(VmfLook *self)
{
    g_ptr_array_unref(self->migrations);
    g_clear_object(&self->manager);
    g_free(self);
}
