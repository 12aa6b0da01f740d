/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmferry capture: whether plain virsh migrate goes through vmferry. */
#include <stdio.h>

#include "ctl/ctl.h"

static int
vmf_capture_set(VmfBusManager *manager, gboolean on)
{
    g_autoptr(GError) error = NULL;

    /* Peers' names are looked up meanwhile. */
    g_dbus_proxy_set_default_timeout(G_DBUS_PROXY(manager), G_MAXINT);
    if (vmf_bus_manager_call_set_capture_sync(manager, on, NULL, &error))
        return VMF_EXIT_OK;
    return vmf_ctl_fail(error);
}

static int
vmf_capture_status(VmfBusManager *manager, gboolean json)
{
    GVariantDict status;

    if (!json) {
        puts(vmf_bus_manager_get_capture(manager) ? "on" : "off");
        return VMF_EXIT_OK;
    }
    g_variant_dict_init(&status, NULL);
    g_variant_dict_insert(&status, "Capture", "b", vmf_bus_manager_get_capture(manager));
    vmf_ctl_print_json(g_variant_dict_end(&status));
    return VMF_EXIT_OK;
}

int
vmf_ctl_capture(int argc, char **argv)
{
    gboolean json = FALSE;
    const GOptionEntry entries[] = {
        {"json", 'j', 0, G_OPTION_ARG_NONE, &json, "status: print JSON", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autoptr(VmfBusManager) manager = NULL;

    if (!vmf_ctl_parse(&argc, &argv, entries, "on|off|status",
                       "Leads plain virsh migrate from this host to its peers through vmferry.", 1,
                       1))
        return VMF_EXIT_USAGE;
    if (!g_str_equal(argv[1], "on") && !g_str_equal(argv[1], "off") &&
        !g_str_equal(argv[1], "status")) {
        fprintf(stderr, "vmferry: capture: expected on, off or status, not '%s'\n", argv[1]);
        return VMF_EXIT_USAGE;
    }
    manager = vmf_ctl_connect();
    if (!manager)
        return VMF_EXIT_NO_DAEMON;
    if (g_str_equal(argv[1], "status"))
        return vmf_capture_status(manager, json);
    return vmf_capture_set(manager, g_str_equal(argv[1], "on"));
}
