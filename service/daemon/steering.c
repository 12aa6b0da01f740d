/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/steering-private.h"

#include "base/log.h"
#include "daemon/host-memory.h"
#include "daemon/order.h"
#include "policy/decision.h"

#define VMF_QEMU_PAGE 4096 /* bytes, when libvirt does not say */

struct VmfSteering {
    VmfMigration *migration;
    VmfLibvirt *libvirt;
    char *uri;
    VmfBudget *budget; /* outlives it; NULL: none */
    VmfChosenPolicy *policy;
    GPtrArray *decisions;
    guint told; /* decisions that are on the bus */
    VmfSteerStart start;
    VmfSteer *steer;      /* NULL: no pass has begun */
    gboolean ours;        /* vmferryd led it here, or its pump carries it */
    gboolean pump;        /* which has the cache; else QEMU */
    GVariant *statistics; /* of the pump, the latest; NULL: none yet */
    VmfReuse reuse;       /* as they tell it */
};

/* ---- what is done ---- */

static int
vmf_order_cache(virDomainPtr domain, guint64 size)
{
    return virDomainMigrateSetCompressionCache(domain, size, 0);
}

static int
vmf_order_speed(virDomainPtr domain, guint64 mibs)
{
    return virDomainMigrateSetMaxSpeed(domain, mibs, 0);
}

static int
vmf_order_downtime(virDomainPtr domain, guint64 ms)
{
    return virDomainMigrateSetMaxDowntime(domain, ms, 0);
}

/* What goes by way of the migration's object; FALSE: not its business. */
static gboolean
vmf_steering_order_ours(VmfSteering *self, const VmfAction *action)
{
    g_autoptr(GError) error = NULL;
    VmfDelta delta;

    if (action->kind == VMF_ACTION_DOWNTIME) {
        vmf_migration_allow_downtime(self->migration, (guint)action->value);
        return TRUE;
    }
    if (!self->pump || (action->kind != VMF_ACTION_CACHE && action->kind != VMF_ACTION_DELTA))
        return FALSE;
    vmf_migration_get_delta(self->migration, &delta);
    if (action->kind == VMF_ACTION_CACHE)
        delta.cache = action->value;
    else
        delta.on = action->value != 0;
    if (!vmf_migration_request_delta(self->migration, &delta, &error))
        vmf_warn(vmf_migration_get_id(self->migration), "%s", error->message);
    return TRUE;
}

static void
vmf_steering_act(VmfSteering *self, const VmfAction *action)
{
    static const struct {
        VmfOrderFunc call;
        const char *what;
    } orders[] = {
        [VMF_ACTION_CACHE] = {vmf_order_cache, "changing the size of QEMU's cache"},
        [VMF_ACTION_DELTA] = {NULL, NULL}, /* QEMU's cannot be switched while it runs */
        [VMF_ACTION_DOWNTIME] = {vmf_order_downtime, "changing the downtime allowed"},
        [VMF_ACTION_SWITCHOVER] = {vmf_order_suspend,
                                   "stopping the guest, so that the rest gets through"},
        [VMF_ACTION_POSTCOPY] = {vmf_order_postcopy, "switching to post-copy"},
        [VMF_ACTION_ABORT] = {vmf_order_abort, "aborting at the deadline"},
    };

    if (self->ours && vmf_steering_order_ours(self, action))
        return;
    if (orders[action->kind].call)
        vmf_order_give(self->libvirt, self->uri, self->migration, orders[action->kind].call,
                       action->value, orders[action->kind].what);
    if (action->kind == VMF_ACTION_CACHE)
        vmf_migration_note_cache(self->migration, action->value, 0, -1);
}

/* Those that were added since. */
static void
vmf_steering_tell(VmfSteering *self)
{
    for (guint i = self->told; i < self->decisions->len; i++) {
        const VmfDecision *decision = self->decisions->pdata[i];

        vmf_info(vmf_migration_get_id(self->migration), "%s: %s (%s)", decision->rule,
                 decision->what, decision->numbers);
    }
    if (self->told != self->decisions->len || self->told == VMF_DECISIONS_MAX)
        vmf_migration_set_decisions(self->migration, self->decisions);
    self->told = self->decisions->len;
}

/* ---- what is seen ---- */

static void
vmf_steering_see(const VmfJob *job, VmfObservation *seen)
{
    guint64 page = job->page_size ? job->page_size : VMF_QEMU_PAGE;
    VmfHostMemory memory;

    vmf_host_memory_read(&memory);
    *seen = (VmfObservation){
        .now = g_get_monotonic_time(),
        .pass = (guint)job->iteration,
        .remaining = job->memory_remaining,
        .processed = (job->pages_zero + job->pages_whole + job->cache_pages) * page,
        .wire = job->data_processed,
        .link_rate = (double)job->bandwidth,
        .cache_size = job->cache_size,
        .again = job->cache_pages + job->cache_misses,
        .misses = job->cache_misses,
        .overflows = job->cache_overflows,
        .source_free = memory.free,
        .under_pressure = memory.pressure,
    };
}

static guint64
vmf_steering_number(VmfSteering *self, const char *name)
{
    guint64 value = 0;

    g_variant_lookup(self->statistics, name, "t", &value);
    return value;
}

/* What the pump's sampler tells, as bytes: the deltas of misses would be like those there were. */
static gboolean
vmf_steering_read_reuse(VmfSteering *self)
{
    g_autoptr(GVariant) curve =
        g_variant_lookup_value(self->statistics, "reuse-curve", G_VARIANT_TYPE("a(td)"));
    double pages = (double)vmf_steering_number(self, "repeats") * VMF_QEMU_PAGE;
    double from = (double)vmf_steering_number(self, "delta-from");
    double delta = from > 0 ? (double)vmf_steering_number(self, "delta-bytes") / from : 0;
    gsize n = curve ? MIN(g_variant_n_children(curve), VMF_CURVE_MAX) : 0;

    self->reuse.n = (guint)n;
    for (gsize i = 0; i < n; i++) {
        double misses;

        g_variant_get_child(curve, i, "(td)", &self->reuse.size[i], &misses);
        self->reuse.wire[i] = pages * (misses + (1 - misses) * delta);
    }
    return n > 1;
}

/* What the pump knows better than libvirt. Pages that did not change are as good as in the cache.
 */
static void
vmf_steering_see_pump(VmfSteering *self, VmfObservation *seen)
{
    g_autoptr(GVariant) pages = NULL;
    guint64 unchanged = 0;

    if (self->budget)
        seen->cache_most =
            MAX(vmf_budget_get_cache_most(self->budget, vmf_migration_get_id(self->migration)), 1);
    if (!self->statistics)
        return;
    pages = g_variant_lookup_value(self->statistics, "pages", G_VARIANT_TYPE("a{st}"));
    if (pages)
        g_variant_lookup(pages, "unchanged", "t", &unchanged);
    seen->wire = vmf_steering_number(self, "bytes-wire-out");
    seen->link_rate = (double)vmf_steering_number(self, "link-rate");
    seen->misses = vmf_steering_number(self, "cache-misses");
    seen->again = vmf_steering_number(self, "cache-hits") + seen->misses + unchanged;
    seen->reuse = vmf_steering_read_reuse(self) ? &self->reuse : NULL;
}

/* QEMU's own, of the stream; ours begin with a bound on the wire. */
static void
vmf_steering_limit_speed(VmfSteering *self)
{
    guint64 mibs = MAX(self->policy->policy.bandwidth >> 20, 1);

    vmf_decisions_add(self->decisions, g_get_monotonic_time(), "bandwidth",
                      g_strdup_printf("at most %" G_GUINT64_FORMAT " MiB/s", mibs),
                      g_strdup("as the policy has it"));
    vmf_order_give(self->libvirt, self->uri, self->migration, vmf_order_speed, mibs,
                   "limiting the bandwidth");
}

/* There may have been memory for less than was planned. */
static guint64
vmf_steering_get_cache(VmfSteering *self)
{
    VmfDelta delta;

    vmf_migration_get_granted_delta(self->migration, &delta);
    return delta.cache;
}

/* Which engine carries it is known by now. */
static void
vmf_steering_begin(VmfSteering *self)
{
    g_autofree char *engine = vmf_migration_dup_engine(self->migration);

    self->pump = self->ours && (g_str_equal(engine, "pump") || g_str_equal(engine, "one-sided"));
    if (self->ours && !self->pump) {
        self->start.native = self->start.fixed = TRUE;
        self->start.cache = FALSE; /* until QEMU tells of one */
    }
    if (self->pump)
        self->start.cache_size = vmf_steering_get_cache(self);
    self->steer = vmf_steer_new(&self->policy->policy, &self->start, self->decisions);
    if (!self->ours && self->policy->policy.bandwidth)
        vmf_steering_limit_speed(self);
}

void
vmf_steering_on_job(const VmfJob *job, gpointer data)
{
    VmfSteering *self = data;
    VmfAction actions[VMF_ACTIONS_MAX];
    VmfObservation seen;
    guint n;

    if (vmf_migration_get_state(self->migration) != VMF_STATE_RUNNING || !job->active ||
        job->iteration == 0)
        return;
    if (!self->steer)
        vmf_steering_begin(self);
    vmf_steering_see(job, &seen);
    if (self->pump)
        vmf_steering_see_pump(self, &seen);
    n = vmf_steer_observe(self->steer, &seen, actions);
    for (guint i = 0; i < n; i++)
        vmf_steering_act(self, &actions[i]);
    vmf_steering_tell(self);
    if (self->pump)
        return; /* its cache is shown as the pump tells it */
    vmf_migration_note_cache(self->migration, vmf_steer_get_cache(self->steer), 0,
                             seen.again ? (double)seen.misses / (double)seen.again : 0);
    vmf_migration_note_outlook(self->migration, vmf_steer_get_progress(self->steer),
                               vmf_steer_get_time_left(self->steer));
}

/* ---- beginning and end ---- */

static void
vmf_steering_explain_policy(VmfSteering *self)
{
    const VmfChosenPolicy *policy = self->policy;

    vmf_decisions_add(self->decisions, g_get_monotonic_time(), "policy", g_strdup(policy->name),
                      g_strdup_printf("%s%s%s%s", policy->file ? policy->file : "built in",
                                      policy->wishes ? ", narrowed by the guest's wishes" : "",
                                      policy->problem ? "; not heeded: " : "",
                                      policy->problem ? policy->problem : ""));
}

static VmfSteering *
vmf_steering_alloc(const VmfSteeringSetup *setup)
{
    VmfSteering *self = g_new0(VmfSteering, 1);
    VmfHostMemory memory;

    vmf_host_memory_read(&memory);
    self->start = setup->start;
    self->start.source_free = memory.free;
    if (self->start.started == 0)
        self->start.started = g_get_monotonic_time();
    self->migration = g_object_ref(setup->migration);
    self->libvirt = g_object_ref(setup->libvirt);
    self->uri = g_strdup(setup->libvirt_uri);
    self->budget = setup->budget;
    self->policy = setup->policy;
    self->decisions = setup->decisions ? setup->decisions : vmf_decisions_new();
    return self;
}

VmfSteering *
vmf_steering_new(const VmfSteeringSetup *setup)
{
    VmfSteering *self = vmf_steering_alloc(setup);

    vmf_steering_explain_policy(self);
    vmf_steering_tell(self);
    return self;
}

void
vmf_steering_free(VmfSteering *self)
{
    g_clear_pointer(&self->steer, vmf_steer_free);
    g_clear_pointer(&self->statistics, g_variant_unref);
    g_ptr_array_unref(self->decisions);
    vmf_chosen_policy_free(self->policy);
    g_object_unref(self->migration);
    g_object_unref(self->libvirt);
    g_free(self->uri);
    g_free(self);
}

/* ---- of ours ---- */

static void
vmf_steering_on_own_job(VmfMigration *migration, const VmfJob *job, VmfSteering *self)
{
    vmf_steering_on_job(job, self);
}

static void
vmf_steering_on_statistics(VmfMigration *migration, GVariant *statistics, VmfSteering *self)
{
    g_clear_pointer(&self->statistics, g_variant_unref);
    self->statistics = g_variant_ref(statistics);
}

static void
vmf_steering_on_finished(VmfMigration *migration, VmfSteering *self)
{
    g_signal_handlers_disconnect_by_data(migration, self);
    vmf_steering_free(self);
}

static void
vmf_steering_connect(VmfSteering *self)
{
    self->ours = TRUE;
    g_signal_connect(self->migration, "job", G_CALLBACK(vmf_steering_on_own_job), self);
    g_signal_connect(self->migration, "statistics", G_CALLBACK(vmf_steering_on_statistics), self);
    g_signal_connect(self->migration, "finished", G_CALLBACK(vmf_steering_on_finished), self);
}

void
vmf_steering_attach(const VmfSteeringSetup *setup)
{
    VmfSteering *self = vmf_steering_new(setup);

    vmf_steering_keep(setup, self->start.started);
    vmf_steering_connect(self);
}

void
vmf_steering_attach_told(const VmfSteeringSetup *setup, guint told)
{
    VmfSteering *self = vmf_steering_alloc(setup);

    self->told = told;
    vmf_steering_connect(self);
}
