/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/plan.h"

#include <string.h>

#include "policy/decision.h"

#define VMF_SAME_TIME 0.03            /* share of the time within which two choices are equal */
#define VMF_CACHE_SMALLEST (16 << 20) /* bytes, of ours */
#define VMF_CACHE_NATIVE (64 << 20)   /* bytes: libvirt's and QEMU's default */
#define VMF_SET_MARGIN 1.05           /* of a working set that is measured by samples */
#define VMF_LEVEL_1_SHARE 0.6         /* of the time that packing may take, to be begun with */
#define VMF_LEVEL_3_COST 1.5          /* time that zstd's level 3 takes, of level 1's */
#define VMF_LEVEL_3_SHARE 0.4         /* of the time, that it may take */
#define VMF_DOWNTIME_WEIGHT 10        /* s of migration that a second of downtime is worth */

static gboolean
vmf_engine_has_delta(VmfEngines engine)
{
    return engine != VMF_ENGINES_PLAIN;
}

/* Destinations hold no cache of pages; what the source may take is the bound. */
static guint64
vmf_plan_budget(const VmfFacts *facts, const VmfPolicy *policy)
{
    return MIN(vmf_policy_get_cache_budget(policy, facts->source_free), facts->ram);
}

static void
vmf_plan_weigh(VmfPlan *plan, const VmfFacts *facts, const VmfSetting *setting)
{
    VmfChoice *choice = &plan->choices[plan->n];

    if (plan->n == VMF_PLAN_CHOICES)
        return;
    choice->setting = *setting;
    vmf_model_predict(facts, setting, &choice->prediction);
    plan->n++;
}

static void
vmf_plan_weigh_caches(VmfPlan *plan, const VmfFacts *facts, guint64 budget, VmfSetting *setting)
{
    setting->delta = FALSE;
    setting->cache = 0;
    vmf_plan_weigh(plan, facts, setting);
    if (facts->parallel || !vmf_engine_has_delta(setting->engine))
        return;
    setting->delta = TRUE;
    for (guint64 size = setting->engine == VMF_ENGINES_NATIVE ? VMF_CACHE_NATIVE
                                                              : VMF_CACHE_SMALLEST;
         size <= budget; size *= 2) {
        setting->cache = size;
        vmf_plan_weigh(plan, facts, setting);
        if (size >= facts->ram)
            break;
    }
}

static void
vmf_plan_weigh_all(VmfPlan *plan, const VmfFacts *facts, const VmfPolicy *policy)
{
    guint64 budget = vmf_plan_budget(facts, policy);
    guint engines = facts->engines & policy->engines;

    for (guint bit = 0; bit < 4; bit++) {
        VmfSetting setting = {.engine = (VmfEngines)(1u << bit),
                              .downtime = policy->downtime / 1000.0};

        if (!(engines & setting.engine))
            continue;
        if (policy->compression != VMF_COMPRESS_ON || setting.engine != VMF_ENGINES_PUMP ||
            !facts->zstd)
            vmf_plan_weigh_caches(plan, facts, budget, &setting);
        setting.compress = TRUE;
        if (facts->zstd && setting.engine == VMF_ENGINES_PUMP &&
            policy->compression != VMF_COMPRESS_OFF)
            vmf_plan_weigh_caches(plan, facts, budget, &setting);
    }
}

static double
vmf_choice_cost(const VmfChoice *choice)
{
    double over = MAX(choice->prediction.downtime - choice->setting.downtime, 0);

    return choice->prediction.seconds + VMF_DOWNTIME_WEIGHT * over;
}

/* Negative when `a` is better. */
static gint
vmf_choice_compare(const VmfChoice *a, const VmfChoice *b)
{
    double first = vmf_choice_cost(a);
    double second = vmf_choice_cost(b);

    if (a->prediction.converges != b->prediction.converges)
        return a->prediction.converges ? -1 : 1;
    return first < second ? -1 : first > second;
}

static gint
vmf_choice_compare_qsort(gconstpointer a, gconstpointer b)
{
    return vmf_choice_compare(a, b);
}

/*
 * Whether of two that come to the same, `a` is to be taken: the engine that can do more; deltas,
 * which cost nothing, as the guest may become busier than it was; less memory.
 */
static gboolean
vmf_choice_is_preferred(const VmfSetting *a, const VmfSetting *b)
{
    if (a->engine != b->engine)
        return a->engine < b->engine;
    if (a->delta != b->delta)
        return a->delta;
    return a->cache < b->cache;
}

/* Of those as good as the first, what is best besides: bytes first, where they differ. */
static const VmfChoice *
vmf_plan_pick(const VmfPlan *plan)
{
    const VmfChoice *best = &plan->choices[0];
    double limit = vmf_choice_cost(best) * (1 + VMF_SAME_TIME);

    for (guint i = 1; i < plan->n; i++) {
        const VmfChoice *other = &plan->choices[i];
        double bytes = other->prediction.wire / MAX(best->prediction.wire, 1);

        if (other->prediction.converges != plan->choices[0].prediction.converges ||
            vmf_choice_cost(other) > limit)
            break;
        if (bytes < 1 - VMF_SAME_TIME || (bytes <= 1 + VMF_SAME_TIME &&
                                          vmf_choice_is_preferred(&other->setting, &best->setting)))
            best = other;
    }
    return best;
}

char *
vmf_setting_format(const VmfSetting *self)
{
    g_autofree char *engine = vmf_policy_format_set(self->engine, vmf_engine_words());
    g_autofree char *cache = vmf_decision_format_bytes((double)self->cache);

    return g_strdup_printf("%s, %s%s%s", engine, self->delta ? "deltas with " : "no deltas",
                           self->delta ? cache : "", self->compress ? ", zstd" : "");
}

static void
vmf_plan_explain(const VmfPlan *plan, const VmfFacts *facts, gint64 now, GPtrArray *decisions)
{
    const VmfChoice *other = &plan->choices[0];
    g_autofree char *ram = vmf_decision_format_bytes((double)facts->ram);
    g_autofree char *set = vmf_decision_format_bytes(plan->prediction.set);
    g_autofree char *link = vmf_decision_format_bytes(facts->link_rate);
    g_autofree char *wire = vmf_decision_format_bytes(plan->prediction.wire);
    g_autofree char *versus = NULL;

    for (guint i = 0; i < plan->n; i++)
        if (plan->choices[i].setting.engine == VMF_ENGINES_PLAIN)
            other = &plan->choices[i];
    versus = vmf_setting_format(&other->setting);
    vmf_decisions_add(
        decisions, now, plan->prediction.converges ? "plan" : "plan-does-not-converge",
        vmf_setting_format(&plan->setting),
        g_strdup_printf("%s of memory, %s written during the first pass%s, link %s/s: %.1f s, "
                        "downtime %.0f ms, %s on the wire; %s: %.1f s%s",
                        ram, set, facts->written.n ? "" : " (not measured)", link,
                        plan->prediction.seconds, plan->prediction.downtime * 1000, wire, versus,
                        other->prediction.seconds,
                        other->prediction.converges ? "" : " and no end by itself"));
}

guint64
vmf_plan_native_cache(const VmfFacts *facts, const VmfPolicy *policy, guint64 now_size, gint64 now,
                      GPtrArray *decisions)
{
    guint last = facts->written.n ? facts->written.n - 1 : 0;
    double period = facts->written.n ? facts->written.seconds[last] : 0;
    double set = vmf_working_set_get(&facts->written, period, (double)facts->ram);
    guint64 budget = vmf_plan_budget(facts, policy);
    guint64 size = VMF_CACHE_NATIVE;

    if (facts->written.n == 0)
        return now_size;
    while ((double)size < set * VMF_SET_MARGIN && size * 2 <= budget)
        size *= 2;
    if (decisions && size != now_size) {
        g_autofree char *from = vmf_decision_format_bytes((double)now_size);
        g_autofree char *to = vmf_decision_format_bytes((double)size);
        g_autofree char *written = vmf_decision_format_bytes(set);
        g_autofree char *most = vmf_decision_format_bytes((double)budget);

        vmf_decisions_add(
            decisions, now, "cache-ahead", g_strdup_printf("cache %s -> %s", from, to),
            g_strdup_printf("%s written within %.0f s, at most %s allowed", written, period, most));
    }
    return size;
}

guint
vmf_plan_get_level(const VmfPlan *plan, const VmfFacts *facts)
{
    double rate = facts->link_rate / MAX(facts->whole_ratio, 0.01);

    if (!plan->setting.compress || rate > facts->compress_rate * VMF_LEVEL_1_SHARE)
        return 0;
    return rate * VMF_LEVEL_3_COST < facts->compress_rate * VMF_LEVEL_3_SHARE ? 3 : 1;
}

gboolean
vmf_plan_make(const VmfFacts *facts, const VmfPolicy *policy, gint64 now, GPtrArray *decisions,
              VmfPlan *plan)
{
    const VmfChoice *best;

    memset(plan, 0, sizeof *plan);
    vmf_plan_weigh_all(plan, facts, policy);
    if (plan->n == 0)
        return FALSE;
    qsort(plan->choices, plan->n, sizeof plan->choices[0], vmf_choice_compare_qsort);
    best = vmf_plan_pick(plan);
    plan->setting = best->setting;
    plan->prediction = best->prediction;
    plan->deadline = vmf_policy_get_deadline(policy, facts->ram);
    plan->on_deadline = policy->on_deadline;
    plan->postcopy = policy->on_deadline == VMF_DEADLINE_POSTCOPY && facts->postcopy;
    plan->throttle = policy->on_deadline == VMF_DEADLINE_THROTTLE && !plan->prediction.converges;
    if (decisions)
        vmf_plan_explain(plan, facts, now, decisions);
    return TRUE;
}
