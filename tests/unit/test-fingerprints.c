/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka-all.h"

#include <string.h>

#include "delta/fingerprints.h"

#define PAGE 4096u

static void
test_equal_pages_are_found(void **state)
{
    g_autoptr(VmfFingerprints) prints = vmf_fingerprints_new(PAGE, NULL);
    uint8_t page[PAGE] = {0};
    uint64_t key = vmf_page_key(3, 5000);

    assert_false(vmf_fingerprints_put_zero(prints, key));
    assert_true(vmf_fingerprints_put(prints, key, page));
    assert_true(vmf_fingerprints_match(prints, key, page));
    assert_false(vmf_fingerprints_match(prints, key + 7, page));
    page[PAGE - 1] = 1;
    assert_false(vmf_fingerprints_put(prints, key, page));
    assert_true(vmf_fingerprints_put(prints, key, page));
    assert_false(vmf_fingerprints_put(prints, key + 1, page));
    assert_false(vmf_fingerprints_put_zero(prints, key));
    assert_false(vmf_fingerprints_put(prints, key, page));
}

static void
test_forgetting(void **state)
{
    g_autoptr(VmfFingerprints) prints = vmf_fingerprints_new(PAGE, NULL);
    uint8_t page[PAGE] = {1};
    const uint64_t first = vmf_page_key(1, 0);

    for (uint64_t i = 0; i < 5000; i++)
        assert_false(vmf_fingerprints_put(prints, first + i, page));
    assert_int_equal(vmf_fingerprints_put(prints, first + 5000, page), FALSE);
    vmf_fingerprints_forget(prints, first + 4);
    vmf_fingerprints_forget_range(prints, first + 1000, 3000);
    vmf_fingerprints_forget_range(prints, 0, UINT64_MAX >> 24);
    vmf_fingerprints_forget(prints, vmf_page_key(9, 9));
    for (uint64_t i = 0; i < 5000; i++)
        assert_int_equal(vmf_fingerprints_put(prints, first + i, page),
                         i != 4 && (i < 1000 || i >= 4000));
    assert_true(vmf_fingerprints_size(prints) >= 5000 * 16);
    vmf_fingerprints_clear(prints);
    assert_int_equal(vmf_fingerprints_size(prints), 0);
    assert_false(vmf_fingerprints_put(prints, first, page));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_pages_are_found),
        cmocka_unit_test(test_forgetting),
    };

    return cmocka_run_group_tests_name("fingerprints", tests, NULL, NULL);
}
