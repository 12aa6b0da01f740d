/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/abort.h"

#include "base/error.h"
#include "base/log.h"

typedef struct {
    VmfMigration *migration;
    VmfPump *pump;
    virDomainPtr domain;
    VmfWorkers *workers;
    char *uri;
    GError *why;
} VmfAbort;

static void
vmf_abort_clear(gpointer data)
{
    VmfAbort *self = data;

    g_object_unref(self->migration);
    g_clear_object(&self->pump);
    virDomainFree(self->domain);
    vmf_workers_unref(self->workers);
    g_free(self->uri);
    g_error_free(self->why);
}

static void
vmf_abort_unref(gpointer data)
{
    g_atomic_rc_box_release_full(data, vmf_abort_clear);
}

static void
vmf_abort_run(VmfAbort *self, GTaskThreadFunc function, GAsyncReadyCallback callback)
{
    g_autoptr(GTask) task = g_task_new(NULL, NULL, callback, g_atomic_rc_box_acquire(self));

    g_task_set_task_data(task, g_atomic_rc_box_acquire(self), vmf_abort_unref);
    vmf_workers_run(self->workers, task, function);
}

static void
vmf_abort_cut(VmfAbort *self)
{
    if (self->pump && !vmf_pump_has_ended(self->pump))
        vmf_pump_stop(self->pump, self->why);
}

/* ---- libvirt's job ---- */

static void
vmf_abort_job_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    VmfAbort *self = data;

    g_task_return_boolean(task, virDomainAbortJob(self->domain) == 0);
}

static void
vmf_abort_job_aborted(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfAbort *self = data;

    if (!g_task_propagate_boolean(G_TASK(result), NULL))
        vmf_abort_cut(self);
    vmf_abort_unref(self);
}

/* ---- when libvirt does not come back ---- */

static void
vmf_abort_ask_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    VmfAbort *self = data;
    g_autoptr(virConnect) connection = vmf_libvirt_open(self->uri, NULL);
    g_autoptr(virDomain) domain = NULL;
    int state = 0;

    if (connection)
        domain = virDomainLookupByUUIDString(connection, vmf_migration_get_uuid(self->migration));
    g_task_return_boolean(task, domain && virDomainGetState(domain, &state, NULL, 0) == 0 &&
                                    state == VIR_DOMAIN_RUNNING);
}

static void
vmf_abort_asked(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfAbort *self = data;
    g_autoptr(GError) error = NULL;

    /* a guest that stands still may be on its way: only libvirt knows */
    if (g_task_propagate_boolean(G_TASK(result), NULL) &&
        !vmf_migration_is_finished(self->migration)) {
        error = g_error_new(VMF_ERROR, self->why->code,
                            "%s; the guest runs on at the source; libvirtd waits for an answer "
                            "from %s's, and takes no other migration of the guest until it gives "
                            "up",
                            self->why->message, vmf_migration_get_peer(self->migration));
        vmf_migration_finish(self->migration, error);
    }
    vmf_abort_unref(self);
}

static gboolean
vmf_abort_on_late(gpointer data)
{
    VmfAbort *self = data;

    if (!vmf_migration_is_finished(self->migration)) {
        vmf_abort_cut(self);
        vmf_abort_run(self, vmf_abort_ask_thread, vmf_abort_asked);
    }
    return G_SOURCE_REMOVE;
}

void
vmf_abort_start(const VmfAbortSetup *setup)
{
    VmfAbort *self = g_atomic_rc_box_new0(VmfAbort);

    self->migration = g_object_ref(setup->migration);
    self->pump = setup->pump ? g_object_ref(setup->pump) : NULL;
    virDomainRef(setup->domain);
    self->domain = setup->domain;
    self->workers = vmf_workers_ref(setup->workers);
    self->uri = g_strdup(setup->libvirt_uri);
    self->why = setup->why ? g_error_copy(setup->why)
                           : g_error_new_literal(VMF_ERROR, VMF_ERROR_CANCELLED, "cancelled");
    vmf_abort_run(self, vmf_abort_job_thread, vmf_abort_job_aborted);
    if (vmf_migration_get_state(self->migration) == VMF_STATE_SWITCHING)
        vmf_abort_cut(self);
    g_timeout_add_full(G_PRIORITY_DEFAULT, VMF_ABORT_PATIENCE, vmf_abort_on_late,
                       g_atomic_rc_box_acquire(self), vmf_abort_unref);
    vmf_abort_unref(self);
}
