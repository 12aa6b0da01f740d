/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Limits, curves, the model and the plan; test-steer.c has what is done during a migration. */
#include "cmocka-all.h"

#include <math.h>

#include "policy/decision.h"
#include "policy/plan.h"

#define MIB (1024.0 * 1024)
#define MIBU (1ull << 20)

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
test_packers(void **state)
{
    VmfPolicy policy = *vmf_policy_preset("balanced");

    assert_int_equal(vmf_policy_get_packers(&policy, 16), 8);
    policy.cpu_share = 0.1;
    assert_int_equal(vmf_policy_get_packers(&policy, 16), 2);
    assert_int_equal(vmf_policy_get_packers(&policy, 1), 1);
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

/* What the first two passes had between them is not what comes again later. */
static void
test_reuse_of_late(void **state)
{
    const VmfReuse before = {2, {0, 400}, {1000, 100}};
    const VmfReuse now = {4, {0, 100, 200, 400}, {2000, 1400, 1095, 195}};
    VmfReuse late;

    vmf_reuse_since(&now, &before, &late);
    assert_int_equal(late.n, 4);
    assert_true(late.wire[0] == 1000 && late.wire[1] == 400);
    assert_true(late.wire[2] == 95 && late.wire[3] == 95);
    assert_in_range(vmf_reuse_recommend(&late, 1000), 200, 215);
    assert_int_equal(vmf_reuse_recommend(&late, 50), 50);
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
test_plan_of_parallel_connections(void **state)
{
    VmfFacts facts;
    g_autofree VmfPlan *plan = g_new0(VmfPlan, 1);

    counter_facts(&facts);
    facts.parallel = TRUE;
    assert_true(vmf_plan_make(&facts, vmf_policy_default(), 0, NULL, plan));
    for (guint i = 0; i < plan->n; i++)
        assert_false(plan->choices[i].setting.delta);
}

/* Harder on a thin link, and not at all where the link takes more than can be packed. */
static void
test_plan_packs_as_the_link_is(void **state)
{
    static const struct {
        double link; /* bytes/s */
        guint level;
    } cases[] = {{24 * MIB, 3}, {64 * MIB, 1}, {120 * MIB, 1}, {200 * MIB, 0}, {1000 * MIB, 0}};
    VmfFacts facts;
    g_autofree VmfPlan *plan = g_new0(VmfPlan, 1);

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        counter_facts(&facts);
        facts.zstd = TRUE;
        facts.packed_ratio = facts.delta_ratio * facts.whole_ratio;
        facts.link_rate = cases[i].link;
        assert_true(vmf_plan_make(&facts, vmf_policy_default(), 0, NULL, plan));
        assert_int_equal(vmf_plan_get_level(plan, &facts), cases[i].level);
    }
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
        cmocka_unit_test(test_packers),
        cmocka_unit_test(test_sets_in_words),
        cmocka_unit_test(test_working_set),
        cmocka_unit_test(test_a_full_set_stays_full),
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_reuse_of_late),
        cmocka_unit_test(test_prediction_has_the_cliff),
        cmocka_unit_test(test_plan_takes_what_converges),
        cmocka_unit_test(test_plan_keeps_to_its_limits),
        cmocka_unit_test(test_plan_of_parallel_connections),
        cmocka_unit_test(test_plan_packs_as_the_link_is),
        cmocka_unit_test(test_plan_for_an_idle_guest_is_cheap),
        cmocka_unit_test(test_cache_ahead),
        cmocka_unit_test(test_decisions_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
