/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Properties of the policy on random scenarios: test-sim [N [FIRST]], by default a short run.
 * For each: settings change at most once per pass, and memory that the host is short of is given
 * back at most once more; the deadline is kept within 5 %; the cache is never over its limit for
 * longer than until the next observation; progress never goes back; and it ends by itself whenever
 * the best of several fixed settings does. TAP; figures as comments.
 */
#include <stdio.h>
#include <stdlib.h>

#include "policy/decision.h"
#include "sim.h"

#define SHORT_RUN 400
/* In a pass: a host without any free memory does not say how short it is. */
#define RELIEFS_MOST 2
#define TIMES_LONGER 3 /* that it may take than a setting which was right from the start */
#define SHOWN 20       /* breaches, in words */

typedef enum { CHANGES, DEADLINE, MEMORY, PROGRESS, CONVERGES, PROPERTIES } Property;

static const char *const titles[] = {"settings change at most once per pass",
                                     "the deadline is kept within 5 %",
                                     "the memory limit is never passed", "progress never goes back",
                                     "converges whenever the best fixed setting does"};

typedef struct {
    guint64 seeds;
    guint64 judged[PROPERTIES];
    guint64 broken[PROPERTIES];
    guint64 converged;
} Tally;

static void
report(Tally *tally, Property property, const VmfSimScenario *scenario, const VmfPolicy *policy,
       const VmfSimResult *result, const char *more)
{
    g_autoptr(GPtrArray) decisions = vmf_decisions_new();
    VmfSimResult again;

    if (tally->broken[property]++ >= SHOWN)
        return;
    printf("# seed %" G_GUINT64_FORMAT ": %s: %s, %s, %s: %.1f s, %u passes, downtime %.2f s, "
           "cache %" G_GUINT64_FORMAT " MiB, %s\n",
           scenario->seed, titles[property], vmf_sim_guest_name(scenario->guest.kind),
           scenario->native ? "native" : "pump", policy->name, result->seconds, result->passes,
           result->downtime, result->cache >> 20, more);
    vmf_sim_run(scenario, policy, decisions, &again);
    for (guint i = 0; i < MIN(decisions->len, 12); i++) {
        const VmfDecision *decision = decisions->pdata[i];

        printf("#   %7.2f %s: %s (%s)\n", (double)decision->time / G_USEC_PER_SEC, decision->rule,
               decision->what, decision->numbers);
    }
}

/* Whether a fixed setting that policy and host allow ends by itself in a third of the time. */
static gboolean
fixed_converges(const VmfSimScenario *scenario, const VmfPolicy *policy, double *ret_seconds)
{
    guint64 ram = (guint64)scenario->guest.pages * VMF_SIM_PAGE;
    guint64 free = scenario->free_then ? scenario->free_then : scenario->free;
    guint64 budget = free ? vmf_policy_get_cache_budget(policy, free) : ram;
    gboolean found = FALSE;

    if (policy->cache_memory)
        budget = MIN(budget, policy->cache_memory);
    *ret_seconds = scenario->give_up;
    for (guint share = 0; share < 4; share++) {
        VmfSimScenario fixed = *scenario;
        VmfSimResult result;

        if (share > 0 && scenario->cache == 0) /* it has none: nothing to choose */
            break;
        fixed.cache = share ? MIN(budget, ram) >> (share - 1) : 0;
        if (fixed.native && fixed.cache)
            fixed.cache = 1ull << (63 - __builtin_clzll(fixed.cache));
        fixed.give_up = scenario->give_up / TIMES_LONGER;
        vmf_sim_run(&fixed, NULL, NULL, &result);
        if (result.converged) {
            found = TRUE;
            *ret_seconds = MIN(*ret_seconds, result.seconds);
        }
    }
    return found;
}

/* What is left when the second pass begins gets through in time, even if the link is at its
 * slowest. A link that stalls while the guest stands already is nobody's to foresee. */
static gboolean
can_be_over(const VmfSimScenario *scenario, const VmfSimResult *result, double deadline)
{
    double slowest = scenario->link.rate * (1 - scenario->link.swing);

    return scenario->link.stalls == 0 && result->passes >= 2 &&
           result->second_at + result->second_left / slowest <= deadline;
}

/* At the deadline it is over, or what the policy says has been done; and where it can be, it is
 * over after that. */
static void
judge_deadline(Tally *tally, const VmfSimScenario *scenario, const VmfPolicy *policy,
               const VmfSimResult *result)
{
    double deadline =
        vmf_policy_get_deadline(policy, (guint64)scenario->guest.pages * VMF_SIM_PAGE);
    g_autofree char *more = g_strdup_printf("deadline %.1f s", deadline);
    gboolean in_time = result->seconds <= deadline * 1.05;
    gboolean acted = (result->acted > 0 ? result->acted : result->seconds) <= deadline * 1.05;

    if (deadline <= 0 || policy->on_deadline == VMF_DEADLINE_GO_ON ||
        policy->on_deadline == VMF_DEADLINE_THROTTLE)
        return;
    tally->judged[DEADLINE]++;
    if ((!in_time && !acted) || (!in_time && policy->on_deadline == VMF_DEADLINE_SWITCHOVER &&
                                 can_be_over(scenario, result, deadline)))
        report(tally, DEADLINE, scenario, policy, result, more);
}

static void
judge(Tally *tally, guint64 seed)
{
    VmfSimScenario scenario;
    VmfPolicy policy;
    VmfSimResult result;
    g_autofree char *more = NULL;
    double best = 0;

    vmf_sim_draw(seed, &scenario, &policy);
    vmf_sim_run(&scenario, &policy, NULL, &result);
    tally->seeds++;
    tally->converged += result.converged;
    tally->judged[CHANGES]++;
    if (result.changes_most > 1 || result.reliefs_most > RELIEFS_MOST)
        report(tally, CHANGES, &scenario, &policy, &result, "");
    tally->judged[MEMORY]++;
    if (result.over_limit > 0)
        report(tally, MEMORY, &scenario, &policy, &result, "");
    tally->judged[PROGRESS]++;
    if (result.progress_back > 0)
        report(tally, PROGRESS, &scenario, &policy, &result, "");
    judge_deadline(tally, &scenario, &policy, &result);
    if (!fixed_converges(&scenario, &policy, &best) ||
        (result.acted > 0 && best > result.acted / TIMES_LONGER)) /* it had no time to */
        return;
    tally->judged[CONVERGES]++;
    more = g_strdup_printf("fixed: %.1f s", best);
    if (!result.converged)
        report(tally, CONVERGES, &scenario, &policy, &result, more);
}

int
main(int argc, char **argv)
{
    guint64 n = argc > 1 ? g_ascii_strtoull(argv[1], NULL, 10) : SHORT_RUN;
    guint64 first = argc > 2 ? g_ascii_strtoull(argv[2], NULL, 10) : 1;
    gint64 began = g_get_monotonic_time();
    Tally tally = {0};
    int status = 0;

    for (guint64 seed = first; seed < first + n; seed++)
        judge(&tally, seed);
    printf("# %" G_GUINT64_FORMAT " scenarios in %.1f s, %" G_GUINT64_FORMAT
           " ended by themselves\n",
           tally.seeds, (double)(g_get_monotonic_time() - began) / G_USEC_PER_SEC, tally.converged);
    for (guint i = 0; i < PROPERTIES; i++) {
        status |= tally.broken[i] > 0 || tally.judged[i] == 0;
        printf("%s %u - %s # %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " not\n",
               tally.broken[i] || tally.judged[i] == 0 ? "not ok" : "ok", i + 1, titles[i],
               tally.broken[i], tally.judged[i]);
    }
    printf("1..%d\n", PROPERTIES);
    return status;
}
