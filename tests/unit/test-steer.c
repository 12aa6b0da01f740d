/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules that hold during a migration, one by one; tests/sim shows what they come to. */
#include "cmocka-all.h"

#include "policy/decision.h"
#include "policy/steer.h"

#define MIB (1024.0 * 1024)
#define MIBU (1ull << 20)
#define S G_USEC_PER_SEC

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

/* Other migrations have the rest of it. */
static void
test_a_cache_grows_as_far_as_there_is_memory(void **state)
{
    Ride *ride = ride_new(FALSE);

    ride->start.cache_size = 16 * MIBU;
    ride->seen.cache_most = 40 * MIBU;
    ride_on(ride, 0, 1, 256);
    ride_on(ride, 5, 2, 160);
    assert_action(ride, VMF_ACTION_CACHE, 40 * MIBU);
    ride->seen.cache_most = 100 * MIBU; /* one of them is over */
    ride_on(ride, 3, 3, 160);
    assert_action(ride, VMF_ACTION_CACHE, 100 * MIBU);
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
test_memory_is_given_to_others(void **state)
{
    Ride *ride = ride_new(FALSE);

    ride->start.cache_size = 160 * MIBU;
    ride->seen.cache_most = 160 * MIBU;
    ride_on(ride, 0, 1, 256);
    ride->seen.cache_most = 100 * MIBU;
    ride_on(ride, 1, 1, 206);
    assert_action(ride, VMF_ACTION_CACHE, 100 * MIBU);
    assert_last_rule(ride, "memory-budget");
    ride->seen.under_pressure = TRUE;
    ride_on(ride, 3, 2, 160);
    assert_action(ride, VMF_ACTION_CACHE, 50 * MIBU);
    assert_last_rule(ride, "memory-pressure");
    ride_free(ride);
}

/* To pass 5, and nothing was in the cache. */
static void
ride_in_vain(Ride *ride)
{
    ride->policy.downtime_step = 0;
    for (guint pass = 1; pass <= 5 && !ride->n; pass++) {
        ride_on(ride, 3, pass, 160);
        ride->seen.again += 40000;
        ride->seen.misses += 40000;
    }
}

static void
test_a_cache_that_finds_nothing(void **state)
{
    Ride *ride = ride_new(FALSE);

    ride->start.cache_size = ride->start.cache_most = 16 * MIBU;
    ride_in_vain(ride);
    assert_action(ride, VMF_ACTION_DELTA, 0);
    assert_last_rule(ride, "delta-does-not-pay");
    ride_free(ride);
}

/* With all that the policy allows it may well find something, when there is room for it. */
static void
test_a_cache_that_could_not_find_more(void **state)
{
    Ride *ride = ride_new(FALSE);

    ride->start.cache_size = ride->seen.cache_most = 1;
    ride_in_vain(ride);
    assert_int_equal(ride->n, 0);
    assert_int_equal(ride->decisions->len, 0);
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

/* More would not be over in time. */
static void
test_downtime_ends_at_the_deadline(void **state)
{
    Ride *ride = ride_new(TRUE);

    ride->policy.deadline = 15;
    ride->policy.on_deadline = VMF_DEADLINE_ABORT;
    ride->policy.downtime_step = 3000;
    ride->policy.downtime_max = 30000;
    ride->start.cache_size = 256 * MIBU;
    ride_on(ride, 0, 1, 256);
    ride_on(ride, 5, 2, 160);
    ride_on(ride, 3, 3, 160);
    assert_action(ride, VMF_ACTION_DOWNTIME, 3300);
    ride_on(ride, 4, 4, 160); /* 12 s */
    assert_action(ride, VMF_ACTION_DOWNTIME, 3000);
    ride_free(ride);
}

/* Passes that begin with little are left alone, but not for ever. */
static void
test_an_end_that_only_seems_near(void **state)
{
    Ride *ride = ride_new(TRUE);
    guint64 cache = 0;

    ride->policy.downtime_step = 0;
    ride->start.cache_size = 16 * MIBU;
    ride_on(ride, 0, 1, 256);
    ride_on(ride, 5, 2, 25);
    assert_int_equal(ride->n, 0);
    for (guint pass = 3; pass < 12; pass++) {
        ride_on(ride, 0.5, pass, 25);
        cache = ride->n ? ride->actions[0].value : cache;
    }
    assert_int_equal(cache, 32 * MIBU);
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_native_cache_holds_the_set),
        cmocka_unit_test(test_a_cache_grows_as_far_as_there_is_memory),
        cmocka_unit_test(test_native_cache_that_is_seen_later),
        cmocka_unit_test(test_a_fixed_cache_stays_and_that_is_said),
        cmocka_unit_test(test_native_cache_at_once_when_measured),
        cmocka_unit_test(test_native_cache_keeps_to_budget),
        cmocka_unit_test(test_one_change_per_pass),
        cmocka_unit_test(test_memory_is_given_back),
        cmocka_unit_test(test_memory_is_given_to_others),
        cmocka_unit_test(test_a_cache_that_finds_nothing),
        cmocka_unit_test(test_a_cache_that_could_not_find_more),
        cmocka_unit_test(test_deltas_that_do_not_pay),
        cmocka_unit_test(test_downtime_rises_by_steps),
        cmocka_unit_test(test_downtime_ends_at_the_deadline),
        cmocka_unit_test(test_an_end_that_only_seems_near),
        cmocka_unit_test(test_switchover_in_time),
        cmocka_unit_test(test_other_ends),
        cmocka_unit_test(test_nothing_is_done_while_the_link_stalls),
        cmocka_unit_test(test_progress_is_honest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
