/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmferry features HOST: what this host and a peer agreed on. */
#include <stdio.h>

#include "ctl/ctl.h"
#include "ctl/find.h"

/* "level 9, window 134217728": parameters in the order in which they come. */
static char *
vmf_features_format(GVariant *parameters)
{
    GString *text = g_string_new(NULL);
    GVariantIter iter;
    const char *name;
    GVariant *value;

    g_variant_iter_init(&iter, parameters);
    while (g_variant_iter_next(&iter, "{&sv}", &name, &value)) {
        g_autofree char *shown = NULL;

        if (g_variant_is_of_type(value, G_VARIANT_TYPE_STRING_ARRAY)) {
            g_auto(GStrv) words = g_variant_dup_strv(value, NULL);

            shown = g_strjoinv("/", words);
        } else {
            shown = g_variant_print(value, FALSE);
        }
        g_string_append_printf(text, "%s%s %s", text->len ? ", " : "", name, shown);
        g_variant_unref(value);
    }
    return g_string_free(text, FALSE);
}

static void
vmf_features_print(GVariant *features)
{
    GVariantIter iter;
    const char *name;
    const char *why;
    guint version;
    GVariant *parameters;

    printf("%-16s  %-7s  %s\n", "FEATURE", "VERSION", "");
    g_variant_iter_init(&iter, features);
    while (g_variant_iter_next(&iter, "(&su&s@a{sv})", &name, &version, &why, &parameters)) {
        g_autofree char *shown = vmf_features_format(parameters);

        if (version > 0)
            printf("%-16s  %-7u  %s\n", name, version, shown);
        else
            printf("%-16s  %-7s  %s\n", name, "off", why);
        g_variant_unref(parameters);
    }
}

GVariant *
vmf_ctl_features_to_dict(GVariant *features)
{
    GVariantDict dict;
    GVariantIter iter;
    const char *name;
    const char *why;
    guint version;
    GVariant *parameters;

    g_variant_dict_init(&dict, NULL);
    g_variant_iter_init(&iter, features);
    while (g_variant_iter_next(&iter, "(&su&s@a{sv})", &name, &version, &why, &parameters)) {
        g_variant_dict_insert(&dict, name, "@a{sv}",
                              g_variant_new_parsed("{'Version': <%u>, 'Why': <%s>, 'Parameters': "
                                                   "<%@a{sv}>}",
                                                   version, why, parameters));
        g_variant_unref(parameters);
    }
    return g_variant_dict_end(&dict);
}

int
vmf_ctl_features(int argc, char **argv)
{
    gboolean json = FALSE;
    const GOptionEntry entries[] = {
        {"json", 'j', 0, G_OPTION_ARG_NONE, &json, "Print JSON", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autoptr(VmfBusManager) manager = NULL;
    g_autoptr(GDBusObjectManager) objects = NULL;
    g_autoptr(VmfBusPeer) peer = NULL;
    g_autoptr(GError) error = NULL;

    if (!vmf_ctl_parse(
            &argc, &argv, entries, "HOST",
            "Shows what this host and HOST, which is connected to if it is not, agree on "
            "for migrations\nfrom here, and why the rest is off.",
            1, 1))
        return VMF_EXIT_USAGE;
    manager = vmf_ctl_connect();
    if (!manager)
        return VMF_EXIT_NO_DAEMON;
    if (!vmf_bus_manager_call_connect_sync(manager, argv[1], NULL, &error))
        return vmf_ctl_fail(error);
    objects = vmf_ctl_connect_objects();
    if (!objects)
        return VMF_EXIT_NO_DAEMON;
    peer = vmf_ctl_find_peer(objects, argv[1]);
    if (!peer)
        return VMF_EXIT_FAILED;
    if (json)
        vmf_ctl_print_json(vmf_ctl_features_to_dict(vmf_bus_peer_get_features(peer)));
    else
        vmf_features_print(vmf_bus_peer_get_features(peer));
    return VMF_EXIT_OK;
}
