/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/takeover.h"

#include "base/error.h"
#include "base/log.h"
#include "daemon/incoming.h"
#include "daemon/keeper.h"
#include "daemon/kept.h"
#include "daemon/outgoing.h"
#include "daemon/record.h"

/* What is in the file is about what its name says. */
static gboolean
vmf_takeover_check_name(const char *path, VmfMigration *migration, GError **error)
{
    g_autofree char *name = g_path_get_basename(path);
    g_autofree char *want = g_strconcat(vmf_migration_get_id(migration), VMF_RECORD_SUFFIX, NULL);

    if (g_str_equal(name, want))
        return TRUE;
    g_set_error_literal(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                        "Id is not that of the file's name");
    return FALSE;
}

static VmfPeer *
vmf_takeover_find_peer(VmfDaemon *daemon, VmfMigration *migration, GError **error)
{
    VmfPeer *peer = vmf_daemon_find_peer(daemon, vmf_migration_get_peer(migration));

    if (!peer)
        g_set_error(error, VMF_ERROR, VMF_ERROR_NO_SUCH_PEER, "no peer is called '%s' any more",
                    vmf_migration_get_peer(migration));
    return peer;
}

/* Its pump has what it was granted, whatever is granted now. */
static void
vmf_takeover_count_memory(VmfDaemon *daemon, VmfMigration *migration, GVariant *sections)
{
    VmfBudgetAccount account;
    VmfDelta delta;

    vmf_migration_get_granted_delta(migration, &delta);
    if (vmf_kept_get_account(sections, &account))
        vmf_budget_take(vmf_daemon_get_budget(daemon), vmf_migration_get_id(migration), &account,
                        &delta);
}

static gboolean
vmf_takeover_begin(VmfDaemon *daemon, VmfMigration *migration, GVariant *sections, GError **error)
{
    VmfPeer *peer = vmf_takeover_find_peer(daemon, migration, error);

    if (!peer || !vmf_daemon_add_migration(daemon, migration, error))
        return FALSE;
    vmf_takeover_count_memory(daemon, migration, sections);
    if (vmf_migration_is_outgoing(migration)
            ? vmf_outgoing_take_over(daemon, migration, peer, sections, error)
            : vmf_incoming_take_over(daemon, migration, peer, sections, error))
        return TRUE;
    vmf_daemon_forget_migration(daemon, migration);
    return FALSE;
}

static gboolean
vmf_takeover_try(VmfDaemon *daemon, const char *path, GError **error)
{
    g_autoptr(GVariant) sections = vmf_record_read(path, error);
    g_autoptr(VmfMigration) migration = NULL;

    if (!sections)
        return FALSE;
    migration = vmf_migration_restore(sections, error);
    if (!migration || !vmf_takeover_check_name(path, migration, error) ||
        !vmf_takeover_begin(daemon, migration, sections, error)) {
        g_prefix_error(error, "%s: ", path);
        return FALSE;
    }
    vmf_keeper_start(migration, vmf_daemon_get_config(daemon)->run_directory);
    vmf_info(vmf_migration_get_id(migration),
             "guest '%s' %s %s; taken over from an earlier vmferryd",
             vmf_migration_get_domain(migration),
             vmf_migration_is_outgoing(migration) ? "goes to" : "comes from",
             vmf_migration_get_peer(migration));
    return TRUE;
}

void
vmf_takeover_run(VmfDaemon *daemon)
{
    g_autoptr(GPtrArray) paths = vmf_record_list(vmf_daemon_get_config(daemon)->run_directory);

    for (guint i = 0; i < paths->len; i++) {
        g_autoptr(GError) error = NULL;

        if (vmf_takeover_try(daemon, paths->pdata[i], &error))
            continue;
        vmf_warn(NULL, "a migration is not taken over: %s", error->message);
        vmf_record_remove(paths->pdata[i]);
    }
}
