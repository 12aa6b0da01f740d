/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The page cache: what is sent how, what is kept, and that memory is given back. */
#include "cmocka-all.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "delta/page-cache.h"

#define PAGE 4096u
#define MIB (1u << 20)

static void
fill(uint8_t *page, uint64_t value)
{
    for (guint i = 0; i < PAGE / 8; i++) {
        value = value * G_GUINT64_CONSTANT(6364136223846793005) + 1;
        memcpy(page + 8 * i, &value, sizeof value);
    }
}

/* Sends the page that `fill` makes of the key, with `change` in one byte. */
static VmfCoded
send_page(VmfPageCache *cache, uint64_t key, uint8_t change)
{
    uint8_t page[PAGE], out[PAGE];
    size_t length;

    fill(page, key);
    page[9] = change;
    return vmf_page_cache_encode(cache, key, page, out, PAGE, &length);
}

static VmfPageCacheFigures
figures_of(const VmfPageCache *cache)
{
    VmfPageCacheFigures figures;

    vmf_page_cache_figures(cache, &figures);
    return figures;
}

static void
test_whole_equal_delta(void **state)
{
    g_autoptr(VmfPageCache) cache = vmf_page_cache_new(PAGE, MIB);
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
    assert_int_equal(length, 0);
    assert_int_equal(vmf_page_cache_encode(cache, 7, page, out, PAGE, &length), VMF_CODED_EQUAL);
    vmf_page_cache_drop(cache, 7);
    assert_int_equal(vmf_page_cache_encode(cache, 7, page, out, PAGE, &length), VMF_CODED_WHOLE);
    figures = figures_of(cache);
    assert_int_equal(figures.hits, 5);
    assert_int_equal(figures.equal, 3);
    assert_int_equal(figures.too_large, 1);
    assert_int_equal(figures.delta_bytes, 3);
    assert_int_equal(figures.misses, 2);
    assert_int_equal(figures.first, 1);
    assert_int_equal(figures.used, PAGE);
    assert_int_equal(figures.limit, MIB);
}

static void
test_pages_of_zeros_take_nothing(void **state)
{
    g_autoptr(VmfPageCache) cache = vmf_page_cache_new(PAGE, MIB);
    uint8_t page[PAGE] = {0}, out[PAGE];
    size_t length;

    vmf_page_cache_encode(cache, 1, page, out, PAGE, &length);
    assert_int_equal(figures_of(cache).used, 0);
    assert_int_equal(send_page(cache, 1, 0), VMF_CODED_WHOLE);
    assert_int_equal(figures_of(cache).used, PAGE);
    assert_int_equal(vmf_page_cache_encode(cache, 1, page, out, PAGE, &length), VMF_CODED_WHOLE);
    assert_int_equal(figures_of(cache).used, 0);
    /* few bytes stay, then none: as a delta, and it still takes nothing */
    page[8] = 1;
    vmf_page_cache_encode(cache, 1, page, out, PAGE, &length);
    page[8] = 0;
    assert_int_equal(vmf_page_cache_encode(cache, 1, page, out, PAGE, &length), VMF_CODED_DELTA);
    assert_int_equal(figures_of(cache).used, 0);
}

static void
test_no_memory_no_pages(void **state)
{
    g_autoptr(VmfPageCache) cache = vmf_page_cache_new(PAGE, 0);

    assert_int_equal(send_page(cache, 1, 0), VMF_CODED_WHOLE);
    assert_int_equal(send_page(cache, 1, 0), VMF_CODED_WHOLE);
    assert_int_equal(figures_of(cache).used, 0);
    vmf_page_cache_set_limit(cache, PAGE - 1);
    assert_int_equal(send_page(cache, 1, 0), VMF_CODED_WHOLE);
    vmf_page_cache_set_limit(cache, PAGE);
    assert_int_equal(send_page(cache, 1, 0), VMF_CODED_WHOLE);
    assert_int_equal(send_page(cache, 1, 0), VMF_CODED_EQUAL);
    assert_int_equal(figures_of(cache).used, PAGE);
}

static guint
count_hits(VmfPageCache *cache, uint64_t first, guint count, uint8_t change)
{
    uint64_t before = figures_of(cache).hits;

    for (guint i = 0; i < count; i++)
        send_page(cache, first + i, change);
    return (guint)(figures_of(cache).hits - before);
}

/* Pages that come in every pass are kept while four times as many pass once. */
static void
test_a_pass_does_not_flush(void **state)
{
    g_autoptr(VmfPageCache) cache = vmf_page_cache_new(PAGE, 1000 * PAGE);
    guint hits = 0;

    for (uint8_t pass = 0; pass < 4; pass++) {
        hits = count_hits(cache, 0, 800, pass);
        count_hits(cache, 10000 + pass * 4000u, 4000, pass);
    }
    assert_in_range(hits, 780, 800);

    /* and when there is not room for all, some of them */
    vmf_page_cache_set_limit(cache, 400 * PAGE);
    for (uint8_t pass = 0; pass < 4; pass++)
        hits = count_hits(cache, 0, 800, pass);
    assert_in_range(hits, 380, 400);
}

/* What came often and stopped coming makes room for what comes now. */
static void
test_a_working_set_moves(void **state)
{
    g_autoptr(VmfPageCache) cache = vmf_page_cache_new(PAGE, 1000 * PAGE);
    guint hits = 0;

    for (uint8_t pass = 0; pass < 30; pass++)
        count_hits(cache, 0, 900, pass);
    for (uint8_t pass = 0; pass < 12; pass++)
        hits = count_hits(cache, 5000, 900, pass);
    assert_in_range(hits, 850, 900);
}

static uint64_t
resident_bytes(void)
{
    g_autofree char *said = NULL;
    guint64 pages = 0;

    assert_true(g_file_get_contents("/proc/self/statm", &said, NULL, NULL));
    assert_int_equal(sscanf(said, "%*u %" G_GUINT64_FORMAT, &pages), 1);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void
test_memory_is_given_back(void **state)
{
    g_autoptr(VmfPageCache) cache = vmf_page_cache_new(PAGE, 64 * MIB);
    const guint pages = 64 * MIB / PAGE;
    uint64_t empty = resident_bytes(), full;

    count_hits(cache, 0, pages, 1);
    assert_int_equal(figures_of(cache).used, 64 * MIB);
    full = resident_bytes();
    assert_true(full > empty + 60 * MIB);
    vmf_page_cache_set_limit(cache, 16 * MIB);
    assert_int_equal(figures_of(cache).used, 16 * MIB);
    assert_true(resident_bytes() + 46 * MIB < full);
    assert_int_equal(count_hits(cache, 0, pages, 1), pages / 4);
    vmf_page_cache_set_limit(cache, 32 * MIB);
    assert_int_equal(count_hits(cache, 0, pages, 1), pages / 4);
    assert_in_range(count_hits(cache, 0, pages, 1), pages * 9 / 20, pages / 2);
    vmf_page_cache_clear(cache);
    assert_int_equal(figures_of(cache).used, 0);
    assert_true(resident_bytes() + 60 * MIB < full);
}

/* Shrinking keeps what comes often, not what stands in front. */
static void
test_shrinking_keeps_the_best(void **state)
{
    g_autoptr(VmfPageCache) cache = vmf_page_cache_new(PAGE, 4000 * PAGE);

    count_hits(cache, 0, 4000, 0);
    for (uint8_t pass = 1; pass < 4; pass++)
        count_hits(cache, 3000, 500, pass);
    vmf_page_cache_set_limit(cache, 500 * PAGE);
    assert_int_equal(count_hits(cache, 3000, 500, 9), 500);
    assert_int_equal(figures_of(cache).evictions, 3500);
    vmf_page_cache_set_limit(cache, 0);
    assert_int_equal(figures_of(cache).used, 0);
    assert_int_equal(figures_of(cache).evictions, 4000);
}

static void
test_dropping(void **state)
{
    g_autoptr(VmfPageCache) cache = vmf_page_cache_new(PAGE, 64 * MIB);

    count_hits(cache, 0, 3000, 0);
    vmf_page_cache_drop(cache, 5);
    vmf_page_cache_drop(cache, 5);
    vmf_page_cache_drop(cache, vmf_page_key(4000, 1));
    vmf_page_cache_drop_range(cache, 1000, 1500);
    assert_int_equal(figures_of(cache).used, (3000 - 1 - 1500) * PAGE);
    assert_int_equal(count_hits(cache, 0, 3000, 0), 3000 - 1 - 1500);
    vmf_page_cache_drop_range(cache, 0, UINT64_MAX);
    assert_int_equal(figures_of(cache).used, 0);
}

/* What the other side has. */
typedef struct {
    uint8_t pages[600][PAGE];
    gboolean known[600];
} Mirror;

static void
check_one_send(VmfPageCache *cache, Mirror *mirror, GRand *rand)
{
    guint key = (guint)g_rand_int_range(rand, 0, 600),
          changes = 1u << g_rand_int_range(rand, 0, 11);
    uint8_t page[PAGE], out[PAGE];
    size_t length, room = g_rand_int_range(rand, 0, 4) ? PAGE : 100;

    memcpy(page, mirror->pages[key], PAGE);
    while (changes-- > 1)
        page[g_rand_int_range(rand, 0, PAGE)] = (uint8_t)g_rand_int(rand);
    if (g_rand_int_range(rand, 0, 40) == 0)
        memset(page, 0, PAGE);
    if (g_rand_int_range(rand, 0, 3) > 0)
        vmf_page_cache_expect(cache, (guint)g_rand_int_range(rand, 0, 600), page);
    switch (vmf_page_cache_encode(cache, key, page, out, room, &length)) {
    case VMF_CODED_DELTA:
        assert_true(mirror->known[key]);
        assert_in_range(length, 1, room);
        assert_true(vmf_xbzrle_apply(out, length, mirror->pages[key], PAGE));
        assert_memory_equal(mirror->pages[key], page, PAGE);
        break;
    case VMF_CODED_EQUAL:
        assert_true(mirror->known[key]);
        assert_memory_equal(mirror->pages[key], page, PAGE);
        break;
    case VMF_CODED_WHOLE:
        memcpy(mirror->pages[key], page, PAGE);
        mirror->known[key] = TRUE;
        break;
    }
}

/* Sends, drops and new limits at random: the other side always comes to the same content. */
static void
test_the_other_side_has_the_same(void **state)
{
    g_autoptr(VmfPageCache) cache = vmf_page_cache_new(PAGE, 300 * PAGE);
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);
    g_autofree Mirror *mirror = g_new0(Mirror, 1);
    VmfPageCacheFigures figures;

    for (guint round = 0; round < 60000; round++) {
        guint key = (guint)g_rand_int_range(rand, 0, 600),
              what = (guint)g_rand_int_range(rand, 0, 500);

        if (what == 0)
            vmf_page_cache_set_limit(cache, (uint64_t)g_rand_int_range(rand, 0, 700) * PAGE);
        else if (what == 1 && g_rand_int_range(rand, 0, 20) == 0)
            vmf_page_cache_clear(cache);
        else if (what == 2)
            vmf_page_cache_drop_range(cache, key, (uint64_t)g_rand_int_range(rand, 0, 50));
        else if (what < 10)
            vmf_page_cache_drop(cache, key);
        else
            check_one_send(cache, mirror, rand);
        figures = figures_of(cache);
        assert_true(figures.used <= figures.limit);
    }
    assert_true(figures.hits > 10000 && figures.misses > 10000 && figures.evictions > 1000);
    assert_true(figures.equal > 500 && figures.too_large > 500);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_equal_delta),
        cmocka_unit_test(test_pages_of_zeros_take_nothing),
        cmocka_unit_test(test_no_memory_no_pages),
        cmocka_unit_test(test_a_pass_does_not_flush),
        cmocka_unit_test(test_a_working_set_moves),
        cmocka_unit_test(test_memory_is_given_back),
        cmocka_unit_test(test_shrinking_keeps_the_best),
        cmocka_unit_test(test_dropping),
        cmocka_unit_test(test_the_other_side_has_the_same),
    };

    return cmocka_run_group_tests_name("page-cache", tests, NULL, NULL);
}
