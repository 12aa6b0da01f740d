/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/switchover.h"

#include "base/error.h"
#include "base/log.h"
#include "daemon/downtime.h"

#define CHANGE_PERCENT 25 /* less is not worth a call */

struct VmfSwitchover {
    VmfMigration *migration;
    VmfLibvirt *libvirt;
    char *uri;
    VmfDowntime downtime;
    gboolean passes; /* QEMU is at it */
    gboolean pump;   /* which makes QEMU's own idea too good */
    guint set;       /* ms: what libvirt was told last; 0: nothing yet */
    gboolean telling;
    gboolean stopped;
};

typedef struct {
    char *uri;
    char *uuid;
    guint limit;
} VmfOrder;

static void
vmf_order_free(gpointer data)
{
    VmfOrder *order = data;

    g_free(order->uri);
    g_free(order->uuid);
    g_free(order);
}

static void
vmf_order_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    const VmfOrder *order = data;
    GError *error = NULL;
    g_autoptr(virConnect) connection = vmf_libvirt_open(order->uri, &error);
    g_autoptr(virDomain) domain = NULL;

    if (connection)
        domain = virDomainLookupByUUIDString(connection, order->uuid);
    if (connection && (!domain || virDomainMigrateSetMaxDowntime(domain, order->limit, 0) < 0))
        vmf_libvirt_set_error(&error, VMF_ERROR_LIBVIRT_FAILED, "setting the maximum downtime");
    if (error)
        g_task_return_error(task, error);
    else
        g_task_return_boolean(task, TRUE);
}

static void
vmf_switchover_free(VmfSwitchover *self)
{
    g_object_unref(self->migration);
    g_object_unref(self->libvirt);
    g_free(self->uri);
    g_free(self);
}

static void vmf_switchover_decide(VmfSwitchover *self);

static void
vmf_switchover_told(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfSwitchover *self = data;
    g_autoptr(GError) error = NULL;

    self->telling = FALSE;
    if (!g_task_propagate_boolean(G_TASK(result), &error) && !self->stopped &&
        vmf_migration_get_state(self->migration) == VMF_STATE_RUNNING)
        vmf_warn(vmf_migration_get_id(self->migration), "%s", error->message);
    if (self->stopped)
        vmf_switchover_free(self);
    else
        vmf_switchover_decide(self); /* it may be another by now */
}

static void
vmf_switchover_tell(VmfSwitchover *self, guint limit)
{
    VmfOrder *order = g_new0(VmfOrder, 1);
    g_autoptr(GTask) task = g_task_new(NULL, NULL, vmf_switchover_told, self);

    if (self->pump)
        vmf_info(vmf_migration_get_id(self->migration),
                 "QEMU may stop the guest for %u ms: %.0f MiB left, %.2f bytes on the wire for one "
                 "of QEMU's, %.1f MiB/s",
                 limit, (double)self->downtime.remaining / (1 << 20),
                 vmf_downtime_efficiency(&self->downtime),
                 (double)self->downtime.link_rate / (1 << 20));
    self->set = limit;
    self->telling = TRUE;
    order->uri = g_strdup(self->uri);
    order->uuid = g_strdup(vmf_migration_get_uuid(self->migration));
    order->limit = limit;
    g_task_set_task_data(task, order, vmf_order_free);
    vmf_workers_run(vmf_libvirt_get_workers(self->libvirt), task, vmf_order_thread);
}

static void
vmf_switchover_decide(VmfSwitchover *self)
{
    guint limit;

    if (!self->passes || self->telling ||
        vmf_migration_get_state(self->migration) != VMF_STATE_RUNNING)
        return;
    limit = self->pump ? vmf_downtime_decide(&self->downtime) : self->downtime.allowed;
    if (self->set == 0 ||
        (limit != self->set &&
         (limit == VMF_DOWNTIME_HELD || self->set == VMF_DOWNTIME_HELD ||
          ABS((int)limit - (int)self->set) * 100 > (int)self->set * CHANGE_PERCENT)))
        vmf_switchover_tell(self, limit);
}

static void
vmf_switchover_note_passes(VmfSwitchover *self)
{
    g_autofree char *engine = vmf_migration_dup_engine(self->migration);

    self->pump = g_str_equal(engine, "pump") || g_str_equal(engine, "one-sided");
    self->passes = TRUE;
}

static void
vmf_switchover_on_iteration(VmfLibvirt *libvirt, const char *uuid, int iteration,
                            VmfSwitchover *self)
{
    if (iteration < 1 || !g_str_equal(uuid, vmf_migration_get_uuid(self->migration)))
        return;
    vmf_switchover_note_passes(self);
    vmf_switchover_decide(self);
}

static void
vmf_switchover_on_job(VmfMigration *migration, const VmfJob *job, VmfSwitchover *self)
{
    if (job->data_remaining == 0)
        return; /* it has not looked yet */
    vmf_downtime_note_job(&self->downtime, job->data_remaining, job->bandwidth);
    vmf_switchover_decide(self);
}

static void
vmf_switchover_on_downtime(VmfMigration *migration, VmfSwitchover *self)
{
    self->downtime.allowed = vmf_migration_get_downtime_allowed(migration);
    vmf_switchover_decide(self);
}

void
vmf_switchover_note_statistics(VmfSwitchover *self, GVariant *statistics)
{
    VmfDowntimeSample sample = {.time = g_get_monotonic_time()};
    guint64 rate = 0, in_flight = 0, waiting = 0, ready = 0;

    g_variant_lookup(statistics, "stages-in", "t", &sample.in);
    g_variant_lookup(statistics, "stages-out", "t", &sample.out);
    g_variant_lookup(statistics, "link-rate", "t", &rate);
    g_variant_lookup(statistics, "in-flight", "t", &in_flight);
    g_variant_lookup(statistics, "stages-wait", "t", &waiting);
    g_variant_lookup(statistics, "stages-wait-out", "t", &ready);
    vmf_downtime_note_pump(&self->downtime, &sample, rate, in_flight + ready, waiting);
    vmf_switchover_decide(self);
}

VmfSwitchover *
vmf_switchover_start(VmfMigration *migration, VmfLibvirt *libvirt, const char *libvirt_uri)
{
    VmfSwitchover *self = g_new0(VmfSwitchover, 1);

    self->migration = g_object_ref(migration);
    self->libvirt = g_object_ref(libvirt);
    self->uri = g_strdup(libvirt_uri);
    vmf_downtime_init(&self->downtime, vmf_migration_get_downtime_allowed(migration));
    if (vmf_migration_get_iteration(migration) > 0) /* it was taken over */
        vmf_switchover_note_passes(self);
    g_signal_connect(libvirt, "iteration", G_CALLBACK(vmf_switchover_on_iteration), self);
    g_signal_connect(migration, "job", G_CALLBACK(vmf_switchover_on_job), self);
    g_signal_connect(migration, "downtime", G_CALLBACK(vmf_switchover_on_downtime), self);
    return self;
}

void
vmf_switchover_stop(VmfSwitchover *self)
{
    g_signal_handlers_disconnect_by_data(self->libvirt, self);
    g_signal_handlers_disconnect_by_data(self->migration, self);
    self->stopped = TRUE;
    if (!self->telling)
        vmf_switchover_free(self);
}
