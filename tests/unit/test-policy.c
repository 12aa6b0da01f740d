/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules of the policy, one by one; tests/sim shows what they come to. */
#include "cmocka-all.h"

#include <math.h>

#include "policy/decision.h"
#include "policy/plan.h"
#include "policy/steer.h"

#define MIB (1024.0 * 1024)
#define MIBU (1ull << 20)
#define S G_USEC_PER_SEC

/* ---- presets and limits ---- */

static void
test_presets(void **state)
{
    assert_ptr_equal(vmf_policy_default(), vmf_policy_preset("balanced"));
    assert_null(vmf_policy_preset("fast"));
    for (const VmfPolicy *const *preset = vmf_policy_presets(); *preset; preset++) {
        assert_string_equal((*preset)->name, (*preset)->preset);
        assert_true((*preset)->downtime_max >= (*preset)->downtime);
        assert_true((*preset)->cache_share > 0 && (*preset)->cache_share <= 1);
        assert_int_equal((*preset)->engines, VMF_ENGINES_ALL);
    }
}

static void
test_narrowing_never_widens(void **state)
{
    VmfPolicy policy = *vmf_policy_preset("evacuate");
    VmfPolicy wish = *vmf_policy_preset("minimal-downtime");

    policy.engines = VMF_ENGINES_PUMP | VMF_ENGINES_PLAIN;
    policy.bandwidth = 100;
    wish.engines = VMF_ENGINES_NATIVE | VMF_ENGINES_PLAIN;
    wish.bandwidth = 200;
    wish.compression = VMF_COMPRESS_ON;
    wish.fail_closed = TRUE;
    vmf_policy_narrow(&policy, &wish);
    assert_int_equal(policy.engines, VMF_ENGINES_PLAIN);
    assert_int_equal(policy.bandwidth, 100);
    assert_int_equal(policy.downtime, 50);
    assert_int_equal(policy.downtime_max, 200);
    assert_int_equal(policy.deadline_gib, 30); /* the wish has none */
    assert_int_equal(policy.compression, VMF_COMPRESS_AUTO);
    assert_true(policy.cache_share == 0.1);
    assert_true(policy.fail_closed);
    assert_false(policy.observe);
    wish.bandwidth = 0;
    vmf_policy_narrow(&policy, &wish);
    assert_int_equal(policy.bandwidth, 100);
}

static void
test_deadlines(void **state)
{
    VmfPolicy policy = {0};

    assert_true(vmf_policy_get_deadline(&policy, 4096 * MIBU) == 0);
    policy.deadline_gib = 30;
    assert_true(vmf_policy_get_deadline(&policy, 4096 * MIBU) == 120);
    policy.deadline = 100;
    assert_true(vmf_policy_get_deadline(&policy, 4096 * MIBU) == 100);
    assert_true(vmf_policy_get_deadline(&policy, 1024 * MIBU) == 30);
}

static void
test_sets_in_words(void **state)
{
    g_autofree char *two =
        vmf_policy_format_set(VMF_ENGINES_PUMP | VMF_ENGINES_NATIVE, vmf_engine_words());
    g_autofree char *none = vmf_policy_format_set(0, vmf_way_words());

    assert_string_equal(two, "pump native");
    assert_string_equal(none, "none");
}

/* ---- curves ---- */

static void
assert_near(double want, double have)
{
    if (fabs(want - have) > 0.02 * want)
        fail_msg("want %f, have %f", want, have);
}

static void
test_working_set(void **state)
{
    VmfWorkingSet curve = {0};

    assert_true(vmf_working_set_get(&curve, 1, 1000) == 0);
    vmf_working_set_add(&curve, 9, 300);
    vmf_working_set_add(&curve, 1, 100);
    vmf_working_set_add(&curve, 3, 150);
    vmf_working_set_add(&curve, 3, 200);
    assert_int_equal(curve.n, 3);
    assert_near(100, vmf_working_set_get(&curve, 1, 1000));
    assert_near(200, vmf_working_set_get(&curve, 3, 1000));
    assert_near(300, vmf_working_set_get(&curve, 9, 1000));
    assert_near(120, vmf_working_set_get(&curve, 9, 120));
    for (double t = 0.1; t < 100; t *= 1.1) /* rises, and by less and less */
        assert_true(vmf_working_set_get(&curve, t, 1e9) <
                        vmf_working_set_get(&curve, t * 1.1, 1e9) * 1.0001 &&
                    vmf_working_set_get(&curve, t * 1.1, 1e9) <
                        vmf_working_set_get(&curve, t, 1e9) * 1.11);
}

static void
test_a_full_set_stays_full(void **state)
{
    VmfWorkingSet curve = {0};

    vmf_working_set_add(&curve, 1, 160 * MIB);
    vmf_working_set_add(&curve, 3, 158 * MIB); /* samples scatter */
    vmf_working_set_add(&curve, 9, 160 * MIB);
    assert_near(160 * MIB, vmf_working_set_get(&curve, 60, 1024 * MIB));
    assert_true(vmf_working_set_get(&curve, 0.1, 1024 * MIB) > 16 * MIB);
}

static void
test_reuse(void **state)
{
    /* A set of 160 that is rewritten in order: nothing below, all at once. */
    VmfReuse cliff = {4, {0, 80, 160, 320}, {1000, 1000, 100, 100}};
    VmfReuse slope = {5, {0, 100, 200, 300, 400}, {1000, 500, 300, 250, 245}};
    VmfReuse none = {0};

    assert_in_range(vmf_reuse_choose(&cliff, 1000, 0.03), 158, 160);
    assert_int_equal(vmf_reuse_choose(&cliff, 100, 0), 100); /* a part of it is better than none */
    assert_in_range(vmf_reuse_choose(&slope, 400, 0.03), 290, 300);
    assert_in_range(vmf_reuse_choose(&slope, 200, 0), 199, 201);
    assert_int_equal(vmf_reuse_choose(&none, 400, 0.03), 0);
    assert_true(vmf_reuse_get(&slope, 50) == 750);
    assert_true(vmf_reuse_get(&slope, 4000) == 245);
}

/* ---- the plan ---- */

/* The counter guest of 256 MiB that rewrites 160 MiB of it, at 50 MiB/s. */
static void
counter_facts(VmfFacts *facts)
{
    vmf_facts_init(facts, 256 * MIBU);
    facts->zero_share = 0.2;
    facts->link_rate = 50 * MIB;
    facts->source_free = 4096 * MIBU;
    for (guint i = 0; i < 3; i++)
        vmf_working_set_add(&facts->written, (double[]){1, 3, 9}[i], 160 * MIB);
    facts->delta_ratio = 0.05;
}

static void
test_prediction_has_the_cliff(void **state)
{
    VmfFacts facts;
    VmfSetting setting = {.engine = VMF_ENGINES_NATIVE, .delta = TRUE, .downtime = 0.3};
    VmfPrediction small;
    VmfPrediction large;

    counter_facts(&facts);
    setting.cache = 64 * MIBU;
    vmf_model_predict(&facts, &setting, &small);
    setting.cache = 256 * MIBU;
    vmf_model_predict(&facts, &setting, &large);
    assert_false(small.converges);
    assert_true(large.converges);
    assert_true(large.seconds > 4 && large.seconds < 12);
    assert_near(160 * MIB, large.set);
}

static void
test_plan_takes_what_converges(void **state)
{
    VmfFacts facts;
    VmfPolicy policy = *vmf_policy_default();
    g_autoptr(GPtrArray) decisions = vmf_decisions_new();
    g_autofree VmfPlan *plan = g_new0(VmfPlan, 1);
    const VmfDecision *decision;

    counter_facts(&facts);
    policy.engines = VMF_ENGINES_NATIVE | VMF_ENGINES_PLAIN;
    assert_true(vmf_plan_make(&facts, &policy, 42, decisions, plan));
    assert_int_equal(plan->setting.engine, VMF_ENGINES_NATIVE);
    assert_true(plan->setting.delta);
    assert_int_equal(plan->setting.cache, 256 * MIBU);
    assert_true(plan->prediction.converges);
    assert_int_equal(decisions->len, 1);
    decision = decisions->pdata[0];
    assert_int_equal(decision->time, 42);
    assert_string_equal(decision->rule, "plan");
    assert_string_equal(decision->what, "native, deltas with 256.0 MiB");
    assert_non_null(strstr(decision->numbers, "160.0 MiB written"));
    assert_non_null(strstr(decision->numbers, "no end by itself"));
}

static void
test_plan_keeps_to_its_limits(void **state)
{
    VmfFacts facts;
    VmfPolicy policy = *vmf_policy_default();
    g_autofree VmfPlan *plan = g_new0(VmfPlan, 1);

    counter_facts(&facts);
    policy.cache_memory = 100 * MIBU;
    policy.compression = VMF_COMPRESS_OFF;
    facts.zstd = TRUE;
    assert_true(vmf_plan_make(&facts, &policy, 0, NULL, plan));
    for (guint i = 0; i < plan->n; i++) {
        assert_true(plan->choices[i].setting.cache <= 100 * MIBU);
        assert_false(plan->choices[i].setting.compress);
    }
    policy.engines = VMF_ENGINES_PUMP;
    facts.engines = VMF_ENGINES_PLAIN;
    assert_false(vmf_plan_make(&facts, &policy, 0, NULL, plan));
}

static void
test_plan_for_an_idle_guest_is_cheap(void **state)
{
    VmfFacts facts;
    g_autofree VmfPlan *plan = g_new0(VmfPlan, 1);

    vmf_facts_init(&facts, 1024 * MIBU);
    facts.source_free = 4096 * MIBU;
    vmf_working_set_add(&facts.written, 1, 0.1 * MIB);
    vmf_working_set_add(&facts.written, 9, 0.5 * MIB);
    assert_true(vmf_plan_make(&facts, vmf_policy_default(), 0, NULL, plan));
    assert_true(plan->setting.delta); /* it may become busy */
    assert_int_equal(plan->setting.cache, 16 * MIBU);
    assert_true(plan->prediction.converges);
}

static void
test_cache_ahead(void **state)
{
    VmfFacts facts;
    VmfPolicy policy = *vmf_policy_default();
    g_autoptr(GPtrArray) decisions = vmf_decisions_new();

    counter_facts(&facts);
    assert_int_equal(vmf_plan_native_cache(&facts, &policy, 64 * MIBU, 7, decisions), 256 * MIBU);
    assert_int_equal(decisions->len, 1);
    assert_int_equal(vmf_plan_native_cache(&facts, &policy, 256 * MIBU, 7, decisions), 256 * MIBU);
    assert_int_equal(decisions->len, 1);
    policy.cache_memory = 200 * MIBU;
    assert_int_equal(vmf_plan_native_cache(&facts, &policy, 64 * MIBU, 7, NULL), 128 * MIBU);
    policy.cache_memory = 10 * MIBU; /* QEMU's default is nobody's to lower */
    assert_int_equal(vmf_plan_native_cache(&facts, &policy, 64 * MIBU, 7, NULL), 64 * MIBU);
    facts.written.n = 0;
    assert_int_equal(vmf_plan_native_cache(&facts, &policy, 128 * MIBU, 7, NULL), 128 * MIBU);
}

/* ---- during ---- */

typedef struct {
    VmfPolicy policy;
    VmfSteerStart start;
    VmfObservation seen;
    GPtrArray *decisions;
    VmfSteer *steer;
    VmfAction actions[VMF_ACTIONS_MAX];
    guint n;
} Ride;

static Ride *
ride_new(gboolean native)
{
    Ride *ride = g_new0(Ride, 1);

    ride->policy = *vmf_policy_default();
    ride->start = (VmfSteerStart){.ram = 256 * MIBU,
                                  .native = native,
                                  .cache = TRUE,
                                  .cache_size = 64 * MIBU,
                                  .cache_most = G_MAXUINT64,
                                  .downtime = 300,
                                  .source_free = 4096 * MIBU};
    ride->seen.source_free = 4096 * MIBU;
    ride->seen.link_rate = 50 * MIB;
    ride->decisions = vmf_decisions_new();
    return ride;
}

static void
ride_free(Ride *ride)
{
    g_clear_pointer(&ride->steer, vmf_steer_free);
    g_ptr_array_unref(ride->decisions);
    g_free(ride);
}

/* `seconds` later, in pass `pass` with so many MiB to go, at 50 MiB/s. */
static void
ride_on(Ride *ride, double seconds, guint pass, guint64 remaining)
{
    if (!ride->steer)
        ride->steer = vmf_steer_new(&ride->policy, &ride->start, ride->decisions);
    ride->seen.now += (gint64)(seconds * S);
    ride->seen.pass = pass;
    ride->seen.remaining = remaining * MIBU;
    ride->seen.processed += (guint64)(seconds * 50 * MIB);
    ride->n = vmf_steer_observe(ride->steer, &ride->seen, ride->actions);
}

static void
assert_action(const Ride *ride, VmfActionKind kind, guint64 value)
{
    assert_int_equal(ride->n, 1);
    assert_int_equal(ride->actions[0].kind, kind);
    assert_int_equal(ride->actions[0].value, value);
}

static void
assert_last_rule(const Ride *ride, const char *rule)
{
    const VmfDecision *last = ride->decisions->pdata[ride->decisions->len - 1];

    assert_string_equal(last->rule, rule);
}

static void
test_native_cache_holds_the_set(void **state)
{
    Ride *ride = ride_new(TRUE);

    ride_on(ride, 0, 1, 256);
    assert_int_equal(ride->n, 0); /* nothing is known yet */
    ride_on(ride, 5, 2, 160);
    assert_action(ride, VMF_ACTION_CACHE, 256 * MIBU);
    assert_last_rule(ride, "cache-holds-set");
    ride_on(ride, 1, 2, 110);
    assert_int_equal(ride->n, 0);
    ride_on(ride, 2, 3, 160); /* a pass of misses, and one to see what it brings */
    assert_int_equal(ride->n, 0);
    ride_free(ride);
}

/* The first statistics of QEMU do not have it. */
static void
test_native_cache_that_is_seen_later(void **state)
{
    Ride *ride = ride_new(TRUE);

    ride->start.cache = FALSE;
    ride->start.cache_size = 0;
    ride_on(ride, 0, 1, 256);
    ride->seen.cache_size = 64 * MIBU;
    ride_on(ride, 5, 2, 160);
    assert_action(ride, VMF_ACTION_CACHE, 256 * MIBU);
    ride_free(ride);
}

static void
test_a_fixed_cache_stays_and_that_is_said(void **state)
{
    Ride *ride = ride_new(TRUE);

    ride->start.fixed = TRUE;
    ride->policy.downtime_step = 0;
    ride_on(ride, 0, 1, 256);
    for (guint pass = 2; pass < 6; pass++) {
        ride_on(ride, 4, pass, 160);
        ride->seen.under_pressure = TRUE;
        assert_int_equal(ride->n, 0);
    }
    assert_int_equal(ride->decisions->len, 1);
    assert_last_rule(ride, "cache-is-fixed");
    ride_free(ride);
}

static void
test_native_cache_at_once_when_measured(void **state)
{
    Ride *ride = ride_new(TRUE);

    vmf_working_set_add(&ride->start.written, 1, 160 * MIB);
    vmf_working_set_add(&ride->start.written, 9, 160 * MIB);
    ride_on(ride, 0, 1, 256);
    ride_on(ride, 1, 1, 206);
    assert_action(ride, VMF_ACTION_CACHE, 256 * MIBU);
    ride_free(ride);
}

static void
test_native_cache_keeps_to_budget(void **state)
{
    Ride *ride = ride_new(TRUE);

    ride->policy.cache_memory = 200 * MIBU;
    ride_on(ride, 0, 1, 256);
    ride_on(ride, 5, 2, 160);
    assert_action(ride, VMF_ACTION_CACHE, 128 * MIBU);
    ride_free(ride);
}

static void
test_one_change_per_pass(void **state)
{
    Ride *ride = ride_new(FALSE);
    /* what the first two passes had between them weighs as much as what came since */
    VmfReuse first = {2, {0, 256 * MIBU}, {1000, 10}};
    VmfReuse curve = {3, {0, 200 * MIBU, 256 * MIBU}, {2000, 1010, 20}};

    ride_on(ride, 0, 1, 256);
    ride_on(ride, 5, 2, 160);
    assert_action(ride, VMF_ACTION_CACHE, 160 * MIBU);
    ride->seen.reuse = &first;
    ride_on(ride, 1, 2, 110);
    assert_int_equal(ride->n, 0);
    ride_on(ride, 3, 3, 140);
    assert_int_equal(ride->n, 0);
    ride->seen.reuse = &curve;
    ride_on(ride, 3, 4, 120);
    assert_int_equal(ride->actions[0].kind, VMF_ACTION_CACHE);
    assert_in_range(ride->actions[0].value, 200 * MIBU, 210 * MIBU);
    assert_last_rule(ride, "cache-reuse");
    ride_free(ride);
}

static void
test_memory_is_given_back(void **state)
{
    Ride *ride = ride_new(FALSE);

    ride->start.cache_size = 160 * MIBU;
    ride_on(ride, 0, 1, 256);
    ride->seen.under_pressure = TRUE;
    ride_on(ride, 1, 1, 206);
    assert_action(ride, VMF_ACTION_CACHE, 80 * MIBU);
    assert_last_rule(ride, "memory-pressure");
    ride_on(ride, 1, 1, 156);
    assert_int_equal(ride->n, 0);
    ride->seen.under_pressure = FALSE;
    ride_on(ride, 3, 2, 160); /* not taken again at once */
    assert_int_equal(ride->n, 0);
    ride_free(ride);
}

static void
test_deltas_that_do_not_pay(void **state)
{
    Ride *ride = ride_new(FALSE);

    ride->start.cache_size = 256 * MIBU;
    for (guint pass = 1; pass < 4; pass++) {
        ride_on(ride, 3, pass, 160);
        ride->seen.again += 40000;
        ride->seen.overflows += 39000;
    }
    ride_on(ride, 3, 4, 160);
    assert_int_equal(ride->actions[0].kind, VMF_ACTION_DELTA);
    assert_int_equal(ride->actions[0].value, 0);
    ride_free(ride);
}

static void
test_downtime_rises_by_steps(void **state)
{
    Ride *ride = ride_new(TRUE);

    ride->start.cache_size = 256 * MIBU;
    ride_on(ride, 0, 1, 256);
    ride_on(ride, 5, 2, 160);
    ride_on(ride, 3, 3, 100); /* better */
    assert_int_equal(ride->n, 0);
    ride_on(ride, 2, 4, 100); /* not better */
    assert_action(ride, VMF_ACTION_DOWNTIME, 400);
    assert_last_rule(ride, "downtime-step");
    ride_on(ride, 2, 5, 100); /* the change is given its time */
    assert_int_equal(ride->n, 0);
    for (guint pass = 6; pass < 60; pass++)
        ride_on(ride, 2, pass, 100);
    assert_int_equal(ride->n, 0); /* never more than allowed */
    ride_free(ride);
}

static void
test_switchover_in_time(void **state)
{
    Ride *ride = ride_new(TRUE);

    ride->policy.deadline = 20;
    ride->policy.on_deadline = VMF_DEADLINE_SWITCHOVER;
    ride->policy.downtime_step = 0;
    ride->start.cache_size = 256 * MIBU;
    ride_on(ride, 0, 1, 256);
    ride_on(ride, 5, 2, 160);
    ride_on(ride, 3, 3, 150);
    ride_on(ride, 3, 4, 150);
    ride_on(ride, 3, 5, 150); /* 14 s, and 3 s of pages left */
    assert_int_equal(ride->n, 0);
    ride_on(ride, 1, 5, 100);
    ride_on(ride, 1, 5, 50); /* 16 s, a second's left, two were written meanwhile */
    assert_action(ride, VMF_ACTION_SWITCHOVER, 0);
    assert_last_rule(ride, "deadline");
    ride_on(ride, 1, 5, 1);
    assert_int_equal(ride->n, 0);
    ride_free(ride);
}

static void
test_other_ends(void **state)
{
    const struct {
        VmfDeadlineAction action;
        gboolean possible;
        guint n;
        VmfActionKind kind;
    } cases[] = {{VMF_DEADLINE_GO_ON, TRUE, 0, 0},
                 {VMF_DEADLINE_ABORT, TRUE, 1, VMF_ACTION_ABORT},
                 {VMF_DEADLINE_POSTCOPY, TRUE, 1, VMF_ACTION_POSTCOPY},
                 {VMF_DEADLINE_POSTCOPY, FALSE, 0, 0}};

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        Ride *ride = ride_new(TRUE);

        ride->policy.deadline = 10;
        ride->policy.on_deadline = cases[i].action;
        ride->policy.downtime_step = 0;
        ride->start.postcopy = cases[i].possible;
        ride->start.cache_size = 256 * MIBU;
        ride_on(ride, 0, 1, 256);
        ride_on(ride, 9, 2, 160);
        assert_int_equal(ride->n, 0);
        ride_on(ride, 1.5, 2, 100);
        assert_int_equal(ride->n, cases[i].n);
        if (cases[i].n)
            assert_int_equal(ride->actions[0].kind, cases[i].kind);
        ride_free(ride);
    }
}

static void
test_nothing_is_done_while_the_link_stalls(void **state)
{
    Ride *ride = ride_new(TRUE);

    ride_on(ride, 0, 1, 256);
    ride->seen.link_rate = 0;
    ride_on(ride, 5, 2, 160);
    assert_int_equal(ride->n, 0);
    assert_true(vmf_steer_get_time_left(ride->steer) < 0);
    ride_free(ride);
}

static void
test_progress_is_honest(void **state)
{
    Ride *ride = ride_new(TRUE);
    double before;

    ride->start.cache_size = 256 * MIBU;
    ride_on(ride, 0, 1, 256);
    ride_on(ride, 2, 1, 156);
    before = vmf_steer_get_progress(ride->steer);
    assert_true(before > 0.1 && before <= 0.6);
    ride_on(ride, 3, 2, 100);
    ride_on(ride, 2, 3, 100); /* as much as before: nobody knows when it ends */
    ride_on(ride, 1, 3, 50);
    assert_true(vmf_steer_get_time_left(ride->steer) < 0);
    assert_true(vmf_steer_get_progress(ride->steer) >= before);
    ride_on(ride, 1, 4, 10);
    assert_true(vmf_steer_get_time_left(ride->steer) >= 0);
    assert_true(vmf_steer_get_time_left(ride->steer) < 1);
    assert_true(vmf_steer_get_progress(ride->steer) < 1);
    ride_free(ride);
}

static void
test_decisions_are_bounded(void **state)
{
    g_autoptr(GPtrArray) decisions = vmf_decisions_new();
    const VmfDecision *decision;

    for (guint i = 0; i < 1000; i++)
        vmf_decisions_add(decisions, i, "plan", g_strdup("a"), g_strdup("b"));
    assert_int_equal(decisions->len, VMF_DECISIONS_MAX);
    decision = decisions->pdata[0];
    assert_int_equal(decision->time, 0);
    decision = decisions->pdata[VMF_DECISIONS_MAX - 1];
    assert_int_equal(decision->time, 999);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_narrowing_never_widens),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_sets_in_words),
        cmocka_unit_test(test_working_set),
        cmocka_unit_test(test_a_full_set_stays_full),
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_prediction_has_the_cliff),
        cmocka_unit_test(test_plan_takes_what_converges),
        cmocka_unit_test(test_plan_keeps_to_its_limits),
        cmocka_unit_test(test_plan_for_an_idle_guest_is_cheap),
        cmocka_unit_test(test_cache_ahead),
        cmocka_unit_test(test_native_cache_holds_the_set),
        cmocka_unit_test(test_native_cache_that_is_seen_later),
        cmocka_unit_test(test_a_fixed_cache_stays_and_that_is_said),
        cmocka_unit_test(test_native_cache_at_once_when_measured),
        cmocka_unit_test(test_native_cache_keeps_to_budget),
        cmocka_unit_test(test_one_change_per_pass),
        cmocka_unit_test(test_memory_is_given_back),
        cmocka_unit_test(test_deltas_that_do_not_pay),
        cmocka_unit_test(test_downtime_rises_by_steps),
        cmocka_unit_test(test_switchover_in_time),
        cmocka_unit_test(test_other_ends),
        cmocka_unit_test(test_nothing_is_done_while_the_link_stalls),
        cmocka_unit_test(test_progress_is_honest),
        cmocka_unit_test(test_decisions_are_bounded),
    };

    return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
