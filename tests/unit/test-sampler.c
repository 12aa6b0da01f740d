/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka-all.h"

#include <math.h>

#include "delta/sampler.h"

#define PAGE 4096u
#define CURVE 50u

/* Pages in a circle: a cache that holds fewer misses all, one that holds all hits all. */
static void
test_a_loop(void **state)
{
    g_autoptr(VmfSampler) sampler = vmf_sampler_new(PAGE);
    const uint64_t pages = 50000;

    assert_true(vmf_sampler_miss_ratio(sampler, 1 << 30) == 1);
    for (guint pass = 0; pass < 4; pass++)
        for (uint64_t i = 0; i < pages; i++)
            vmf_sampler_put(sampler, i);
    assert_true(vmf_sampler_miss_ratio(sampler, pages * PAGE * 9 / 10) > 0.98);
    assert_true(vmf_sampler_miss_ratio(sampler, pages * PAGE * 11 / 10) < 0.02);
    assert_in_range(vmf_sampler_repeats(sampler), pages * 3 * 9 / 10, pages * 3 * 11 / 10);
}

/* Pages at random: a cache hits the share of them that it holds. */
static void
check_random_pages(VmfSampler *sampler, uint64_t pages)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(5);

    /* while pages are new, distances are shorter: let them all come first */
    for (uint64_t i = 0; i < 12 * pages; i++) {
        if (i == 4 * pages)
            vmf_sampler_age(sampler, 0);
        vmf_sampler_put(sampler, vmf_page_key(2, (uint64_t)g_rand_int_range(rand, 0, (gint)pages)));
    }
    for (guint percent = 5; percent < 100; percent += 5) {
        double found = vmf_sampler_miss_ratio(sampler, pages * PAGE / 100 * percent);

        if (fabs(found - (1 - percent / 100.0)) > 0.02)
            fail_msg("%u of 100 pages: miss ratio %f", percent, found);
    }
}

static void
test_random_pages(void **state)
{
    g_autoptr(VmfSampler) sampler = vmf_sampler_new(PAGE);

    check_random_pages(sampler, 20000);
}

/* More than are followed: the share of all that is followed falls. */
static void
test_many_pages(void **state)
{
    g_autoptr(VmfSampler) sampler = vmf_sampler_new(PAGE);

    check_random_pages(sampler, 400000);
}

static void
test_curve(void **state)
{
    g_autoptr(VmfSampler) sampler = vmf_sampler_new(PAGE);
    VmfSamplerPoint points[CURVE];
    guint count;

    assert_int_equal(vmf_sampler_curve(sampler, points, CURVE), 0);
    check_random_pages(sampler, 20000);
    count = vmf_sampler_curve(sampler, points, CURVE);
    assert_in_range(count, CURVE / 2, CURVE);
    assert_int_equal(points[0].bytes, 0);
    assert_true(points[0].miss_ratio > 0.99);
    assert_true(points[count - 1].miss_ratio < 0.03);
    for (guint i = 1; i < count; i++) {
        assert_true(points[i].bytes > points[i - 1].bytes);
        assert_true(points[i].miss_ratio <= points[i - 1].miss_ratio);
        assert_true(fabs(points[i].miss_ratio - vmf_sampler_miss_ratio(sampler, points[i].bytes)) <
                    0.01);
    }
}

/* A guest that changes its ways: what was before weighs less. */
static void
test_ageing(void **state)
{
    g_autoptr(VmfSampler) sampler = vmf_sampler_new(PAGE);

    for (guint pass = 0; pass < 20; pass++)
        for (uint64_t i = 0; i < 20000; i++)
            vmf_sampler_put(sampler, i);
    vmf_sampler_age(sampler, 0.01);
    for (guint pass = 0; pass < 20; pass++)
        for (uint64_t i = 0; i < 5000; i++)
            vmf_sampler_put(sampler, i);
    assert_true(vmf_sampler_miss_ratio(sampler, 6000 * PAGE) < 0.1);
    assert_true(vmf_sampler_miss_ratio(sampler, 4000 * PAGE) > 0.9);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_loop),     cmocka_unit_test(test_random_pages),
        cmocka_unit_test(test_many_pages), cmocka_unit_test(test_curve),
        cmocka_unit_test(test_ageing),
    };

    return cmocka_run_group_tests_name("sampler", tests, NULL, NULL);
}
