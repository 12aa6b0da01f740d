/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is asked of a migration while it runs: whether that can be, and who is told. */
#include "base/error.h"
#include "daemon/migration-private.h"

#define VMF_MIB ((guint64)1024 * 1024)

static gboolean
vmf_migration_check_running(VmfMigration *self, GError **error)
{
    if (!vmf_migration_is_finished(self))
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_NO_SUCH_MIGRATION, "migration %s is over already",
                self->id);
    return FALSE;
}

gboolean
vmf_migration_request_cancel(VmfMigration *self, GError **error)
{
    if (!vmf_migration_check_running(self, error))
        return FALSE;
    if (vmf_migration_get_state(self) == VMF_STATE_POSTCOPY) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED,
                    "migration %s has switched to post-copy: the guest runs at the destination and "
                    "cannot go back",
                    self->id);
        return FALSE;
    }
    g_signal_emit_by_name(self, "cancel");
    return TRUE;
}

gboolean
vmf_migration_request_postcopy(VmfMigration *self, GError **error)
{
    if (!vmf_migration_check_running(self, error))
        return FALSE;
    if (!self->postcopy) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED,
                    "migration %s was not started with post-copy allowed", self->id);
        return FALSE;
    }
    if (vmf_migration_is_stalled(self)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED,
                    "the data link of migration %s is broken now: the guest would stand still at "
                    "the destination; wait until it runs again",
                    self->id);
        return FALSE;
    }
    g_signal_emit_by_name(self, "postcopy");
    return TRUE;
}

/* It runs, and from here. */
static gboolean
vmf_migration_check_source(VmfMigration *self, const char *what, GError **error)
{
    if (!vmf_migration_check_running(self, error))
        return FALSE;
    if (vmf_migration_is_outgoing(self))
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED,
                "the %s of migration %s is set on the host that sends it, %s", what, self->id,
                self->peer);
    return FALSE;
}

void
vmf_migration_grant_delta(VmfMigration *self, const VmfDelta *delta)
{
    g_object_set(self->bus, "delta", delta->on, "cache-limit", delta->cache, "compression",
                 delta->compression, NULL);
}

gboolean
vmf_migration_request_delta(VmfMigration *self, const VmfDelta *delta, GError **error)
{
    if (!vmf_delta_check_compression(delta->compression, error) ||
        !vmf_migration_check_source(self, "compression", error))
        return FALSE;
    g_mutex_lock(&self->lock);
    self->asked = *delta;
    g_mutex_unlock(&self->lock);
    vmf_migration_grant_delta(self, delta);
    g_signal_emit_by_name(self, "delta");
    return TRUE;
}

void
vmf_migration_get_delta(VmfMigration *self, VmfDelta *ret)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    *ret = self->asked;
}

void
vmf_migration_get_granted_delta(VmfMigration *self, VmfDelta *ret)
{
    g_object_get(self->bus, "delta", &ret->on, "cache-limit", &ret->cache, "compression",
                 &ret->compression, NULL);
    ret->expected = 0;
}

gboolean
vmf_migration_request_bandwidth(VmfMigration *self, guint mibs, GError **error)
{
    if (!vmf_migration_check_source(self, "bandwidth", error))
        return FALSE;
    vmf_bus_migration_set_bandwidth(self->bus, mibs);
    g_signal_emit_by_name(self, "bandwidth");
    return TRUE;
}

guint64
vmf_migration_get_bandwidth(VmfMigration *self)
{
    guint mibs = 0;

    g_object_get(self->bus, "bandwidth", &mibs, NULL);
    return mibs * VMF_MIB;
}

void
vmf_migration_allow_downtime(VmfMigration *self, guint ms)
{
    vmf_bus_migration_set_downtime_allowed(self->bus, ms);
    g_signal_emit_by_name(self, "downtime");
}

guint
vmf_migration_get_downtime_allowed(VmfMigration *self)
{
    guint ms = 0;

    g_object_get(self->bus, "downtime-allowed", &ms, NULL);
    return ms;
}
