/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The values of the guest `redis`, against values that are really changed: every version is what
 * its changes made of the one before, no two are alike, and each kind is what it says it is.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "unit/cmocka-all.h"

#include "values.h"

#define KEYS 400
#define VERSIONS 40

static Values values;
static uint8_t value[VALUE_ROOM], other[VALUE_ROOM], piece[VALUE_ROOM];

static void
test_every_version_follows_from_changes(void **state)
{
    for (uint32_t key = 0; key < KEYS; key++) {
        uint32_t size = values_size(&values, key);

        values_make(&values, key, 0, value);
        for (uint32_t version = 1; version < VERSIONS; version++) {
            ValuePart part = values_change(&values, key, version, piece);

            assert_true(part.length > 0 && part.offset + part.length <= size);
            assert_int_equal(part.length == size, version % VALUE_WHOLE_EVERY == 0);
            assert_memory_not_equal(value + part.offset, piece, part.length);
            memcpy(value + part.offset, piece, part.length);
            values_make(&values, key, version, other);
            assert_memory_equal(value, other, size);
        }
    }
}

static void
test_nothing_is_written_beyond_the_room(void **state)
{
    for (uint32_t key = 0; key < 4000; key++) {
        uint8_t *end = value + sizeof value - 4;

        memcpy(end, "end", 4);
        values_make(&values, key, 0, value);
        assert_string_equal((const char *)end, "end");
    }
}

static void
test_sizes(void **state)
{
    uint64_t sum = 0;
    uint32_t large = 0;

    for (uint32_t key = 0; key < 20000; key++) {
        uint32_t size = values_size(&values, key);

        assert_in_range(size, VALUE_MIN, VALUE_MAX - 1);
        sum += size;
        large += size >= VALUE_MAX / 2;
    }
    assert_in_range(sum / 20000, 4600, 4900);
    assert_in_range(large, 3700, 4300); /* a fifth */
}

static void
test_keys_and_seeds_differ(void **state)
{
    Values others;

    values_init(&others, 8);
    for (uint32_t key = 0; key < KEYS; key++) {
        values_make(&values, key, 0, value);
        values_make(&values, key + VALUE_KINDS, 0, other);
        assert_memory_not_equal(value, other, VALUE_MIN);
        values_make(&others, key, 0, other);
        assert_memory_not_equal(value, other, VALUE_MIN);
    }
}

/* How many different bytes a value has. */
static unsigned
alphabet(uint32_t key)
{
    bool seen[256] = {false};
    unsigned count = 0;

    values_make(&values, key, 0, value);
    for (uint32_t i = 0; i < values_size(&values, key); i++) {
        count += !seen[value[i]];
        seen[value[i]] = true;
    }
    return count;
}

static void
test_kinds(void **state)
{
    unsigned most[VALUE_KINDS] = {0};

    for (uint32_t key = 0; key < KEYS; key++) {
        unsigned *kind = &most[values_kind(key)], bytes = alphabet(key);

        *kind = bytes > *kind ? bytes : *kind;
        if (values_kind(key) == VALUE_JSON)
            assert_memory_equal(value, "{\"id\":", 6);
    }
    assert_in_range(most[VALUE_TEXT], 15, 30);
    assert_in_range(most[VALUE_JSON], 30, 60);
    assert_int_equal(most[VALUE_RANDOM], 256);
    assert_in_range(most[VALUE_MIXED], 200, 256);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_version_follows_from_changes),
        cmocka_unit_test(test_nothing_is_written_beyond_the_room),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_keys_and_seeds_differ),
        cmocka_unit_test(test_kinds),
    };

    values_init(&values, 7);
    return cmocka_run_group_tests_name("values", tests, NULL, NULL);
}
