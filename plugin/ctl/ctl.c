/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/ctl.h"

#include <json-glib/json-glib.h>
#include <stdio.h>
#include <unistd.h>

#include "base/error.h"

#define PASSWORD_MS 310000 /* somewhat more than vmferryd gives polkit */

gboolean
vmf_ctl_parse(int *argc, char ***argv, const GOptionEntry *entries, const char *synopsis,
              const char *summary, int min, int max)
{
    g_autoptr(GOptionContext) context = g_option_context_new(synopsis);
    g_autofree char *name = g_strdup((*argv)[0]);
    g_autoptr(GError) error = NULL;

    g_option_context_set_summary(context, summary);
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, &error)) {
        fprintf(stderr, "vmferry %s: %s; see vmferry %s --help\n", name, error->message, name);
        return FALSE;
    }
    if (*argc - 1 >= min && *argc - 1 <= max)
        return TRUE;
    if (*argc - 1 > max)
        fprintf(stderr, "vmferry %s: unexpected argument '%s'", name, (*argv)[max + 1]);
    else
        fprintf(stderr, "vmferry %s: expected %s", name, synopsis);
    fprintf(stderr, "; see vmferry %s --help\n", name);
    return FALSE;
}

GBusType
vmf_ctl_bus_type(void)
{
    return g_getenv("VMFERRY_SESSION_BUS") ? G_BUS_TYPE_SESSION : G_BUS_TYPE_SYSTEM;
}

void
vmf_ctl_say_no_daemon(GError *error)
{
    g_dbus_error_strip_remote_error(error);
    fprintf(stderr, "vmferry: vmferryd does not answer: %s; see systemctl status vmferryd\n",
            error->message);
}

/* Who is not root may be asked for a password by polkit's agent; in the bus's worker thread. */
static GDBusMessage *
vmf_ctl_allow_password(GDBusConnection *bus, GDBusMessage *message, gboolean incoming,
                       gpointer data)
{
    GDBusMessage *asking;

    if (incoming)
        return message;
    asking = g_dbus_message_copy(message, NULL); /* this one is locked */
    g_object_unref(message);
    if (asking)
        g_dbus_message_set_flags(asking, g_dbus_message_get_flags(asking) |
                                             G_DBUS_MESSAGE_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION);
    return asking;
}

static void
vmf_ctl_have_patience(GDBusProxy *manager)
{
    if (geteuid() == 0)
        return;
    g_dbus_connection_add_filter(g_dbus_proxy_get_connection(manager), vmf_ctl_allow_password, NULL,
                                 NULL);
    g_dbus_proxy_set_default_timeout(manager, PASSWORD_MS);
}

VmfBusManager *
vmf_ctl_connect(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfBusManager) manager = NULL;
    g_autofree char *owner = NULL;

    (void)vmf_error_quark();
    manager = vmf_bus_manager_proxy_new_for_bus_sync(vmf_ctl_bus_type(), G_DBUS_PROXY_FLAGS_NONE,
                                                     VMF_CTL_BUS_NAME, VMF_CTL_ROOT, NULL, &error);
    if (manager)
        owner = g_dbus_proxy_get_name_owner(G_DBUS_PROXY(manager));
    if (manager && !owner)
        error = g_error_new_literal(VMF_ERROR, VMF_ERROR_FAILED, "it does not run");
    if (!error) {
        vmf_ctl_have_patience(G_DBUS_PROXY(manager));
        return g_steal_pointer(&manager);
    }
    vmf_ctl_say_no_daemon(error);
    return NULL;
}

GDBusObjectManager *
vmf_ctl_connect_objects(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GDBusObjectManager) objects = NULL;
    g_autoptr(VmfBusManager) manager = vmf_ctl_connect();

    if (!manager)
        return NULL;
    objects = vmf_bus_object_manager_client_new_for_bus_sync(
        vmf_ctl_bus_type(), G_DBUS_OBJECT_MANAGER_CLIENT_FLAGS_NONE, VMF_CTL_BUS_NAME, VMF_CTL_ROOT,
        NULL, &error);
    if (!objects)
        vmf_ctl_say_no_daemon(error);
    return g_steal_pointer(&objects);
}

int
vmf_ctl_fail(GError *error)
{
    gboolean away = g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN) ||
                    g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_NO_REPLY);
    gboolean usage = g_error_matches(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT);

    if (g_dbus_error_is_remote_error(error))
        g_dbus_error_strip_remote_error(error);
    fprintf(stderr, "vmferry: %s\n", error->message);
    return away ? VMF_EXIT_NO_DAEMON : usage ? VMF_EXIT_USAGE : VMF_EXIT_FAILED;
}

char *
vmf_ctl_format_bytes(guint64 bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    guint unit = 0;

    while (value >= 1024 && unit + 1 < G_N_ELEMENTS(units)) {
        value /= 1024;
        unit++;
    }
    return unit ? g_strdup_printf("%.1f %s", value, units[unit])
                : g_strdup_printf("%" G_GUINT64_FORMAT " B", bytes);
}

char *
vmf_ctl_format_seconds(double seconds)
{
    guint64 whole = (guint64)(seconds + 0.5);

    if (whole >= 3600)
        return g_strdup_printf("%" G_GUINT64_FORMAT ":%02u:%02u", whole / 3600,
                               (guint)(whole / 60 % 60), (guint)(whole % 60));
    return g_strdup_printf("%u:%02u", (guint)(whole / 60), (guint)(whole % 60));
}

void
vmf_ctl_print_json(GVariant *value)
{
    g_autoptr(GVariant) owned = g_variant_ref_sink(value);
    g_autoptr(JsonNode) node = json_gvariant_serialize(owned);
    g_autofree char *text = json_to_string(node, TRUE);

    puts(text);
}

GVariant *
vmf_ctl_get_properties(GDBusProxy *proxy)
{
    g_auto(GStrv) names = g_dbus_proxy_get_cached_property_names(proxy);
    GVariantDict dict;

    g_variant_dict_init(&dict, NULL);
    for (char **name = names; name && *name; name++) {
        g_autoptr(GVariant) value = g_dbus_proxy_get_cached_property(proxy, *name);

        if (value && g_str_equal(*name, "Error")) {
            const char *error;
            const char *message;

            g_variant_get(value, "(&s&s)", &error, &message);
            g_variant_dict_insert(
                &dict, "Error", "@a{sv}",
                g_variant_new_parsed("{'Name': <%s>, 'Message': <%s>}", error, message));
        } else if (value && g_variant_is_of_type(value, G_VARIANT_TYPE("a(susa{sv})"))) {
            g_variant_dict_insert_value(&dict, *name, vmf_ctl_features_to_dict(value));
        } else if (value) {
            g_variant_dict_insert_value(&dict, *name, value);
        }
    }
    return g_variant_dict_end(&dict);
}
