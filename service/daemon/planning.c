/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/planning.h"

#include "base/error.h"
#include "base/log.h"
#include "daemon/engine.h"
#include "daemon/host-memory.h"
#include "daemon/kept.h"
#include "daemon/lessons.h"
#include "daemon/observer.h"
#include "daemon/peer.h"
#include "daemon/policies.h"
#include "daemon/steering.h"
#include "policy/decision.h"

#define VMF_MIB (1024.0 * 1024)
#define VMF_QEMU_OWN (48 * VMF_MIB) /* bytes of a QEMU process that are not the guest's memory */
#define VMF_QEMU_CACHE_LEAST 4096   /* bytes: a page */
#define VMF_CACHE_BEGIN                                                                            \
    (64ull << 20) /* bytes, that a cache of ours may have at the start at least */

struct VmfPlanning {
    VmfDaemon *daemon;
    VmfOptions *options;     /* the caller's */
    VmfChosenPolicy *policy; /* NULL: it is steered */
    VmfPlan *plan;
    GPtrArray *decisions;
    VmfKnowledge known;
    gboolean cache_was_said;
    gboolean downtime_was_said;
};

void
vmf_planning_look(VmfDaemon *daemon, const VmfGuest *guest, const char *peer,
                  const VmfPolicy *policy, double link, VmfKnowledge *ret)
{
    VmfFacts *facts = &ret->facts;
    double filled = (double)guest->resident - VMF_QEMU_OWN;
    VmfHostMemory memory;

    vmf_host_memory_read(&memory);
    vmf_facts_init(facts, guest->memory);
    facts->source_free = memory.free;
    facts->zstd = TRUE; /* what is not agreed is left out */
    facts->compress_rate *= MIN(policy->cpu_share * g_get_num_processors(), VMF_LANES_MOST);
    if (guest->resident && guest->memory)
        facts->zero_share = CLAMP(1 - filled / (double)guest->memory, 0, 1);
    ret->link_known =
        vmf_lessons_apply(vmf_daemon_get_lessons(daemon), guest->uuid, peer, facts) || link > 0;
    if (link > 0)
        facts->link_rate = link;
    if (policy->bandwidth)
        facts->link_rate = MIN(facts->link_rate, (double)policy->bandwidth);
    if (!vmf_observer_get(vmf_daemon_get_observer(daemon), guest->uuid, &facts->written, &ret->age))
        ret->age = -1;
}

/* ---- a migration of ours ---- */

/* MiB/s; 0: no bound. */
static guint
vmf_planning_bandwidth(const VmfPolicy *policy, guint asked)
{
    guint most = policy->bandwidth ? (guint)MAX((double)policy->bandwidth / VMF_MIB, 1) : 0;

    return most && asked ? MIN(most, asked) : most + asked;
}

/* What can be combined with what was asked for. */
static gboolean
vmf_planning_may_postcopy(const VmfOptions *options)
{
    return !options->parallel && !options->copy_storage &&
           (options->engine == VMF_ENGINE_AUTO || options->engine == VMF_ENGINE_PUMP);
}

static int
vmf_planning_compression(const VmfPlanning *self)
{
    const VmfPolicy *policy = &self->policy->policy;

    if (self->options->delta.compression != VMF_COMPRESSION_AUTO)
        return self->options->delta.compression;
    if (policy->compression == VMF_COMPRESS_OFF)
        return 0;
    if (policy->compression == VMF_COMPRESS_ON)
        return 1;
    return VMF_COMPRESSION_AUTO; /* the pump finds out by itself what pays */
}

/*
 * More than the plan's, where it is known what the guest writes, as it may write more by then, and
 * what is not needed is given back after some passes; else what is reasonable for anybody.
 */
static guint64
vmf_planning_cache(const VmfPlanning *self, guint64 memory)
{
    guint64 budget =
        vmf_policy_get_cache_budget(&self->policy->policy, self->known.facts.source_free);

    if (!self->plan->setting.delta || self->known.age < 0)
        return MIN(vmf_delta_default_cache(memory), budget);
    return MIN(MAX(self->plan->setting.cache * 2, VMF_CACHE_BEGIN), MIN(memory, budget));
}

/* How hard to pack from the first byte on. */
static guint
vmf_planning_expect(const VmfPlanning *self)
{
    const VmfFacts *facts = &self->known.facts;
    guint level = vmf_plan_get_level(self->plan, facts);
    g_autofree char *link = vmf_decision_format_bytes(facts->link_rate);

    if (level > 0)
        vmf_decisions_add(self->decisions, g_get_monotonic_time(), "zstd-ahead",
                          g_strdup_printf("zstd level %u from the start", level),
                          g_strdup_printf("link %s/s, pages pack to %.2f of their size", link,
                                          facts->whole_ratio));
    return level;
}

/* QEMU's own cache: what was said, as far as it is a power of two; or the plan's, 0: none. */
static guint64
vmf_planning_qemu_cache(const VmfPlanning *self)
{
    guint64 said = self->options->delta.cache;

    if (self->cache_was_said && said > 0)
        return MAX(1ull << g_bit_nth_msf(said, -1), VMF_QEMU_CACHE_LEAST);
    return self->plan->setting.engine == VMF_ENGINES_NATIVE ? self->plan->setting.cache : 0;
}

static void
vmf_planning_fill(VmfPlanning *self, guint64 memory)
{
    const VmfPolicy *policy = &self->policy->policy;
    VmfOptions *options = self->options;

    options->memory = memory;
    options->barred = VMF_ENGINES_ALL & ~policy->engines;
    options->planned = vmf_engine_from_bit(self->plan->setting.engine);
    options->throttle = policy->on_deadline == VMF_DEADLINE_THROTTLE;
    options->bandwidth = vmf_planning_bandwidth(policy, options->bandwidth);
    self->downtime_was_said = options->downtime != VMF_DOWNTIME_BY_POLICY;
    if (!self->downtime_was_said)
        options->downtime = policy->downtime;
    if (self->plan->postcopy && vmf_planning_may_postcopy(options))
        options->postcopy = TRUE;
    options->delta.compression = vmf_planning_compression(self);
    self->cache_was_said = options->delta.cache != VMF_CACHE_DEFAULT;
    if (!self->cache_was_said)
        options->delta.cache = vmf_planning_cache(self, memory);
    if (self->known.link_known && options->delta.compression == VMF_COMPRESSION_AUTO)
        options->delta.expected = vmf_planning_expect(self);
    options->qemu_cache = vmf_planning_qemu_cache(self);
    options->packers = vmf_policy_get_packers(policy, g_get_num_processors());
}

VmfPlanning *
vmf_planning_new(VmfDaemon *daemon, const VmfGuest *guest, const char *peer, VmfOptions *options,
                 GError **error)
{
    g_autoptr(VmfPlanning) self = g_new0(VmfPlanning, 1);
    const VmfConfig *config = vmf_daemon_get_config(daemon);
    VmfFacts *facts = &self->known.facts;

    self->daemon = daemon;
    self->options = options;
    self->decisions = vmf_decisions_new();
    self->plan = g_new0(VmfPlan, 1);
    self->policy =
        vmf_policies_choose(vmf_daemon_get_policies(daemon), guest->xml, peer, TRUE, error);
    if (!self->policy)
        return NULL;
    vmf_planning_look(daemon, guest, peer, &self->policy->policy, options->bandwidth * VMF_MIB,
                      &self->known);
    facts->engines = vmf_engine_get_possible(
        config, vmf_peer_get_config(vmf_daemon_find_peer(daemon, peer)), options);
    facts->postcopy = TRUE;
    facts->parallel = options->parallel > 0;
    if (!vmf_plan_make(facts, &self->policy->policy, g_get_monotonic_time(), self->decisions,
                       self->plan)) {
        g_autofree char *allowed =
            vmf_policy_format_set(self->policy->policy.engines, vmf_engine_words());

        g_set_error(error, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED,
                    "policy '%s' allows no engine that can carry this guest to %s as asked: it "
                    "allows %s",
                    self->policy->name, peer, allowed);
        return NULL;
    }
    vmf_planning_fill(self, guest->memory);
    return g_steal_pointer(&self);
}

void
vmf_planning_free(VmfPlanning *self)
{
    g_clear_pointer(&self->policy, vmf_chosen_policy_free);
    g_clear_pointer(&self->decisions, g_ptr_array_unref);
    g_free(self->plan);
    g_free(self);
}

void
vmf_planning_steer(VmfPlanning *self, VmfMigration *migration)
{
    const VmfOptions *options = self->options;
    VmfSteeringSetup setup = {
        .migration = migration,
        .libvirt = vmf_daemon_get_libvirt(self->daemon),
        .libvirt_uri = vmf_daemon_get_config(self->daemon)->libvirt_uri,
        .budget = vmf_daemon_get_budget(self->daemon),
        .policy = g_steal_pointer(&self->policy),
        .decisions = g_steal_pointer(&self->decisions),
        .start = {.ram = self->known.facts.ram,
                  .cache = options->delta.on,
                  .fixed = self->cache_was_said,
                  .cache_size = options->delta.cache,
                  .cache_most = G_MAXUINT64,
                  .downtime = self->downtime_was_said ? 0 : options->downtime,
                  .postcopy = options->postcopy,
                  .written = self->known.facts.written},
    };

    if (options->timeout) /* which says what happens then */
        setup.policy->policy.deadline = setup.policy->policy.deadline_gib = 0;
    vmf_steering_attach(&setup);
}

/* ---- a migration that somebody else asked for ---- */

typedef struct {
    VmfDaemon *daemon;
    VmfMigration *migration;
} VmfAdoption;

static void
vmf_adoption_free(gpointer data)
{
    VmfAdoption *adoption = data;

    g_object_unref(adoption->migration);
    g_free(adoption);
}

static void
vmf_adoption_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    const VmfAdoption *adoption = data;
    GError *error = NULL;
    g_autoptr(virConnect) connection =
        vmf_libvirt_open(vmf_daemon_get_config(adoption->daemon)->libvirt_uri, &error);
    VmfGuest *guest = NULL;

    if (connection)
        guest = vmf_guest_describe(connection, vmf_migration_get_uuid(adoption->migration), &error);
    if (guest)
        g_task_return_pointer(task, guest, (GDestroyNotify)vmf_guest_free);
    else
        g_task_return_error(task, error);
}

/* Post-copy may not have been allowed by who began it: then the order fails, and it goes on. */
static void
vmf_adoption_steer(const VmfAdoption *adoption, const VmfOptions *options, VmfPlanning *planning)
{
    VmfMigration *migration = adoption->migration;
    VmfBudget *budget = vmf_daemon_get_budget(adoption->daemon);

    planning->options->postcopy = TRUE;
    vmf_migration_allow_downtime(migration, options->downtime);
    vmf_migration_note_memory(migration, options->memory);
    vmf_budget_note_guest(budget, vmf_migration_get_id(migration), options->memory);
    vmf_kept_set_account(migration, budget);
    (void)vmf_migration_request_delta(migration, &options->delta, NULL);
    if (options->bandwidth)
        (void)vmf_migration_request_bandwidth(migration, options->bandwidth, NULL);
    vmf_planning_steer(planning, migration);
}

static void
vmf_adoption_done(GObject *source, GAsyncResult *result, gpointer data)
{
    const VmfAdoption *adoption = g_task_get_task_data(G_TASK(result));
    const char *id = vmf_migration_get_id(adoption->migration);
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfGuest) guest = g_task_propagate_pointer(G_TASK(result), &error);
    g_autoptr(VmfOptions) options = vmf_options_new();
    g_autoptr(VmfPlanning) planning = NULL;

    options->engine = VMF_ENGINE_PUMP; /* which carries it already */
    if (guest && !vmf_migration_is_finished(adoption->migration))
        planning = vmf_planning_new(adoption->daemon, guest,
                                    vmf_migration_get_peer(adoption->migration), options, &error);
    if (error)
        vmf_warn(id, "it is not steered: %s", error->message);
    if (planning)
        vmf_adoption_steer(adoption, options, planning);
}

void
vmf_planning_adopt(VmfDaemon *daemon, VmfMigration *migration)
{
    g_autoptr(GTask) task = g_task_new(NULL, NULL, vmf_adoption_done, NULL);
    VmfAdoption *adoption = g_new0(VmfAdoption, 1);

    adoption->daemon = daemon;
    adoption->migration = g_object_ref(migration);
    g_task_set_task_data(task, adoption, vmf_adoption_free);
    vmf_workers_run(vmf_daemon_get_workers(daemon), task, vmf_adoption_thread);
}
