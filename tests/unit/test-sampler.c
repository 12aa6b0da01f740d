/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka-all.h"

#include "delta/sampler.h"

#define PAGE 4096u

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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_loop),
    };

    return cmocka_run_group_tests_name("sampler", tests, NULL, NULL);
}
