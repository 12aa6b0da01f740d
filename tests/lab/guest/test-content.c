/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The content of the counter guest, against a memory that is really visited: versions as counted,
 * every word as computed, and no older version, other page or changed bit that passes for right.
 */
#include <stdint.h>
#include <string.h>
#include "unit/cmocka-all.h"

#include "content.h"

#define SEED 7
#define SET 16
#define FILLED 41 /* not a multiple of half the set: the last page belongs to no phase */
#define VISITS 3000

typedef struct {
    Content content;
    uint32_t pages[FILLED][PAGE_WORDS];
    uint32_t counted[FILLED];
} Guest;

static Guest guest;

static void
guest_fill(Pattern pattern, Fill fill)
{
    memset(&guest, 0, sizeof guest);
    guest.content = (Content){.set = SET, .filled = FILLED, .fill = fill, .pattern = pattern};
    content_init(&guest.content);
    for (uint32_t page = 0; page < FILLED; page++)
        content_write_all(&guest.content, SEED, page, 0, guest.pages[page]);
}

static void
assert_versions(uint32_t visits)
{
    for (uint32_t page = 0; page < FILLED; page++)
        assert_int_equal(content_version(&guest.content, page, visits), guest.counted[page]);
}

static void
assert_contents(void)
{
    uint32_t written[PAGE_WORDS];

    for (uint32_t page = 0; page < FILLED; page++) {
        uint32_t version = guest.counted[page];

        assert_true(content_matches(&guest.content, SEED, page, version, guest.pages[page]));
        for (uint32_t word = 0; word < PAGE_WORDS; word++)
            assert_int_equal(content_word(&guest.content, SEED, page, version, word),
                             guest.pages[page][word]);
        content_write_all(&guest.content, SEED, page, version, written);
        assert_memory_equal(written, guest.pages[page], sizeof written);
    }
}

/* One visit; then what the page was before must not pass for what it is, nor the other way. */
static void
visit(uint32_t number)
{
    uint32_t page = content_visited_page(&guest.content, number), old[PAGE_WORDS];
    uint32_t version = ++guest.counted[page];

    assert_true(page < FILLED);
    memcpy(old, guest.pages[page], sizeof old);
    content_write_visit(&guest.content, SEED, page, version, guest.pages[page]);
    assert_true(content_matches(&guest.content, SEED, page, version, guest.pages[page]));
    assert_false(content_matches(&guest.content, SEED, page, version, old));
    assert_false(content_matches(&guest.content, SEED, page, version - 1, guest.pages[page]));
}

static void
visit_all(Pattern pattern, Fill fill)
{
    guest_fill(pattern, fill);
    assert_contents();
    for (uint32_t number = 0; number < VISITS; number++) {
        visit(number);
        assert_versions(number + 1);
        if (number % 500 == 0)
            assert_contents();
    }
    assert_contents();
}

static void
test_every_pattern_and_fill(void **state)
{
    for (Pattern pattern = PATTERN_COUNTER; pattern <= PATTERN_PHASES; pattern++)
        for (Fill fill = FILL_RANDOM; fill <= FILL_ZERO; fill++)
            visit_all(pattern, fill);
}

/* One word, 16 scattered ones, or all of them. */
static void
test_how_much_a_visit_changes(void **state)
{
    static const uint32_t words[] = {1, 16, PAGE_WORDS, 16, 16};
    uint32_t old[PAGE_WORDS];

    for (Pattern pattern = PATTERN_COUNTER; pattern <= PATTERN_PHASES; pattern++) {
        uint32_t changed = 0;

        guest_fill(pattern, FILL_RANDOM);
        memcpy(old, guest.pages[0], sizeof old);
        content_write_visit(&guest.content, SEED, 0, 1, guest.pages[0]);
        for (uint32_t word = 0; word < PAGE_WORDS; word++)
            changed += old[word] != guest.pages[0][word];
        assert_int_equal(changed, words[pattern]);
    }
}

static void
test_any_flipped_bit_is_found(void **state)
{
    for (Pattern pattern = PATTERN_COUNTER; pattern <= PATTERN_PHASES; pattern++) {
        guest_fill(pattern, FILL_TEXT);
        content_write_visit(&guest.content, SEED, 3, 1, guest.pages[3]);
        for (uint32_t word = 0; word < PAGE_WORDS; word++) {
            guest.pages[3][word] ^= 1u << word % 32;
            assert_false(content_matches(&guest.content, SEED, 3, 1, guest.pages[3]));
            guest.pages[3][word] ^= 1u << word % 32;
        }
    }
}

static void
test_pages_and_seeds_differ(void **state)
{
    guest_fill(PATTERN_WORDS, FILL_TEXT);
    for (uint32_t a = 0; a < FILLED; a++)
        for (uint32_t b = 0; b < FILLED; b++)
            assert_int_equal(content_matches(&guest.content, SEED, a, 0, guest.pages[b]), a == b);
    assert_false(content_matches(&guest.content, SEED + 1, 0, 0, guest.pages[0]));
}

/* 7 of 8 visits go to the first eighth of the set. */
static void
test_hot_pages_are_hot(void **state)
{
    uint32_t hot = 0;

    guest_fill(PATTERN_HOTCOLD, FILL_ZERO);
    for (uint32_t number = 0; number < 800; number++)
        hot += content_visited_page(&guest.content, number) < SET / 8;
    assert_int_equal(hot, 700);
}

/* Windows of 16 pages, each 8 further than the one before, around all 40; every other is slow. */
static void
test_phases_move_on(void **state)
{
    uint32_t phase_visits = 4 * SET;

    guest_fill(PATTERN_PHASES, FILL_ZERO);
    for (uint32_t phase = 0; phase < 12; phase++) {
        uint32_t first = phase * phase_visits;
        assert_int_equal(content_visited_page(&guest.content, first), phase * 8 % 40);
        assert_int_equal(content_visited_page(&guest.content, first + 15), (phase * 8 + 15) % 40);
        assert_int_equal(content_is_slow(&guest.content, first + 15), phase % 2);
    }
}

/* Each time the window comes back, its pages are changed in another way; neighbours differ too. */
static void
test_phases_change_in_turns(void **state)
{
    static const bool expected[][2] = {
        /* whole, text */
        {false, false},
        {false, true},
        {true, true},
        {true, false},
    };

    guest_fill(PATTERN_PHASES, FILL_ZERO);
    for (uint32_t slot = 0; slot < FILLED / 8; slot++) {
        for (uint32_t turn = 0; turn < 9; turn++) {
            uint32_t page = slot * 8, version = turn * 8 + 1, changed = 0, letters = 0, *data;

            data = guest.pages[page];
            memset(data, 0, sizeof guest.pages[page]);
            content_write_visit(&guest.content, SEED, page, version, data);
            for (uint32_t word = 0; word < PAGE_WORDS; word++) {
                changed += data[word] != 0;
                letters += data[word] != 0 && (data[word] & 0x80808080) == 0;
            }
            assert_int_equal(changed, expected[(slot + turn) % 4][0] ? PAGE_WORDS : 16);
            assert_int_equal(letters == changed, expected[(slot + turn) % 4][1]);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_pattern_and_fill),
        cmocka_unit_test(test_how_much_a_visit_changes),
        cmocka_unit_test(test_any_flipped_bit_is_found),
        cmocka_unit_test(test_pages_and_seeds_differ),
        cmocka_unit_test(test_hot_pages_are_hot),
        cmocka_unit_test(test_phases_move_on),
        cmocka_unit_test(test_phases_change_in_turns),
    };

    return cmocka_run_group_tests_name("content", tests, NULL, NULL);
}
