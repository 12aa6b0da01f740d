/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every variant of the codec against a plain encoder that follows the format's words byte by byte,
 * and the decoder against the pages. Pages and output lie before memory that must not be touched.
 */
#include "cmocka-all.h"

#include <string.h>
#include <sys/mman.h>

#include "delta/xbzrle.h"

#define PAGE_MAX VMF_XBZRLE_PAGE_MAX
#define OUT_MAX (2 * PAGE_MAX)

static const size_t page_sizes[] = {4 << 10, 8 << 10, 16 << 10, 64 << 10};

/* Bytes that end where memory ends. */
typedef struct {
    uint8_t *end;
} Guarded;

static Guarded old_page, new_page, output, rebuilt;
static uint64_t seed = 1;

static void
guard(Guarded *guarded, size_t size)
{
    uint8_t *start =
        mmap(NULL, size + PAGE_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(start, MAP_FAILED);
    assert_int_equal(mprotect(start + size, PAGE_MAX, PROT_NONE), 0);
    guarded->end = start + size;
}

static int
set_up(void **state)
{
    guard(&old_page, PAGE_MAX);
    guard(&new_page, PAGE_MAX);
    guard(&output, OUT_MAX);
    guard(&rebuilt, PAGE_MAX);
    return 0;
}

static uint32_t
random_below(uint32_t bound)
{
    seed = seed * G_GUINT64_CONSTANT(6364136223846793005) + G_GUINT64_CONSTANT(1442695040888963407);
    return (uint32_t)((seed >> 32) * bound >> 32);
}

static size_t
plain_number(uint8_t *to, size_t number)
{
    if (number < 0x80) {
        to[0] = (uint8_t)number;
        return 1;
    }
    to[0] = (uint8_t)((number & 0x7f) | 0x80);
    to[1] = (uint8_t)(number >> 7);
    return 2;
}

/* Encodes with room for anything; *ret_fits: with `size` bytes it is possible, too. */
static int
plain_encode(const uint8_t *old, const uint8_t *page, size_t page_size, uint8_t *out, size_t size,
             gboolean *ret_fits)
{
    size_t at = 0, length = 0;

    *ret_fits = TRUE;
    while (at < page_size) {
        size_t start = at, end;

        *ret_fits = *ret_fits && length + 2 <= size;
        while (start < page_size && old[start] == page[start])
            start++;
        if (start == page_size)
            break;
        for (; start - at > VMF_XBZRLE_RUN_MAX; length++) {
            size_t skip = MIN(VMF_XBZRLE_RUN_MAX, start - at - 2);

            length += plain_number(out + length, skip);
            length += plain_number(out + length, 1);
            out[length] = page[at + skip];
            at += skip + 1;
        }
        length += plain_number(out + length, start - at);
        *ret_fits = *ret_fits && length + 2 <= size;
        for (end = start; end < page_size && old[end] != page[end]; end++)
            ;
        if (end - start > VMF_XBZRLE_RUN_MAX) {
            *ret_fits = FALSE;
            return 0;
        }
        length += plain_number(out + length, end - start);
        memcpy(out + length, page + start, end - start);
        length += end - start;
        *ret_fits = *ret_fits && length <= size;
        at = end;
    }
    return (int)length;
}

static void
check_one(const VmfXbzrle *codec, size_t page_size, const uint8_t *expected, int length,
          gboolean fits, size_t out_size)
{
    const uint8_t *old = old_page.end - page_size, *page = new_page.end - page_size;
    uint8_t *out = output.end - out_size;
    int found = vmf_xbzrle_encode(codec, old, page, page_size, out, out_size);

    if (found != (fits ? length : VMF_XBZRLE_TOO_LARGE))
        fail_msg("%s: page of %zu into %zu bytes: expected %d, found %d", vmf_xbzrle_name(codec),
                 page_size, out_size, fits ? length : VMF_XBZRLE_TOO_LARGE, found);
    if (fits && memcmp(out, expected, (size_t)length) != 0)
        fail_msg("%s: page of %zu: another delta", vmf_xbzrle_name(codec), page_size);
}

static void
check_decoder(size_t page_size, const uint8_t *delta, size_t length)
{
    const uint8_t *page = new_page.end - page_size;
    uint8_t *data = output.end - length, *to = rebuilt.end - page_size;

    memcpy(data, delta, length);
    memcpy(to, old_page.end - page_size, page_size);
    assert_true(vmf_xbzrle_fits(data, length, page_size));
    assert_true(vmf_xbzrle_apply(data, length, to, page_size));
    if (memcmp(to, page, page_size) != 0)
        fail_msg("page of %zu: the delta does not make the page", page_size);
}

/* All variants, with room and around the exact limit. */
static void
check_pair(size_t page_size)
{
    static uint8_t expected[OUT_MAX];
    const uint8_t *old = old_page.end - page_size, *page = new_page.end - page_size;
    gboolean fits, possible;
    int length = plain_encode(old, page, page_size, expected, sizeof expected, &possible);
    const VmfXbzrle *codec;

    if (possible && length > 0)
        check_decoder(page_size, expected, (size_t)length);
    for (guint i = 0; (codec = vmf_xbzrle_usable(i)); i++) {
        size_t sizes[] = {OUT_MAX, page_size, random_below((uint32_t)length + 70), 0, 1, 2, 3};

        for (guint j = 0; j < G_N_ELEMENTS(sizes); j++) {
            plain_encode(old, page, page_size, expected, sizes[j], &fits);
            check_one(codec, page_size, expected, length, fits, sizes[j]);
        }
        for (int near = MAX(length - 3, 0); near <= length + 3; near++) {
            plain_encode(old, page, page_size, expected, (size_t)near, &fits);
            check_one(codec, page_size, expected, length, fits, (size_t)near);
        }
    }
}

static void
fill_pair(size_t page_size)
{
    uint8_t *old = old_page.end - page_size;

    for (size_t i = 0; i < page_size; i++)
        old[i] = (uint8_t)random_below(256);
    memcpy(new_page.end - page_size, old, page_size);
}

static void
change(size_t page_size, size_t at, size_t length)
{
    uint8_t *page = new_page.end - page_size;

    for (size_t i = at; i < at + length && i < page_size; i++)
        page[i] ^= (uint8_t)(1 + random_below(255));
}

static void
test_scattered(void **state)
{
    for (guint i = 0; i < G_N_ELEMENTS(page_sizes); i++) {
        for (guint round = 0; round < 300; round++) {
            guint changes = random_below(2) ? random_below(8) : random_below(2000);
            guint longest = 1u << random_below(12);

            fill_pair(page_sizes[i]);
            while (changes-- > 0)
                change(page_sizes[i], random_below((uint32_t)page_sizes[i]),
                       1 + random_below(longest));
            check_pair(page_sizes[i]);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scattered),
    };

    return cmocka_run_group_tests_name("xbzrle", tests, set_up, NULL);
}
