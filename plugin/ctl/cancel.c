/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmferry cancel, postcopy and bandwidth: a word to a running migration. */
#include "base/error.h"
#include "ctl/find.h"

/* `argument`: what follows the id, or NULL */
typedef gboolean (*VmfWord)(VmfBusMigration *migration, const char *argument, GError **error);

static int
vmf_ctl_tell(int argc, char **argv, const char *synopsis, int n_arguments, const char *summary,
             VmfWord word)
{
    gboolean json = FALSE;
    const GOptionEntry entries[] = {
        {"json", 'j', 0, G_OPTION_ARG_NONE, &json, "Print the migration as JSON", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autoptr(VmfBusMigration) migration = NULL;
    g_autoptr(GError) error = NULL;
    int status;

    if (!vmf_ctl_parse(&argc, &argv, entries, synopsis, summary, n_arguments, n_arguments))
        return VMF_EXIT_USAGE;
    migration = vmf_ctl_find_migration(argv[1], &status);
    if (!migration)
        return status;
    if (!word(migration, argv[2], &error))
        return vmf_ctl_fail(error);
    if (json)
        vmf_ctl_print_json(vmf_ctl_get_properties(G_DBUS_PROXY(migration)));
    return VMF_EXIT_OK;
}

static gboolean
vmf_word_cancel(VmfBusMigration *migration, const char *argument, GError **error)
{
    return vmf_bus_migration_call_cancel_sync(migration, NULL, error);
}

int
vmf_ctl_cancel(int argc, char **argv)
{
    return vmf_ctl_tell(argc, argv, "ID", 1,
                        "Asks for the end of a migration; the guest goes on at the source.",
                        vmf_word_cancel);
}

static gboolean
vmf_word_postcopy(VmfBusMigration *migration, const char *argument, GError **error)
{
    return vmf_bus_migration_call_start_post_copy_sync(migration, NULL, error);
}

int
vmf_ctl_postcopy(int argc, char **argv)
{
    return vmf_ctl_tell(
        argc, argv, "ID", 1,
        "Switches a migration that allows it to post-copy: the guest goes on at the "
        "destination at once.",
        vmf_word_postcopy);
}

static gboolean
vmf_word_bandwidth(VmfBusMigration *migration, const char *argument, GError **error)
{
    guint64 mibs;
    g_autoptr(GError) problem = NULL;

    if (!g_ascii_string_to_unsigned(argument, 10, 0, G_MAXUINT32, &mibs, &problem)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT, "MIBS: %s", problem->message);
        return FALSE;
    }
    return vmf_bus_migration_call_set_bandwidth_sync(migration, (guint)mibs, NULL, error);
}

int
vmf_ctl_bandwidth(int argc, char **argv)
{
    return vmf_ctl_tell(argc, argv, "ID MIBS", 2,
                        "Changes how many MiB/s a migration from this host may put on the wire; 0 "
                        "is no bound.",
                        vmf_word_bandwidth);
}
