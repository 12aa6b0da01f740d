/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The page cache: what is sent how, what is kept, and that memory is given back. */
#include "cmocka-all.h"

#include <string.h>

#include "delta/page-cache.h"

#define PAGE 4096u

static void
fill(uint8_t *page, uint8_t value)
{
    for (guint i = 0; i < PAGE; i++)
        page[i] = (uint8_t)(value + i);
}

static void
test_whole_equal_delta(void **state)
{
    g_autoptr(VmfPageCache) cache = vmf_page_cache_new(PAGE, 1 << 20);
    uint8_t page[PAGE], out[PAGE];
    VmfPageCacheFigures figures;
    size_t length;

    fill(page, 1);
    assert_int_equal(vmf_page_cache_encode(cache, 7, page, out, PAGE, &length), VMF_CODED_WHOLE);
    assert_int_equal(vmf_page_cache_encode(cache, 7, page, out, PAGE, &length), VMF_CODED_EQUAL);
    page[100] ^= 0xff;
    assert_int_equal(vmf_page_cache_encode(cache, 7, page, out, PAGE, &length), VMF_CODED_DELTA);
    assert_int_equal(length, 3);
    assert_memory_equal(out, ((uint8_t[]){100, 1, page[100]}), 3);
    assert_int_equal(vmf_page_cache_encode(cache, 7, page, out, PAGE, &length), VMF_CODED_EQUAL);
    fill(page, 2);
    assert_int_equal(vmf_page_cache_encode(cache, 7, page, out, PAGE, &length), VMF_CODED_WHOLE);
    assert_int_equal(vmf_page_cache_encode(cache, 7, page, out, PAGE, &length), VMF_CODED_EQUAL);
    vmf_page_cache_drop(cache, 7);
    assert_int_equal(vmf_page_cache_encode(cache, 7, page, out, PAGE, &length), VMF_CODED_WHOLE);
    vmf_page_cache_figures(cache, &figures);
    assert_int_equal(figures.hits, 5);
    assert_int_equal(figures.equal, 3);
    assert_int_equal(figures.too_large, 1);
    assert_int_equal(figures.misses, 2);
    assert_int_equal(figures.first, 1);
    assert_int_equal(figures.used, PAGE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_equal_delta),
    };

    return cmocka_run_group_tests_name("page-cache", tests, NULL, NULL);
}
