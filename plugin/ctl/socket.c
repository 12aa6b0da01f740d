/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmferry socket: what to give to virsh migrate. */
#include <stdio.h>

#include "ctl/ctl.h"

static void
vmf_socket_print_json(const char *path)
{
    g_autofree char *uri = g_strdup_printf("unix://%s", path);
    GVariantDict socket;

    g_variant_dict_init(&socket, NULL);
    g_variant_dict_insert(&socket, "Path", "s", path);
    g_variant_dict_insert(&socket, "Uri", "s", uri);
    vmf_ctl_print_json(g_variant_dict_end(&socket));
}

int
vmf_ctl_socket(int argc, char **argv)
{
    gboolean json = FALSE;
    const GOptionEntry entries[] = {
        {"json", 'j', 0, G_OPTION_ARG_NONE, &json, "Print JSON", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autoptr(VmfBusManager) manager = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;

    if (!vmf_ctl_parse(
            &argc, &argv, entries, "GUEST HOST",
            "Prints the path of the socket that carries a guest to a peer; virsh migrate "
            "takes unix://PATH as its migration URI.",
            2, 2))
        return VMF_EXIT_USAGE;
    manager = vmf_ctl_connect();
    if (!manager)
        return VMF_EXIT_NO_DAEMON;
    if (!vmf_bus_manager_call_get_socket_sync(manager, argv[1], argv[2], &path, NULL, &error))
        return vmf_ctl_fail(error);
    if (json)
        vmf_socket_print_json(path);
    else
        puts(path);
    return VMF_EXIT_OK;
}
