/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "ctl/ctl.h"

int
vmf_ctl_maintenance(int argc, char **argv)
{
    const GOptionEntry entries[] = {{NULL, 0, 0, 0, NULL, NULL, NULL}};
    g_autoptr(VmfBusManager) manager = NULL;
    g_autoptr(GError) error = NULL;
    gboolean on;

    if (!vmf_ctl_parse(
            &argc, &argv, entries, "[on|off]",
            "Says whether this host takes guests, or changes it. In maintenance it takes "
            "none.",
            0, 1))
        return VMF_EXIT_USAGE;
    on = argc > 1 && g_str_equal(argv[1], "on");
    if (argc > 1 && !on && !g_str_equal(argv[1], "off")) {
        fprintf(stderr, "vmferry maintenance: expected on or off, not '%s'\n", argv[1]);
        return VMF_EXIT_USAGE;
    }
    manager = vmf_ctl_connect();
    if (!manager)
        return VMF_EXIT_NO_DAEMON;
    if (argc == 1)
        puts(vmf_bus_manager_get_maintenance(manager) ? "on" : "off");
    else if (!vmf_bus_manager_call_set_maintenance_sync(manager, on, NULL, &error))
        return vmf_ctl_fail(error);
    return VMF_EXIT_OK;
}
