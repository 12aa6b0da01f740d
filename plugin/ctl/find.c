/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/find.h"

#include <stdio.h>

VmfBusMigration *
vmf_ctl_find_migration(const char *id, int *ret_status)
{
    g_autoptr(GDBusObjectManager) objects = vmf_ctl_connect_objects();
    VmfBusMigration *found = NULL;
    GList *all;

    *ret_status = VMF_EXIT_NO_DAEMON;
    if (!objects)
        return NULL;
    all = g_dbus_object_manager_get_objects(objects);
    for (GList *item = all; item && !found; item = item->next) {
        found = vmf_bus_object_get_migration(VMF_BUS_OBJECT(item->data));
        if (found && g_strcmp0(id, vmf_bus_migration_get_id(found)) != 0)
            g_clear_object(&found);
    }
    g_list_free_full(all, g_object_unref);
    *ret_status = VMF_EXIT_FAILED;
    if (!found)
        fprintf(stderr, "vmferry: no migration has the id '%s'; see vmferry status\n", id);
    return found;
}

VmfBusPeer *
vmf_ctl_find_peer(GDBusObjectManager *objects, const char *name)
{
    GList *all = g_dbus_object_manager_get_objects(objects);
    VmfBusPeer *found = NULL;

    for (GList *item = all; item && !found; item = item->next) {
        found = vmf_bus_object_get_peer(VMF_BUS_OBJECT(item->data));
        if (found && g_strcmp0(name, vmf_bus_peer_get_name(found)) != 0)
            g_clear_object(&found);
    }
    g_list_free_full(all, g_object_unref);
    if (!found)
        fprintf(stderr, "vmferry: no peer is called '%s'; see vmferry peers\n", name);
    return found;
}
