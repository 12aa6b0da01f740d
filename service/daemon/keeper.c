/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/keeper.h"

#include "base/log.h"
#include "daemon/record.h"
#include "vmferry-bus.h"

typedef struct {
    VmfMigration *migration; /* owns it */
    GDBusInterface *bus;     /* of it */
    char *path;
    GMutex lock; /* for the following, and the file */
    gboolean over;
    gboolean complained;
} VmfKeeper;

/* Those that change seldom, and progress. Figures come again. */
static const char *const vmf_keeper_properties[] = {
    "state",     "progress",         "stalls", "decisions",   "findings",    "engine",
    "bandwidth", "downtime-allowed", "delta",  "cache-limit", "compression",
};

static void
vmf_keeper_write(VmfKeeper *self)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    g_autoptr(GError) error = NULL;

    if (self->over)
        return;
    self->over = vmf_migration_is_finished(self->migration);
    if (self->over) {
        vmf_record_remove(self->path);
        return;
    }
    if (vmf_record_write(self->path, vmf_migration_save(self->migration), &error) ||
        self->complained)
        return;
    self->complained = TRUE;
    vmf_warn(vmf_migration_get_id(self->migration),
             "a vmferryd that is restarted will not know of it: %s", error->message);
}

static void
vmf_keeper_on_change(GObject *bus, GParamSpec *spec, VmfKeeper *self)
{
    vmf_keeper_write(self);
}

static void
vmf_keeper_on_kept(VmfMigration *migration, VmfKeeper *self)
{
    vmf_keeper_write(self);
}

static void
vmf_keeper_free(gpointer data)
{
    VmfKeeper *self = data;

    g_signal_handlers_disconnect_by_data(self->bus, self);
    g_object_unref(self->bus);
    g_mutex_clear(&self->lock);
    g_free(self->path);
    g_free(self);
}

void
vmf_keeper_start(VmfMigration *migration, const char *run_directory)
{
    VmfKeeper *self = g_new0(VmfKeeper, 1);

    self->migration = migration;
    self->bus = g_dbus_object_get_interface(G_DBUS_OBJECT(vmf_migration_get_object(migration)),
                                            "org.vmferry1.Migration");
    self->path = vmf_record_path(run_directory, vmf_migration_get_id(migration));
    g_mutex_init(&self->lock);
    g_object_set_data_full(G_OBJECT(migration), "vmf-keeper", self, vmf_keeper_free);
    for (guint i = 0; i < G_N_ELEMENTS(vmf_keeper_properties); i++) {
        g_autofree char *signal = g_strconcat("notify::", vmf_keeper_properties[i], NULL);

        g_signal_connect(self->bus, signal, G_CALLBACK(vmf_keeper_on_change), self);
    }
    g_signal_connect(migration, "kept", G_CALLBACK(vmf_keeper_on_kept), self);
    vmf_keeper_write(self);
}
