/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/daemon-private.h"

#include "base/error.h"
#include "daemon/incoming.h"
#include "daemon/manager.h"
#include "daemon/sockets.h"

/* Finished migrations that can still be seen, whatever KeepFinished says: a peer could make more.
 */
#define VMF_FINISHED_MAX 256

typedef struct {
    VmfMigration *migration;
    gint64 until; /* monotonic, µs */
} VmfFinished;

static void vmf_daemon_plan_forgetting(VmfDaemon *self);

void
vmf_daemon_forget_oldest(VmfDaemon *self)
{
    g_autofree VmfFinished *finished = g_queue_pop_head(&self->finished);
    g_autoptr(VmfMigration) migration = finished->migration;

    g_dbus_object_manager_server_unexport(
        self->objects,
        g_dbus_object_get_object_path(G_DBUS_OBJECT(vmf_migration_get_object(migration))));
    g_hash_table_remove(self->migrations, vmf_migration_get_id(migration));
}

static gboolean
vmf_daemon_on_forget(gpointer data)
{
    VmfDaemon *self = data;
    const VmfFinished *oldest;

    self->forgetting = 0;
    while ((oldest = g_queue_peek_head(&self->finished)) && oldest->until <= g_get_monotonic_time())
        vmf_daemon_forget_oldest(self);
    vmf_daemon_plan_forgetting(self);
    return G_SOURCE_REMOVE;
}

/* All are kept for the same time, so the oldest is always the next to go. */
static void
vmf_daemon_plan_forgetting(VmfDaemon *self)
{
    const VmfFinished *oldest = g_queue_peek_head(&self->finished);
    gint64 left = oldest ? oldest->until - g_get_monotonic_time() : 0;

    if (oldest && !self->forgetting)
        self->forgetting =
            g_timeout_add((guint)(MAX(left, 0) / 1000 + 1), vmf_daemon_on_forget, self);
}

static void
vmf_daemon_on_finished(VmfMigration *migration, VmfDaemon *self)
{
    VmfFinished *finished = g_new0(VmfFinished, 1);

    finished->migration = g_object_ref(migration);
    finished->until = g_get_monotonic_time() + (gint64)self->config->keep_finished * G_USEC_PER_SEC;
    g_queue_push_tail(&self->finished, finished);
    vmf_budget_close(self->budget, vmf_migration_get_id(migration));
    vmf_sockets_take_back(self->sockets);
    if (self->finished.length > VMF_FINISHED_MAX)
        vmf_daemon_forget_oldest(self);
    vmf_daemon_plan_forgetting(self);
}

guint
vmf_daemon_count_running(VmfDaemon *self)
{
    GHashTableIter iter;
    gpointer migration;
    guint running = 0;

    g_hash_table_iter_init(&iter, self->migrations);
    while (g_hash_table_iter_next(&iter, NULL, &migration))
        running += !vmf_migration_is_finished(migration);
    return running;
}

gboolean
vmf_daemon_expects_guest(VmfDaemon *self, const char *name)
{
    GHashTableIter iter;
    gpointer incoming;

    g_hash_table_iter_init(&iter, self->incoming);
    while (g_hash_table_iter_next(&iter, NULL, &incoming))
        if (g_str_equal(vmf_incoming_get_guest(incoming), name))
            return TRUE;
    return FALSE;
}

gboolean
vmf_daemon_is_migrating(VmfDaemon *self, const char *uuid)
{
    GHashTableIter iter;
    gpointer migration;

    g_hash_table_iter_init(&iter, self->migrations);
    while (g_hash_table_iter_next(&iter, NULL, &migration))
        if (!vmf_migration_is_finished(migration) &&
            g_str_equal(vmf_migration_get_uuid(migration), uuid))
            return TRUE;
    return FALSE;
}

static gboolean
vmf_daemon_check_room(VmfDaemon *self, VmfMigration *migration, GError **error)
{
    GHashTableIter iter;
    gpointer other;
    guint running = 0;

    if (vmf_daemon_find_migration(self, vmf_migration_get_id(migration))) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_ALREADY_MIGRATING, "the migration's id is taken");
        return FALSE;
    }
    g_hash_table_iter_init(&iter, self->migrations);
    while (g_hash_table_iter_next(&iter, NULL, &other)) {
        if (vmf_migration_is_finished(other))
            continue;
        running++;
        /* Two of one name would share a socket; no host can have both. */
        if (!g_str_equal(vmf_migration_get_uuid(other), vmf_migration_get_uuid(migration)) &&
            !g_str_equal(vmf_migration_get_domain(other), vmf_migration_get_domain(migration)))
            continue;
        g_set_error(error, VMF_ERROR, VMF_ERROR_ALREADY_MIGRATING,
                    "guest '%s' is being migrated already (%s); see vmferry status",
                    vmf_migration_get_domain(other), vmf_migration_get_id(other));
        return FALSE;
    }
    if (running < self->config->max_migrations)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_LIMIT_REACHED,
                "%u migrations run already, which is the limit of this host (Migrations in "
                "vmferryd.conf)",
                running);
    return FALSE;
}

gboolean
vmf_daemon_add_migration(VmfDaemon *self, VmfMigration *migration, GError **error)
{
    if (!vmf_daemon_check_room(self, migration, error))
        return FALSE;
    g_hash_table_insert(self->migrations, g_strdup(vmf_migration_get_id(migration)),
                        g_object_ref(migration));
    g_signal_connect(migration, "finished", G_CALLBACK(vmf_daemon_on_finished), self);
    if (vmf_migration_is_outgoing(migration) && vmf_migration_is_led_by_us(migration))
        vmf_sockets_lend(self->sockets, vmf_migration_get_uuid(migration));
    vmf_manager_serve_migration(migration);
    g_dbus_object_manager_server_export(self->objects, vmf_migration_get_object(migration));
    return TRUE;
}

void
vmf_daemon_forget_migration(VmfDaemon *self, VmfMigration *migration)
{
    g_signal_handlers_disconnect_by_data(migration, self);
    vmf_budget_close(self->budget, vmf_migration_get_id(migration));
    g_dbus_object_manager_server_unexport(
        self->objects,
        g_dbus_object_get_object_path(G_DBUS_OBJECT(vmf_migration_get_object(migration))));
    g_hash_table_remove(self->migrations, vmf_migration_get_id(migration));
}
