/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmferry cancel and vmferry postcopy: a word to a running migration. */
#include "ctl/find.h"

typedef gboolean (*VmfWord)(VmfBusMigration *migration, GCancellable *cancellable, GError **error);

static int
vmf_ctl_tell(int argc, char **argv, const char *summary, VmfWord word)
{
    gboolean json = FALSE;
    const GOptionEntry entries[] = {
        {"json", 'j', 0, G_OPTION_ARG_NONE, &json, "Print the migration as JSON", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autoptr(VmfBusMigration) migration = NULL;
    g_autoptr(GError) error = NULL;
    int status;

    if (!vmf_ctl_parse(&argc, &argv, entries, "ID", summary, 1, 1))
        return VMF_EXIT_USAGE;
    migration = vmf_ctl_find_migration(argv[1], &status);
    if (!migration)
        return status;
    if (!word(migration, NULL, &error))
        return vmf_ctl_fail(error);
    if (json)
        vmf_ctl_print_json(vmf_ctl_get_properties(G_DBUS_PROXY(migration)));
    return VMF_EXIT_OK;
}

int
vmf_ctl_cancel(int argc, char **argv)
{
    return vmf_ctl_tell(argc, argv,
                        "Asks for the end of a migration; the guest goes on at the source.",
                        vmf_bus_migration_call_cancel_sync);
}

int
vmf_ctl_postcopy(int argc, char **argv)
{
    return vmf_ctl_tell(
        argc, argv,
        "Switches a migration that allows it to post-copy: the guest goes on at the "
        "destination at once.",
        vmf_bus_migration_call_start_post_copy_sync);
}
