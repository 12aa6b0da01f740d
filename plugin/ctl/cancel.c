/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "ctl/ctl.h"

static VmfBusMigration *
vmf_cancel_find(GDBusObjectManager *objects, const char *id)
{
    GList *all = g_dbus_object_manager_get_objects(objects);
    VmfBusMigration *found = NULL;

    for (GList *item = all; item && !found; item = item->next) {
        found = vmf_bus_object_get_migration(VMF_BUS_OBJECT(item->data));
        if (found && g_strcmp0(id, vmf_bus_migration_get_id(found)) != 0)
            g_clear_object(&found);
    }
    g_list_free_full(all, g_object_unref);
    return found;
}

int
vmf_ctl_cancel(int argc, char **argv)
{
    gboolean json = FALSE;
    const GOptionEntry entries[] = {
        {"json", 'j', 0, G_OPTION_ARG_NONE, &json, "Print the migration as JSON", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autoptr(GDBusObjectManager) objects = NULL;
    g_autoptr(VmfBusMigration) migration = NULL;
    g_autoptr(GError) error = NULL;

    if (!vmf_ctl_parse(&argc, &argv, entries, "ID",
                       "Asks for the end of a migration; the guest goes on at the source.", 1, 1))
        return VMF_EXIT_USAGE;
    objects = vmf_ctl_connect_objects();
    if (!objects)
        return VMF_EXIT_NO_DAEMON;
    migration = vmf_cancel_find(objects, argv[1]);
    if (!migration) {
        fprintf(stderr, "vmferry: no migration has the id '%s'; see vmferry status\n", argv[1]);
        return VMF_EXIT_FAILED;
    }
    if (!vmf_bus_migration_call_cancel_sync(migration, NULL, &error))
        return vmf_ctl_fail(error);
    if (json)
        vmf_ctl_print_json(vmf_ctl_get_properties(G_DBUS_PROXY(migration)));
    return VMF_EXIT_OK;
}
