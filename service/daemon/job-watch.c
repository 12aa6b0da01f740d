/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/job-watch.h"

#include "base/log.h"

#define VMF_JOB_WATCH_INTERVAL 500 /* ms */

struct VmfJobWatch {
    VmfMigration *migration;
    VmfLibvirt *libvirt;
    char *uri;
    guint timer;
    gboolean asking;
    gboolean stopped;
    VmfJobListener listener;
    gpointer listener_data;
    virConnectPtr connection; /* the asking thread's, between questions too */
};

static gboolean
vmf_job_watch_is_mine(VmfJobWatch *self, const char *uuid)
{
    return g_str_equal(uuid, vmf_migration_get_uuid(self->migration));
}

static void
vmf_job_watch_on_lifecycle(VmfLibvirt *libvirt, const char *uuid, int event, int detail,
                           VmfJobWatch *self)
{
    if (!vmf_job_watch_is_mine(self, uuid) || event != VIR_DOMAIN_EVENT_SUSPENDED)
        return;
    if (detail == VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED)
        vmf_migration_set_state(self->migration, VMF_STATE_SWITCHING);
    else if (detail == VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY)
        vmf_migration_set_state(self->migration, VMF_STATE_POSTCOPY);
}

static void
vmf_job_watch_on_job_completed(VmfLibvirt *libvirt, const char *uuid, const VmfJob *job,
                               VmfJobWatch *self)
{
    if (vmf_job_watch_is_mine(self, uuid))
        vmf_migration_note_job(self->migration, job);
}

static void
vmf_job_watch_ask_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    VmfJobWatch *self = data;
    g_autoptr(virDomain) domain = NULL;
    VmfJob *job = g_new0(VmfJob, 1);

    if (self->connection && virConnectIsAlive(self->connection) != 1) { /* libvirtd was restarted */
        virConnectClose(self->connection);
        self->connection = NULL;
    }
    if (!self->connection)
        self->connection = vmf_libvirt_open(self->uri, NULL);
    if (self->connection)
        domain =
            virDomainLookupByUUIDString(self->connection, vmf_migration_get_uuid(self->migration));
    if (!domain || !vmf_job_read(domain, job))
        g_clear_pointer(&job, g_free);
    g_task_return_pointer(task, job, g_free);
}

static void
vmf_job_watch_free(VmfJobWatch *self)
{
    vmf_libvirt_close(self->libvirt, self->connection);
    g_object_unref(self->migration);
    g_object_unref(self->libvirt);
    g_free(self->uri);
    g_free(self);
}

static void
vmf_job_watch_asked(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfJobWatch *self = data;
    g_autofree VmfJob *job = g_task_propagate_pointer(G_TASK(result), NULL);
    VmfJob seen;

    self->asking = FALSE;
    if (self->stopped) {
        vmf_job_watch_free(self);
        return;
    }
    if (!job)
        return;
    seen = *job;
    seen.downtime = 0; /* while it runs that is what QEMU expects */
    vmf_migration_note_job(self->migration, &seen);
    if (self->listener)
        self->listener(job, self->listener_data);
}

static void
vmf_job_watch_ask(VmfJobWatch *self)
{
    VmfState state = vmf_migration_get_state(self->migration);
    g_autoptr(GTask) task = NULL;

    if (self->asking || (state != VMF_STATE_RUNNING && state != VMF_STATE_POSTCOPY))
        return;
    self->asking = TRUE;
    task = g_task_new(NULL, NULL, vmf_job_watch_asked, self);
    g_task_set_task_data(task, self, NULL);
    vmf_workers_run(vmf_libvirt_get_workers(self->libvirt), task, vmf_job_watch_ask_thread);
}

static gboolean
vmf_job_watch_on_timer(gpointer data)
{
    vmf_job_watch_ask(data);
    return G_SOURCE_CONTINUE;
}

static void
vmf_job_watch_on_iteration(VmfLibvirt *libvirt, const char *uuid, int iteration, VmfJobWatch *self)
{
    if (!vmf_job_watch_is_mine(self, uuid) || iteration <= 0)
        return;
    vmf_migration_note_iteration(self->migration, (guint)iteration);
    vmf_job_watch_ask(self); /* what the pass begins with */
}

void
vmf_job_watch_set_listener(VmfJobWatch *self, VmfJobListener listener, gpointer data)
{
    self->listener = listener;
    self->listener_data = data;
}

VmfJobWatch *
vmf_job_watch_start(VmfMigration *migration, VmfLibvirt *libvirt, const char *libvirt_uri)
{
    VmfJobWatch *self = g_new0(VmfJobWatch, 1);

    self->migration = g_object_ref(migration);
    self->libvirt = g_object_ref(libvirt);
    self->uri = g_strdup(libvirt_uri);
    self->timer = g_timeout_add(VMF_JOB_WATCH_INTERVAL, vmf_job_watch_on_timer, self);
    g_signal_connect(libvirt, "lifecycle", G_CALLBACK(vmf_job_watch_on_lifecycle), self);
    g_signal_connect(libvirt, "iteration", G_CALLBACK(vmf_job_watch_on_iteration), self);
    g_signal_connect(libvirt, "job-completed", G_CALLBACK(vmf_job_watch_on_job_completed), self);
    return self;
}

void
vmf_job_watch_stop(VmfJobWatch *self)
{
    g_source_remove(self->timer);
    g_signal_handlers_disconnect_by_data(self->libvirt, self);
    self->stopped = TRUE;
    if (!self->asking)
        vmf_job_watch_free(self);
}
