/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka-all.h"

#include "base/error.h"
#include "daemon/uptake.h"

#define S G_USEC_PER_SEC
#define PATIENCE 60 /* s */

/* Figures that come every other second from `*now` on, for `seconds`; the first error. */
static GError *
run(VmfUptake *uptake, VmfState state, guint64 taken, guint64 kept, guint seconds, gint64 *now)
{
    GError *error = NULL;

    for (gint64 end = *now + seconds * S; *now < end && !error; *now += 2 * S) {
        GVariantDict dict;
        g_autoptr(GVariant) statistics = NULL;

        g_variant_dict_init(&dict, NULL);
        g_variant_dict_insert(&dict, "bytes-taken", "t", taken);
        g_variant_dict_insert(&dict, "bytes-kept", "t", kept);
        g_variant_dict_insert(&dict, "links", "u", 1);
        statistics = g_variant_ref_sink(g_variant_dict_end(&dict));
        error = vmf_uptake_note(uptake, state, PATIENCE, "hostb", statistics, *now);
    }
    return error;
}

static void
assert_given_up(GError *error)
{
    assert_non_null(error);
    assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_TIMED_OUT));
    assert_non_null(strstr(error->message, "hostb answers, but has taken nothing of the 2048 KiB"));
    g_error_free(error);
}

static void
test_nothing_is_taken(void **state)
{
    VmfUptake uptake = {0};
    gint64 now = 1000 * S;

    assert_null(run(&uptake, VMF_STATE_RUNNING, 5, 2 << 20, PATIENCE, &now));
    assert_given_up(run(&uptake, VMF_STATE_RUNNING, 5, 2 << 20, 4, &now));
}

/* However little. */
static void
test_something_is_taken(void **state)
{
    VmfUptake uptake = {0};
    gint64 now = 1000 * S;

    for (guint64 taken = 0; taken < 10; taken++)
        assert_null(run(&uptake, VMF_STATE_RUNNING, taken, 2 << 20, PATIENCE - 2, &now));
}

static void
test_nothing_waits(void **state)
{
    VmfUptake uptake = {0};
    gint64 now = 1000 * S;

    assert_null(run(&uptake, VMF_STATE_RUNNING, 5, 0, 10 * PATIENCE, &now));
    assert_null(run(&uptake, VMF_STATE_RUNNING, 5, 2 << 20, PATIENCE - 2, &now));
}

/* A guest that stands still has less time; one that runs there has all. */
static void
test_states(void **state)
{
    VmfUptake uptake = {0};
    gint64 now = 1000 * S;

    assert_null(run(&uptake, VMF_STATE_SWITCHING, 5, 2 << 20, VMF_UPTAKE_STILL, &now));
    assert_given_up(run(&uptake, VMF_STATE_SWITCHING, 5, 2 << 20, 4, &now));
    assert_null(run(&uptake, VMF_STATE_POSTCOPY, 5, 2 << 20, 100 * PATIENCE, &now));
}

/* Who stood still was us, or the link: it begins anew. */
static void
test_without_figures(void **state)
{
    VmfUptake uptake = {0};
    gint64 now = 1000 * S;

    assert_null(run(&uptake, VMF_STATE_RUNNING, 5, 2 << 20, 10, &now));
    now += 10 * PATIENCE * S;
    assert_null(run(&uptake, VMF_STATE_RUNNING, 5, 2 << 20, PATIENCE, &now));
    assert_given_up(run(&uptake, VMF_STATE_RUNNING, 5, 2 << 20, 4, &now));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_taken), cmocka_unit_test(test_something_is_taken),
        cmocka_unit_test(test_nothing_waits),    cmocka_unit_test(test_states),
        cmocka_unit_test(test_without_figures),
    };

    return cmocka_run_group_tests_name("uptake", tests, NULL, NULL);
}
