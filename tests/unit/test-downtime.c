/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka-all.h"

#include "daemon/downtime.h"

#define MIB (1024.0 * 1024)
#define LINK (24 * (guint64)MIB)

/* Four more samples, a second, at this efficiency; the link is full. */
static void
run(VmfDowntime *downtime, double efficiency)
{
    static VmfDowntimeSample sample;

    if (downtime->n == 0)
        sample = (VmfDowntimeSample){0};
    for (guint i = 0; i < 4; i++) {
        sample.time += 250000;
        sample.in += (guint64)(6 * MIB / efficiency);
        sample.out += (guint64)(6 * MIB);
        vmf_downtime_note_pump(downtime, &sample, LINK, 0, 512 * 1024);
    }
}

static void
test_nothing_known(void **state)
{
    VmfDowntime downtime;

    vmf_downtime_init(&downtime, 300);
    assert_int_equal(vmf_downtime_decide(&downtime), VMF_DOWNTIME_HELD);
    vmf_downtime_note_job(&downtime, 0, 1000);
    assert_int_equal(vmf_downtime_decide(&downtime), VMF_DOWNTIME_HELD);
    assert_true(vmf_downtime_efficiency(&downtime) == 1);
}

/* QEMU's threshold, its rate times the limit, is what gets over the wire in the allowed time. */
static void
test_raised_when_it_fits(void **state)
{
    static const double efficiencies[] = {1, 0.5, 0.1};

    for (guint i = 0; i < G_N_ELEMENTS(efficiencies); i++) {
        double efficiency = efficiencies[i];
        VmfDowntime downtime;
        double threshold;

        vmf_downtime_init(&downtime, 300);
        run(&downtime, efficiency);
        run(&downtime, efficiency);
        vmf_downtime_note_job(&downtime, (guint64)(7 * MIB / efficiency),
                              (guint64)(24 * MIB / efficiency));
        assert_int_equal(vmf_downtime_decide(&downtime), VMF_DOWNTIME_HELD);
        vmf_downtime_note_job(&downtime, (guint64)(4 * MIB / efficiency),
                              (guint64)(24 * MIB / efficiency));
        threshold = vmf_downtime_decide(&downtime) / 1000.0 * 24 * MIB / efficiency;
        assert_true(threshold <= 7 * MIB / efficiency / 1.25); /* even if QEMU saw a spike */
        assert_true(threshold >= 4 * MIB / efficiency);
        /* at the end of a pass QEMU finds more again: that is for it to compare */
        vmf_downtime_note_job(&downtime, (guint64)(70 * MIB / efficiency),
                              (guint64)(24 * MIB / efficiency));
        assert_int_not_equal(vmf_downtime_decide(&downtime), VMF_DOWNTIME_HELD);
    }
}

/* The worst of the last two seconds counts, and not the average. */
static void
test_worst_of_late(void **state)
{
    VmfDowntime downtime;

    vmf_downtime_init(&downtime, 300);
    run(&downtime, 0.1);
    run(&downtime, 0.1);
    assert_true(vmf_downtime_efficiency(&downtime) < 0.11);
    run(&downtime, 0.9);
    assert_true(vmf_downtime_efficiency(&downtime) > 0.89);
    run(&downtime, 0.1);
    assert_true(vmf_downtime_efficiency(&downtime) > 0.89);
    run(&downtime, 0.1);
    run(&downtime, 0.1);
    assert_true(vmf_downtime_efficiency(&downtime) < 0.11);
}

/* Pages that stop being compressible while QEMU could stop the guest: it is held back again. */
static void
test_taken_back(void **state)
{
    VmfDowntime downtime;

    vmf_downtime_init(&downtime, 300);
    run(&downtime, 0.1);
    run(&downtime, 0.1);
    vmf_downtime_note_job(&downtime, (guint64)(20 * MIB), (guint64)(100 * MIB));
    assert_int_not_equal(vmf_downtime_decide(&downtime), VMF_DOWNTIME_HELD);
    run(&downtime, 1);
    assert_int_equal(vmf_downtime_decide(&downtime), VMF_DOWNTIME_HELD);
    vmf_downtime_note_job(&downtime, (guint64)(2 * MIB), (guint64)(30 * MIB));
    assert_int_not_equal(vmf_downtime_decide(&downtime), VMF_DOWNTIME_HELD);
}

/* Never more than what was allowed, whatever QEMU's rate. */
static void
test_bound(void **state)
{
    VmfDowntime downtime;

    vmf_downtime_init(&downtime, 50);
    run(&downtime, 0.02);
    run(&downtime, 0.02);
    vmf_downtime_note_job(&downtime, 0, 1000);
    assert_in_range(vmf_downtime_decide(&downtime), 30, 50);
    vmf_downtime_note_job(&downtime, 0, G_MAXUINT64 / 2);
    assert_int_equal(vmf_downtime_decide(&downtime), VMF_DOWNTIME_HELD);
}

/* The rate that the pump saw for a moment, a burst, is not what the link takes; and what waits in
 * the pump has to get over first. */
static void
test_burst(void **state)
{
    VmfDowntimeSample sample = {0};
    VmfDowntime downtime;

    vmf_downtime_init(&downtime, 300);
    for (guint i = 0; i < 8; i++) {
        sample.time += 250000;
        sample.in += (guint64)(6 * MIB);
        sample.out += (guint64)(6 * MIB);
        vmf_downtime_note_pump(&downtime, &sample, 2 * LINK, (guint64)MIB / 2, 3 * (guint64)MIB);
    }
    vmf_downtime_note_job(&downtime, (guint64)(4 * MIB), LINK);
    assert_int_equal(vmf_downtime_decide(&downtime), VMF_DOWNTIME_HELD);
    vmf_downtime_note_job(&downtime, (guint64)(3 * MIB), LINK);
    assert_int_not_equal(vmf_downtime_decide(&downtime), VMF_DOWNTIME_HELD);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_known), cmocka_unit_test(test_raised_when_it_fits),
        cmocka_unit_test(test_worst_of_late), cmocka_unit_test(test_taken_back),
        cmocka_unit_test(test_bound),         cmocka_unit_test(test_burst),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
