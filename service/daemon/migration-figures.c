/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What libvirt, the pump and the policy tell of a migration's course, as the bus shows it. */
#include "daemon/migration-private.h"

/* What is left for switchover and the answers: 1 is for "completed" alone. */
#define VMF_PROGRESS_BEFORE_END 0.98

#define VMF_RATE_TIME G_USEC_PER_SEC /* that LinkRate is an average over, about */

static guint64
vmf_statistic(GVariant *statistics, const char *name)
{
    guint64 value = 0;

    g_variant_lookup(statistics, name, "t", &value);
    return value;
}

/* The newer the bytes, the more they weigh; bursts into buffers on the way shall not be seen. */
static void
vmf_migration_note_wire(VmfMigration *self, guint64 bytes, gint64 now)
{
    double elapsed = (double)(now - self->wire_time);

    if (self->wire_begin == 0) {
        self->wire_begin = now;
    } else if (elapsed > 0) {
        double rate = ((double)bytes - (double)self->wire_bytes) * G_USEC_PER_SEC / elapsed;
        double span = (double)MIN(now - self->wire_begin, VMF_RATE_TIME);

        self->wire_rate += (rate - self->wire_rate) * MIN(elapsed / span, 1);
    }
    self->wire_bytes = bytes;
    self->wire_time = now;
    vmf_bus_migration_set_bytes_on_wire(self->bus, bytes);
    vmf_bus_migration_set_link_rate(self->bus, (guint64)MAX(self->wire_rate, 0));
}

void
vmf_migration_note_statistics(VmfMigration *self, GVariant *statistics, gint64 now)
{
    gboolean outgoing = vmf_migration_is_outgoing(self);

    vmf_bus_migration_set_bytes_from_qemu(
        self->bus, vmf_statistic(statistics, outgoing ? "bytes-from-qemu" : "bytes-to-qemu"));
    vmf_migration_note_wire(
        self, vmf_statistic(statistics, outgoing ? "bytes-wire-out" : "bytes-wire-in"), now);
    if (outgoing)
        vmf_delta_show(self->bus, statistics);
    g_signal_emit_by_name(self, "statistics", statistics);
}

/* When it ends if nothing changes; 0 when the guest dirties faster than the link carries. */
static guint64
vmf_job_expected_end(const VmfJob *job)
{
    double dirty = (double)job->dirty_rate * (double)(job->page_size ? job->page_size : 4096);
    double rate = (double)job->bandwidth - dirty;

    if (rate <= 0 || job->data_remaining == 0)
        return 0;
    return (guint64)g_get_real_time() +
           (guint64)((double)job->data_remaining / rate * G_USEC_PER_SEC);
}

/* Never back. */
static void
vmf_migration_set_progress(VmfMigration *self, double progress)
{
    g_mutex_lock(&self->lock);
    self->progress = MAX(self->progress, progress);
    progress = self->progress;
    g_mutex_unlock(&self->lock);
    vmf_bus_migration_set_progress(self->bus, progress);
}

static void
vmf_migration_note_native(VmfMigration *self, const VmfJob *job)
{
    vmf_bus_migration_set_bytes_from_qemu(self->bus, job->data_processed);
    vmf_bus_migration_set_bytes_on_wire(self->bus, job->data_processed);
    vmf_bus_migration_set_link_rate(self->bus, job->bandwidth);
}

void
vmf_migration_note_job(VmfMigration *self, const VmfJob *job)
{
    guint64 whole = MAX(job->data_total, job->data_remaining);

    if (job->downtime) {
        vmf_bus_migration_set_downtime(self->bus, job->downtime);
        g_mutex_lock(&self->lock);
        self->has_figures = TRUE;
        g_cond_broadcast(&self->figures);
        g_mutex_unlock(&self->lock);
    }
    if (g_atomic_int_get(&self->native) && job->data_processed)
        vmf_migration_note_native(self, job);
    if (job->data_total == 0 || vmf_migration_is_finished(self))
        return;
    g_signal_emit_by_name(self, "job", job);
    vmf_bus_migration_set_remaining(self->bus, job->data_remaining);
    vmf_bus_migration_set_dirty_rate(self->bus, job->dirty_rate);
    vmf_migration_note_iteration(self, (guint)job->iteration);
    if (self->foreseen)
        return;
    vmf_migration_set_progress(self, (1 - (double)job->data_remaining / (double)whole) *
                                         VMF_PROGRESS_BEFORE_END);
    vmf_bus_migration_set_expected_end(self->bus, vmf_job_expected_end(job));
}

void
vmf_migration_note_outlook(VmfMigration *self, double progress, double left)
{
    self->foreseen = TRUE;
    if (vmf_migration_is_finished(self))
        return;
    vmf_migration_set_progress(self, progress);
    vmf_bus_migration_set_expected_end(
        self->bus, left < 0 ? 0 : (guint64)g_get_real_time() + (guint64)(left * G_USEC_PER_SEC));
}

void
vmf_migration_note_cache(VmfMigration *self, guint64 size, guint64 limit, double misses)
{
    vmf_bus_migration_set_cache_size(self->bus, size);
    if (limit)
        vmf_bus_migration_set_cache_limit(self->bus, limit);
    if (misses >= 0)
        vmf_bus_migration_set_cache_miss_rate(self->bus, misses);
}

void
vmf_migration_wait_figures(VmfMigration *self, guint milliseconds)
{
    gint64 until = g_get_monotonic_time() + (gint64)milliseconds * 1000;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    while (!self->has_figures)
        if (!g_cond_wait_until(&self->figures, &self->lock, until))
            return;
}

void
vmf_migration_note_iteration(VmfMigration *self, guint iteration)
{
    if (iteration > vmf_bus_migration_get_iteration(self->bus))
        vmf_bus_migration_set_iteration(self->bus, iteration);
}

guint
vmf_migration_get_iteration(VmfMigration *self)
{
    guint iteration = 0;

    g_object_get(self->bus, "iteration", &iteration, NULL);
    return iteration;
}
