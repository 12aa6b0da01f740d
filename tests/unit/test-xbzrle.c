/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every variant of the codec against a plain encoder that follows the format byte by byte, and the
 * decoder against a plain one. What is read and written ends before memory that must not be
 * touched. Also built for another architecture: tests/unit/xbzrle-neon.
 */
#include "cmocka-all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "delta/xbzrle.h"

#define PAGE_MAX VMF_XBZRLE_PAGE_MAX
#define OUT_MAX (2 * PAGE_MAX)
#define NEVER SIZE_MAX

static const size_t page_sizes[] = {4 << 10, 8 << 10, 16 << 10, 64 << 10};

/* Of the page size in use; each ends where memory ends. */
typedef struct {
    size_t page_size;
    uint8_t *old, *page, *rebuilt;
    uint8_t *out_end;
    uint8_t expected[OUT_MAX];
    uint64_t seed, cases;
} Rig;

static uint8_t *
guarded_end(size_t size)
{
    uint8_t *start =
        mmap(NULL, size + PAGE_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(start != MAP_FAILED);
    assert_int_equal(mprotect(start + size, PAGE_MAX, PROT_NONE), 0);
    return start + size;
}

static int
set_up(void **state)
{
    Rig *rig = calloc(1, sizeof *rig);

    rig->old = guarded_end(PAGE_MAX);
    rig->page = guarded_end(PAGE_MAX);
    rig->rebuilt = guarded_end(PAGE_MAX);
    rig->out_end = guarded_end(OUT_MAX);
    rig->seed = 1;
    *state = rig;
    return 0;
}

static int
tear_down(void **state)
{
    Rig *rig = *state;

    printf("# %llu cases\n", (unsigned long long)rig->cases);
    free(rig);
    return 0;
}

static uint32_t
random_below(Rig *rig, uint32_t bound)
{
    rig->seed = rig->seed * G_GUINT64_CONSTANT(6364136223846793005) + 1442695040888963407ull;
    return (uint32_t)((rig->seed >> 32) * bound >> 32);
}

/* A page of random bytes, twice. */
static void
start_page(Rig *rig, size_t page_size)
{
    rig->old += rig->page_size;
    rig->page += rig->page_size;
    rig->rebuilt += rig->page_size;
    rig->page_size = page_size;
    rig->old -= page_size;
    rig->page -= page_size;
    rig->rebuilt -= page_size;
    for (size_t i = 0; i < page_size; i++)
        rig->old[i] = (uint8_t)random_below(rig, 256);
    memcpy(rig->page, rig->old, page_size);
}

static void
change(Rig *rig, size_t at, size_t length)
{
    for (size_t i = at; i < at + length && i < rig->page_size; i++)
        rig->page[i] = (uint8_t)(rig->old[i] ^ (1 + random_below(rig, 255)));
}

static void
undo(Rig *rig)
{
    memcpy(rig->page, rig->old, rig->page_size);
}

static size_t
plain_number(uint8_t *to, size_t number)
{
    to[0] = (uint8_t)(number < 0x80 ? number : (number & 0x7f) | 0x80);
    to[1] = (uint8_t)(number >> 7);
    return number < 0x80 ? 1 : 2;
}

static void
need(size_t *needed, size_t length)
{
    *needed = MAX(*needed, length);
}

/* Returns the length; *ret_needed: in fewer bytes it is refused (NEVER: in any). */
static int
plain_encode(const Rig *rig, uint8_t *out, size_t *ret_needed)
{
    const uint8_t *old = rig->old, *page = rig->page;
    size_t at = 0, length = 0, start, end;

    *ret_needed = 0;
    while (at < rig->page_size) {
        need(ret_needed, length + 2);
        for (start = at; start < rig->page_size && old[start] == page[start]; start++)
            ;
        if (start == rig->page_size)
            break;
        while (start - at > VMF_XBZRLE_RUN_MAX) {
            size_t skip = MIN(VMF_XBZRLE_RUN_MAX, start - at - 2);

            length += plain_number(out + length, skip);
            length += plain_number(out + length, 1);
            out[length++] = page[at + skip];
            at += skip + 1;
        }
        length += plain_number(out + length, start - at);
        need(ret_needed, length + 2);
        for (end = start; end < rig->page_size && old[end] != page[end]; end++)
            ;
        if (end - start > VMF_XBZRLE_RUN_MAX)
            need(ret_needed, NEVER);
        length += plain_number(out + length, end - start);
        memcpy(out + length, page + start, end - start);
        length += end - start;
        need(ret_needed, length);
        at = end;
    }
    return (int)length;
}

static void
check_size(Rig *rig, const VmfXbzrle *codec, int length, size_t needed, size_t out_size)
{
    uint8_t *out = rig->out_end - out_size;
    int expected = out_size >= needed ? length : VMF_XBZRLE_TOO_LARGE;
    int found = vmf_xbzrle_encode(codec, rig->old, rig->page, rig->page_size, out, out_size);

    rig->cases++;
    if (found != expected)
        fail_msg("%s: page of %zu into %zu bytes: expected %d, found %d", vmf_xbzrle_name(codec),
                 rig->page_size, out_size, expected, found);
    if (expected > 0 && memcmp(out, rig->expected, (size_t)length) != 0)
        fail_msg("%s: page of %zu: another delta than the plain one", vmf_xbzrle_name(codec),
                 rig->page_size);
}

static void
check_decoder(Rig *rig, size_t length)
{
    uint8_t *data = rig->out_end - length;

    memcpy(data, rig->expected, length);
    memcpy(rig->rebuilt, rig->old, rig->page_size);
    assert_true(vmf_xbzrle_fits(data, length, rig->page_size));
    assert_true(vmf_xbzrle_apply(data, length, rig->rebuilt, rig->page_size));
    if (memcmp(rig->rebuilt, rig->page, rig->page_size) != 0)
        fail_msg("page of %zu: the delta does not make the page", rig->page_size);
}

/* All variants, with room and around the exact limit. */
static void
check_pair(Rig *rig)
{
    size_t needed;
    int length = plain_encode(rig, rig->expected, &needed);
    const VmfXbzrle *codec;

    if (needed != NEVER)
        check_decoder(rig, (size_t)length);
    for (guint i = 0; (codec = vmf_xbzrle_usable(i)); i++) {
        check_size(rig, codec, length, needed, OUT_MAX);
        check_size(rig, codec, length, needed, rig->page_size);
        check_size(rig, codec, length, needed, random_below(rig, (uint32_t)length + 100));
        for (int near = MAX(length - 2, 0); near <= length + 3; near++)
            check_size(rig, codec, length, needed, (size_t)near);
    }
}

static void
test_scattered(void **state)
{
    Rig *rig = *state;

    for (guint i = 0; i < G_N_ELEMENTS(page_sizes); i++) {
        for (guint round = 0; round < 1200u >> i; round++) {
            uint32_t page_size = (uint32_t)page_sizes[i];
            guint changes =
                random_below(rig, 3) ? random_below(rig, 8) : random_below(rig, page_size / 2);
            guint longest = 1u << random_below(rig, 12);

            start_page(rig, page_size);
            while (changes-- > 0)
                change(rig, random_below(rig, page_size), 1 + random_below(rig, longest));
            check_pair(rig);
        }
    }
}

/* Two runs around the ends of blocks of 64 bytes and of a page, and lengths around 128. */
static void
test_boundaries(void **state)
{
    static const size_t starts[] = {0, 1, 30, 62, 63, 64, 65, 127, 128, 129, 191, 192};
    static const size_t lengths[] = {1, 2, 16, 33, 62, 63, 64, 65, 66, 126, 127, 128, 129, 200};
    static const size_t gaps[] = {1, 2, 31, 62, 63, 64, 65, 126, 127, 128, 129, 130};
    Rig *rig = *state;

    for (guint i = 0; i < G_N_ELEMENTS(starts) * G_N_ELEMENTS(lengths); i++) {
        size_t start = starts[i % G_N_ELEMENTS(starts)], length = lengths[i / G_N_ELEMENTS(starts)];

        for (guint j = 0; j < G_N_ELEMENTS(gaps) * G_N_ELEMENTS(lengths); j++) {
            size_t behind = start + length + gaps[j % G_N_ELEMENTS(gaps)];
            size_t more = lengths[j / G_N_ELEMENTS(gaps)];

            if (j == 0)
                start_page(rig, 4096);
            undo(rig);
            change(rig, start, length);
            change(rig, behind, more);
            if (j % 2)
                change(rig, 4096 - behind, more);
            if (j % 3 == 0)
                change(rig, 4096 - start, start);
            check_pair(rig);
        }
    }
}

/* Every second byte, every third, ...: as many runs as there can be; and no run, or one. */
static void
test_extremes(void **state)
{
    Rig *rig = *state;

    for (guint i = 0; i < G_N_ELEMENTS(page_sizes); i++) {
        size_t page_size = page_sizes[i];

        start_page(rig, page_size);
        check_pair(rig);
        change(rig, 0, page_size);
        check_pair(rig);
        for (size_t left = 1; left < 140; left += 3) {
            undo(rig);
            change(rig, left, page_size - left);
            check_pair(rig);
            undo(rig);
            change(rig, 0, page_size - left);
            check_pair(rig);
        }
        for (size_t step = 2; step < 140; step++) {
            undo(rig);
            for (size_t at = step % 3; at < page_size; at += step)
                change(rig, at, 1);
            check_pair(rig);
        }
    }
}

/* Runs that two bytes cannot count. */
static void
test_long_runs(void **state)
{
    Rig *rig = *state;
    const size_t limit = VMF_XBZRLE_RUN_MAX + 1;

    for (guint i = 2; i < G_N_ELEMENTS(page_sizes); i++) {
        start_page(rig, page_sizes[i]);
        for (size_t at = limit - 3; at < limit + 3; at++) {
            for (guint times = 1; times <= 3; times++) {
                undo(rig);
                change(rig, times * at, 1);
                check_pair(rig);
                undo(rig);
                change(rig, 5, at);
                change(rig, times * at + 10, 3);
                check_pair(rig);
            }
        }
    }
}

/* The decoder on anything: TRUE exactly for runs that are well-formed and inside. */
static gboolean
plain_fits(const uint8_t *data, size_t length, size_t page_size)
{
    size_t at = 0, from = 0;

    while (from < length) {
        size_t numbers[2], start = from;

        for (guint i = 0; i < 2; i++) {
            if (from >= length)
                return FALSE;
            numbers[i] = data[from++];
            if (numbers[i] < 0x80)
                continue;
            if (from >= length || data[from] >= 0x80)
                return FALSE;
            numbers[i] = (numbers[i] & 0x7f) | (size_t)data[from++] << 7;
        }
        if ((numbers[0] == 0 && start > 0) || numbers[1] == 0)
            return FALSE;
        at += numbers[0] + numbers[1];
        from += numbers[1];
        if (at > page_size || from > length)
            return FALSE;
    }
    return TRUE;
}

static void
test_decoder_on_anything(void **state)
{
    Rig *rig = *state;
    guint good = 0;

    start_page(rig, 4096);
    for (guint round = 0; round < 200000; round++) {
        size_t length = random_below(rig, 24);
        uint8_t *data = rig->out_end - length;
        gboolean fits;

        for (size_t i = 0; i < length; i++)
            data[i] =
                (uint8_t)(random_below(rig, 4) ? random_below(rig, 6) : random_below(rig, 256));
        fits = plain_fits(data, length, 4096);
        good += fits;
        if (vmf_xbzrle_fits(data, length, 4096) != fits ||
            vmf_xbzrle_apply(data, length, rig->rebuilt, 4096) != fits)
            fail_msg("round %u: the decoder says otherwise", round);
    }
    assert_true(good > 1000 && good < 100000);
}

static void
test_choice(void **state)
{
    const VmfXbzrle *codec;

    unsetenv("VMFERRY_CODEC");
    assert_true(vmf_xbzrle_choose() == vmf_xbzrle_usable(0));
    for (guint i = 0; (codec = vmf_xbzrle_usable(i)); i++) {
        printf("# %s\n", vmf_xbzrle_name(codec));
        setenv("VMFERRY_CODEC", vmf_xbzrle_name(codec), 1);
        assert_true(vmf_xbzrle_choose() == codec);
    }
    setenv("VMFERRY_CODEC", "none", 1);
    assert_true(vmf_xbzrle_choose() == vmf_xbzrle_usable(0));
    unsetenv("VMFERRY_CODEC");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scattered),
        cmocka_unit_test(test_boundaries),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_long_runs),
        cmocka_unit_test(test_decoder_on_anything),
        cmocka_unit_test(test_choice),
    };

    return cmocka_run_group_tests_name("xbzrle", tests, set_up, tear_down);
}
