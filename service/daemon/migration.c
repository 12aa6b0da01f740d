/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/migration.h"

#include "base/error.h"
#include "base/log.h"
#include "policy/decision.h"
#include "vmferry-bus.h"

/* What is left for switchover and the answers: 1 is for "completed" alone. */
#define VMF_PROGRESS_BEFORE_END 0.98

#define VMF_MIB ((guint64)1024 * 1024)

#define VMF_RATE_TIME G_USEC_PER_SEC /* that LinkRate is an average over, about */

struct _VmfMigration {
    GObject parent_instance;

    char *id;
    char *domain;
    char *uuid;
    char *peer;
    gboolean postcopy;
    gint native;       /* atomic; without a pump: what goes over the wire is what libvirt counts */
    gboolean foreseen; /* progress and end are the policy's word */
    VmfBusObjectSkeleton *object;
    VmfBusMigration *bus; /* its setters may be called from any thread */
    GMutex lock;          /* for the following */
    VmfState state;
    gboolean stalled;
    double progress;
    gboolean has_figures; /* of the whole job */
    GCond figures;

    /* main loop: when the bytes on the wire were noted first and last, and what LinkRate is */
    gint64 wire_begin;
    gint64 wire_time;
    guint64 wire_bytes;
    double wire_rate;
};

G_DEFINE_FINAL_TYPE(VmfMigration, vmf_migration, G_TYPE_OBJECT)

enum {
    SIGNAL_CANCEL,
    SIGNAL_POSTCOPY,
    SIGNAL_BANDWIDTH,
    SIGNAL_DELTA,
    SIGNAL_DOWNTIME,
    SIGNAL_JOB,
    SIGNAL_STATISTICS,
    SIGNAL_STATE,
    SIGNAL_FINISHED,
    SIGNALS
};

static guint vmf_migration_signals[SIGNALS];

static const char *const vmf_state_names[] = {"preparing", "running", "switching", "postcopy",
                                              "completed", "failed",  "cancelled"};

gboolean
vmf_migration_id_is_valid(const char *id)
{
    gsize length = strlen(id);

    return length >= 8 && length <= 36 && strspn(id, "0123456789abcdef-") == length;
}

const char *
vmf_migration_get_id(VmfMigration *self)
{
    return self->id;
}

const char *
vmf_migration_get_domain(VmfMigration *self)
{
    return self->domain;
}

const char *
vmf_migration_get_uuid(VmfMigration *self)
{
    return self->uuid;
}

const char *
vmf_migration_get_peer(VmfMigration *self)
{
    return self->peer;
}

gboolean
vmf_migration_is_led_by_us(VmfMigration *self)
{
    return g_str_equal(vmf_bus_migration_get_origin(self->bus), "vmferry");
}

gboolean
vmf_migration_is_outgoing(VmfMigration *self)
{
    return g_str_equal(vmf_bus_migration_get_direction(self->bus), "out");
}

GDBusObjectSkeleton *
vmf_migration_get_object(VmfMigration *self)
{
    return G_DBUS_OBJECT_SKELETON(self->object);
}

VmfState
vmf_migration_get_state(VmfMigration *self)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    return self->state;
}

gboolean
vmf_migration_is_finished(VmfMigration *self)
{
    return vmf_migration_get_state(self) >= VMF_STATE_COMPLETED;
}

/* Forward only; TRUE when it is a change. */
static gboolean
vmf_migration_advance(VmfMigration *self, VmfState state)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    if (state <= self->state || self->state >= VMF_STATE_COMPLETED)
        return FALSE;
    self->state = state;
    if (state == VMF_STATE_COMPLETED)
        self->progress = 1;
    return TRUE;
}

static gboolean
vmf_migration_emit_state(gpointer data)
{
    g_signal_emit(data, vmf_migration_signals[SIGNAL_STATE], 0);
    return G_SOURCE_REMOVE;
}

static void
vmf_migration_show_state(VmfMigration *self)
{
    VmfState state;
    gboolean stalled;

    g_mutex_lock(&self->lock);
    state = self->state;
    stalled = self->stalled && state < VMF_STATE_COMPLETED;
    g_mutex_unlock(&self->lock);
    vmf_bus_migration_set_state(self->bus, stalled ? "stalled" : vmf_state_names[state]);
}

void
vmf_migration_set_state(VmfMigration *self, VmfState state)
{
    if (!vmf_migration_advance(self, state))
        return;
    vmf_migration_show_state(self);
    g_main_context_invoke_full(NULL, G_PRIORITY_DEFAULT, vmf_migration_emit_state,
                               g_object_ref(self), g_object_unref);
}

void
vmf_migration_set_stalled(VmfMigration *self, gboolean stalled)
{
    gboolean before;

    g_mutex_lock(&self->lock);
    before = self->stalled;
    self->stalled = stalled && self->state < VMF_STATE_COMPLETED;
    stalled = self->stalled;
    g_mutex_unlock(&self->lock);
    if (before == stalled)
        return;
    if (stalled)
        vmf_bus_migration_set_stalls(self->bus, vmf_bus_migration_get_stalls(self->bus) + 1);
    vmf_bus_migration_set_stalled_since(self->bus, stalled ? (guint64)g_get_real_time() : 0);
    vmf_bus_migration_set_tries(self->bus, 0);
    vmf_migration_show_state(self);
}

gboolean
vmf_migration_is_stalled(VmfMigration *self)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    return self->stalled;
}

void
vmf_migration_note_try(VmfMigration *self)
{
    vmf_bus_migration_set_tries(self->bus, vmf_bus_migration_get_tries(self->bus) + 1);
}

void
vmf_migration_set_findings(VmfMigration *self, GVariant *findings)
{
    vmf_bus_migration_set_findings(self->bus, findings);
}

/* Nothing of ours carries it. */
static gboolean
vmf_engine_is_libvirts(const char *engine)
{
    return g_strcmp0(engine, "native") == 0 || g_strcmp0(engine, "plain") == 0;
}

void
vmf_migration_set_engine(VmfMigration *self, const char *engine, const char *reason,
                         gboolean encrypted)
{
    g_atomic_int_set(&self->native, vmf_engine_is_libvirts(engine));
    vmf_bus_migration_set_engine(self->bus, engine);
    vmf_bus_migration_set_engine_reason(self->bus, reason);
    vmf_bus_migration_set_encrypted(self->bus, encrypted);
}

char *
vmf_migration_dup_engine(VmfMigration *self)
{
    char *engine = NULL;

    g_object_get(self->bus, "engine", &engine, NULL);
    return engine;
}

static gboolean
vmf_migration_emit_finished(gpointer data)
{
    g_signal_emit(data, vmf_migration_signals[SIGNAL_FINISHED], 0);
    return G_SOURCE_REMOVE;
}

void
vmf_migration_finish(VmfMigration *self, const GError *error)
{
    VmfState state = !error                                                   ? VMF_STATE_COMPLETED
                     : g_error_matches(error, VMF_ERROR, VMF_ERROR_CANCELLED) ? VMF_STATE_CANCELLED
                                                                              : VMF_STATE_FAILED;

    if (!vmf_migration_advance(self, state))
        return;
    if (error) {
        VmfError code = error->domain == VMF_ERROR ? (VmfError)error->code : VMF_ERROR_FAILED;

        vmf_bus_migration_set_error(self->bus,
                                    g_variant_new("(ss)", vmf_error_name(code), error->message));
        vmf_warn(self->id, "%s: %s", vmf_state_names[state], error->message);
    } else {
        vmf_bus_migration_set_progress(self->bus, 1);
        vmf_bus_migration_set_remaining(self->bus, 0);
        vmf_info(self->id, "completed");
    }
    vmf_migration_set_stalled(self, FALSE);
    vmf_bus_migration_set_expected_end(self->bus, 0);
    vmf_bus_migration_set_ended(self->bus, (guint64)g_get_real_time());
    vmf_bus_migration_set_state(self->bus, vmf_state_names[state]);
    g_main_context_invoke_full(NULL, G_PRIORITY_DEFAULT, vmf_migration_emit_finished,
                               g_object_ref(self), g_object_unref);
}

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
    g_signal_emit(self, vmf_migration_signals[SIGNAL_STATISTICS], 0, statistics);
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
    g_signal_emit(self, vmf_migration_signals[SIGNAL_JOB], 0, job);
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
vmf_migration_set_decisions(VmfMigration *self, GPtrArray *decisions)
{
    gint64 epoch = g_get_real_time() - g_get_monotonic_time();
    GVariantBuilder list;

    g_variant_builder_init(&list, G_VARIANT_TYPE("a(tsss)"));
    for (guint i = 0; i < decisions->len; i++) {
        const VmfDecision *decision = decisions->pdata[i];

        g_variant_builder_add(&list, "(tsss)", (guint64)(epoch + decision->time), decision->rule,
                              decision->what, decision->numbers);
    }
    vmf_bus_migration_set_decisions(self->bus, g_variant_builder_end(&list));
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
    g_signal_emit(self, vmf_migration_signals[SIGNAL_CANCEL], 0);
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
    g_signal_emit(self, vmf_migration_signals[SIGNAL_POSTCOPY], 0);
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

static void
vmf_migration_show_delta(VmfMigration *self, const VmfDelta *delta)
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
    vmf_migration_show_delta(self, delta);
    g_signal_emit(self, vmf_migration_signals[SIGNAL_DELTA], 0);
    return TRUE;
}

void
vmf_migration_get_delta(VmfMigration *self, VmfDelta *ret)
{
    g_object_get(self->bus, "delta", &ret->on, "cache-limit", &ret->cache, "compression",
                 &ret->compression, NULL);
}

gboolean
vmf_migration_request_bandwidth(VmfMigration *self, guint mibs, GError **error)
{
    if (!vmf_migration_check_source(self, "bandwidth", error))
        return FALSE;
    vmf_bus_migration_set_bandwidth(self->bus, mibs);
    g_signal_emit(self, vmf_migration_signals[SIGNAL_BANDWIDTH], 0);
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
    g_signal_emit(self, vmf_migration_signals[SIGNAL_DOWNTIME], 0);
}

guint
vmf_migration_get_downtime_allowed(VmfMigration *self)
{
    guint ms = 0;

    g_object_get(self->bus, "downtime-allowed", &ms, NULL);
    return ms;
}

static void
vmf_migration_finalize(GObject *object)
{
    VmfMigration *self = VMF_MIGRATION(object);

    g_free(self->id);
    g_free(self->domain);
    g_free(self->uuid);
    g_free(self->peer);
    g_clear_object(&self->bus);
    g_clear_object(&self->object);
    g_mutex_clear(&self->lock);
    g_cond_clear(&self->figures);
    G_OBJECT_CLASS(vmf_migration_parent_class)->finalize(object);
}

static void
vmf_migration_class_init(VmfMigrationClass *class)
{
    GType type = G_TYPE_FROM_CLASS(class);

    G_OBJECT_CLASS(class)->finalize = vmf_migration_finalize;
    vmf_migration_signals[SIGNAL_CANCEL] =
        g_signal_new("cancel", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    vmf_migration_signals[SIGNAL_POSTCOPY] =
        g_signal_new("postcopy", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    vmf_migration_signals[SIGNAL_BANDWIDTH] =
        g_signal_new("bandwidth", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    vmf_migration_signals[SIGNAL_DELTA] =
        g_signal_new("delta", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    vmf_migration_signals[SIGNAL_DOWNTIME] =
        g_signal_new("downtime", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    vmf_migration_signals[SIGNAL_JOB] = g_signal_new("job", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                                     NULL, G_TYPE_NONE, 1, G_TYPE_POINTER);
    vmf_migration_signals[SIGNAL_STATISTICS] = g_signal_new(
        "statistics", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_VARIANT);
    vmf_migration_signals[SIGNAL_STATE] =
        g_signal_new("state", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    vmf_migration_signals[SIGNAL_FINISHED] =
        g_signal_new("finished", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
vmf_migration_init(VmfMigration *self)
{
    g_mutex_init(&self->lock);
    g_cond_init(&self->figures);
    self->bus = vmf_bus_migration_skeleton_new();
}

VmfMigration *
vmf_migration_new(const VmfMigrationInit *init)
{
    VmfMigration *self = g_object_new(VMF_TYPE_MIGRATION, NULL);
    g_autofree char *path = g_strconcat(VMF_MIGRATION_PATH, init->id, NULL);

    g_strdelimit(path, "-", '_'); /* which object paths do not have */
    self->id = g_strdup(init->id);
    self->domain = g_strdup(init->domain);
    self->uuid = g_strdup(init->uuid);
    self->peer = g_strdup(init->peer);
    self->postcopy = init->postcopy;
    self->native = vmf_engine_is_libvirts(init->engine);
    g_object_set(self->bus, "id", init->id, "domain", init->domain, "uuid", init->uuid, "peer",
                 init->peer, "direction", init->outgoing ? "out" : "in", "engine",
                 init->engine ? init->engine : "pump", "engine-reason", "", "origin",
                 init->origin ? init->origin : "vmferry", "encrypted", init->encrypted, "bandwidth",
                 init->bandwidth, "state", vmf_state_names[VMF_STATE_PREPARING], "started",
                 (guint64)g_get_real_time(), "error", g_variant_new("(ss)", "", ""), "decisions",
                 g_variant_new("a(tsss)", NULL), "findings",
                 g_variant_new_array(G_VARIANT_TYPE_VARDICT, NULL, 0), "pages",
                 g_variant_new("a{st}", NULL), "cpu-seconds", g_variant_new("a{sd}", NULL), NULL);
    vmf_bus_migration_set_downtime_allowed(self->bus, init->downtime);
    vmf_migration_show_delta(self, &init->delta);
    self->object = vmf_bus_object_skeleton_new(path);
    vmf_bus_object_skeleton_set_migration(self->object, self->bus);
    return self;
}
