/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka-all.h"

#include "daemon/turns.h"

static void
push(VmfTurns *turns, const char *caller, const char *item)
{
    vmf_turns_push(turns, caller, g_strdup(item));
}

/* Takes `n` of them, and expects what they spell. */
static void
assert_taken(VmfTurns *turns, guint n, const char *expected)
{
    g_autoptr(GString) taken = g_string_new(NULL);

    for (guint i = 0; i < n; i++) {
        g_autofree char *item = vmf_turns_pop(turns);

        assert_non_null(item);
        g_string_append(taken, item);
    }
    assert_string_equal(taken->str, expected);
}

static void
test_one_caller_is_a_queue(void **state)
{
    VmfTurns *turns = vmf_turns_new(g_free);

    assert_true(vmf_turns_are_over(turns));
    assert_null(vmf_turns_pop(turns));
    push(turns, ":1.1", "a");
    push(turns, ":1.1", "b");
    push(turns, ":1.1", "c");
    assert_false(vmf_turns_are_over(turns));
    assert_taken(turns, 3, "abc");
    assert_true(vmf_turns_are_over(turns));
    assert_null(vmf_turns_pop(turns));
    vmf_turns_free(turns);
}

static void
test_who_asks_once_does_not_wait_for_who_asks_often(void **state)
{
    VmfTurns *turns = vmf_turns_new(g_free);

    for (guint i = 0; i < 1000; i++)
        push(turns, ":1.1", "x");
    push(turns, ":1.2", "a");
    push(turns, ":1.3", "b");
    assert_taken(turns, 4, "xabx");
    /* who has had all comes anew, behind who waits */
    push(turns, ":1.2", "c");
    assert_taken(turns, 3, "xcx");
    assert_false(vmf_turns_are_over(turns));
    vmf_turns_free(turns); /* with 996 */
}

static void
test_all_have_their_turns(void **state)
{
    VmfTurns *turns = vmf_turns_new(g_free);

    push(turns, ":1.1", "a");
    push(turns, ":1.1", "d");
    push(turns, ":1.1", "f");
    push(turns, ":1.2", "b");
    push(turns, ":1.2", "e");
    push(turns, ":1.3", "c");
    assert_taken(turns, 6, "abcdef");
    assert_true(vmf_turns_are_over(turns));
    vmf_turns_free(turns);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_caller_is_a_queue),
        cmocka_unit_test(test_who_asks_once_does_not_wait_for_who_asks_often),
        cmocka_unit_test(test_all_have_their_turns),
    };

    return cmocka_run_group_tests_name("turns", tests, NULL, NULL);
}
