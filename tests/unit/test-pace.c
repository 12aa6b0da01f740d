/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bound on a rate, with a clock of our own. */
#include "cmocka-all.h"

#include "link/pace.h"

#define MIB (1024 * 1024)
#define SECOND G_USEC_PER_SEC

/*
 * Sends as much as it may for `time` µs, waking up when told, `late` µs too late each time.
 * Returns the bytes; in *burst the most that went at once, in *turns how often it woke up.
 */
static guint64
send_all(VmfPace *pace, gint64 *now, gint64 time, gint64 late, gsize *burst, guint *turns)
{
    gint64 end = *now + time;
    guint64 sent = 0;

    *burst = 0;
    *turns = 0;
    while (*now < end) {
        gsize room = vmf_pace_room(pace, *now);
        gint64 next;

        assert_true(room > 0);
        vmf_pace_spend(pace, room, *now);
        sent += room;
        *burst = MAX(*burst, room);
        ++*turns;
        next = vmf_pace_next(pace, *now);
        assert_true(next > *now);
        *now = next + late;
    }
    return sent;
}

static void
test_no_bound(void **state)
{
    VmfPace pace = {0};

    assert_int_equal(vmf_pace_room(&pace, 5), G_MAXSIZE);
    vmf_pace_spend(&pace, 1000 * MIB, 5);
    assert_int_equal(vmf_pace_room(&pace, 5), G_MAXSIZE);
    assert_int_equal(vmf_pace_next(&pace, 5), -1);
}

static void
test_rate_is_met_and_smooth(void **state)
{
    const guint64 rates[] = {100 * 1024, MIB, 10 * MIB, 100 * MIB, 5000ull * MIB};

    for (guint i = 0; i < G_N_ELEMENTS(rates); i++) {
        for (gint64 late = 0; late <= 10000; late += 2000) {
            VmfPace pace = {0};
            gint64 now = 77 * SECOND;
            guint64 sent;
            gsize burst;
            guint turns;

            vmf_pace_set_rate(&pace, rates[i], now);
            now += SECOND; /* a full bucket, and not a full second */
            sent = send_all(&pace, &now, 10 * (gint64)SECOND, late, &burst, &turns);
            assert_in_range(sent, rates[i] * 10 * 98 / 100,
                            rates[i] * 10 * 102 / 100 + 2 * VMF_PACE_LEAST);
            assert_true(burst <= MAX(rates[i] / 50, VMF_PACE_LEAST));
            assert_true(turns <= 10 * 200 + 1); /* no busy waiting */
        }
    }
}

static void
test_rest_is_not_saved_up(void **state)
{
    VmfPace pace = {0};
    gint64 now = SECOND;

    vmf_pace_set_rate(&pace, 100 * MIB, now);
    assert_int_equal(vmf_pace_room(&pace, now + (gint64)3600 * SECOND), 2 * MIB);
}

static void
test_changed_while_running(void **state)
{
    VmfPace pace = {0};
    gint64 now = SECOND;
    gsize burst;
    guint turns;
    guint64 sent;

    vmf_pace_set_rate(&pace, 10 * MIB, now);
    now += SECOND;
    (void)send_all(&pace, &now, SECOND, 0, &burst, &turns);
    vmf_pace_set_rate(&pace, 40 * MIB, now);
    now = MAX(vmf_pace_next(&pace, now), now);
    sent = send_all(&pace, &now, SECOND, 0, &burst, &turns);
    assert_in_range(sent, 39 * MIB, 41 * MIB);
    vmf_pace_set_rate(&pace, MIB, now);
    now = MAX(vmf_pace_next(&pace, now), now);
    sent = send_all(&pace, &now, 10 * (gint64)SECOND, 0, &burst, &turns);
    assert_in_range(sent, 10 * MIB - MIB / 4, 10 * MIB + MIB);
    vmf_pace_set_rate(&pace, 0, now);
    assert_int_equal(vmf_pace_room(&pace, now), G_MAXSIZE);
}

/* What may not wait is sent all the same, and the rest waits for it. */
static void
test_debt(void **state)
{
    VmfPace pace = {0};
    gint64 now = SECOND;

    vmf_pace_set_rate(&pace, MIB, now);
    vmf_pace_spend(&pace, MIB, now);
    assert_int_equal(vmf_pace_room(&pace, now + SECOND / 2), 0);
    assert_in_range(vmf_pace_next(&pace, now), now + SECOND, now + SECOND + SECOND / 20);
    assert_true(vmf_pace_room(&pace, vmf_pace_next(&pace, now)) > 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_bound),
        cmocka_unit_test(test_rate_is_met_and_smooth),
        cmocka_unit_test(test_rest_is_not_saved_up),
        cmocka_unit_test(test_changed_while_running),
        cmocka_unit_test(test_debt),
    };

    return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
