/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "ctl/ctl.h"

static gint
vmf_compare_peers(gconstpointer a, gconstpointer b)
{
    return g_strcmp0(vmf_bus_peer_get_name(*(VmfBusPeer *const *)a),
                     vmf_bus_peer_get_name(*(VmfBusPeer *const *)b));
}

static GPtrArray *
vmf_peers_collect(GDBusObjectManager *objects)
{
    GPtrArray *found = g_ptr_array_new_with_free_func(g_object_unref);
    GList *all = g_dbus_object_manager_get_objects(objects);

    for (GList *item = all; item; item = item->next) {
        VmfBusPeer *peer = vmf_bus_object_get_peer(VMF_BUS_OBJECT(item->data));

        if (peer)
            g_ptr_array_add(found, peer);
    }
    g_list_free_full(all, g_object_unref);
    g_ptr_array_sort(found, vmf_compare_peers);
    return found;
}

/* "9 of 15": how many of those that one of the hosts knows are agreed. */
static char *
vmf_peers_count_features(VmfBusPeer *peer)
{
    GVariant *features = vmf_bus_peer_get_features(peer);
    gsize n = features ? g_variant_n_children(features) : 0;
    guint agreed = 0;

    for (gsize i = 0; i < n; i++) {
        guint version;

        g_variant_get_child(features, i, "(&su&s@a{sv})", NULL, &version, NULL, NULL);
        agreed += version > 0;
    }
    return n ? g_strdup_printf("%u of %u", agreed, (guint)n) : g_strdup("");
}

/* The day on which its certificate ends. */
static char *
vmf_peers_format_end(VmfBusPeer *peer)
{
    guint64 end = vmf_bus_peer_get_certificate_end(peer);
    g_autoptr(GDateTime) time =
        end ? g_date_time_new_from_unix_local((gint64)(end / G_USEC_PER_SEC)) : NULL;

    return time ? g_date_time_format(time, "%F") : g_strdup("");
}

static void
vmf_peers_print(GPtrArray *peers)
{
    printf("%-24s  %-9s  %-8s  %-8s  %-11s  %s\n", "NAME", "REACHABLE", "VERSION", "FEATURES",
           "CERTIFICATE", "ADDRESSES");
    for (guint i = 0; i < peers->len; i++) {
        VmfBusPeer *peer = peers->pdata[i];
        g_autofree char *addresses = g_strjoinv(", ", (char **)vmf_bus_peer_get_addresses(peer));
        g_autofree char *features = vmf_peers_count_features(peer);
        g_autofree char *end = vmf_peers_format_end(peer);
        const char *message = "";

        g_variant_get_child(vmf_bus_peer_get_error(peer), 1, "&s", &message);
        printf("%-24s  %-9s  %-8s  %-8s  %-11s  %s%s%s\n", vmf_bus_peer_get_name(peer),
               vmf_bus_peer_get_connected(peer) ? "yes" : "no", vmf_bus_peer_get_version(peer),
               features, end, addresses, *message ? "  " : "", message);
    }
}

static void
vmf_peers_print_json(GPtrArray *peers)
{
    GVariantBuilder list;

    g_variant_builder_init(&list, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < peers->len; i++)
        g_variant_builder_add_value(&list, vmf_ctl_get_properties(peers->pdata[i]));
    vmf_ctl_print_json(g_variant_builder_end(&list));
}

static int
vmf_peers_connect(const char *name)
{
    g_autoptr(VmfBusManager) manager = vmf_ctl_connect();
    g_autoptr(GError) error = NULL;

    if (!manager)
        return VMF_EXIT_NO_DAEMON;
    if (!vmf_bus_manager_call_connect_sync(manager, name, NULL, &error))
        return vmf_ctl_fail(error);
    return VMF_EXIT_OK;
}

int
vmf_ctl_peers(int argc, char **argv)
{
    gboolean json = FALSE;
    gboolean names = FALSE;
    g_autofree char *connect = NULL;
    const GOptionEntry entries[] = {
        {"json", 'j', 0, G_OPTION_ARG_NONE, &json, "Print JSON", NULL},
        {"names", 0, 0, G_OPTION_ARG_NONE, &names, "Print names only, one a line", NULL},
        {"connect", 'c', 0, G_OPTION_ARG_STRING, &connect,
         "Connect to HOST first, and fail with the reason if that cannot be done", "HOST"},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autoptr(GDBusObjectManager) objects = NULL;
    g_autoptr(GPtrArray) peers = NULL;
    int status;

    if (!vmf_ctl_parse(&argc, &argv, entries, "",
                       "Shows the hosts in /etc/vmferry/peers.d and whether they are connected.", 0,
                       0))
        return VMF_EXIT_USAGE;
    if (connect && (status = vmf_peers_connect(connect)) != VMF_EXIT_OK)
        return status;
    objects = vmf_ctl_connect_objects();
    if (!objects)
        return VMF_EXIT_NO_DAEMON;
    peers = vmf_peers_collect(objects);
    if (json) {
        vmf_peers_print_json(peers);
    } else if (names) {
        for (guint i = 0; i < peers->len; i++)
            puts(vmf_bus_peer_get_name(peers->pdata[i]));
    } else {
        vmf_peers_print(peers);
    }
    return VMF_EXIT_OK;
}
