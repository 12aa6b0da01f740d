/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka-all.h"

#include <string.h>

#include "daemon/refusals.h"

/* What was logged, instead of standard error. */
static GLogWriterOutput
keep_line(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer lines)
{
    for (gsize i = 0; i < n; i++)
        if (g_str_equal(fields[i].key, "MESSAGE"))
            g_ptr_array_add(lines, g_strdup(fields[i].value));
    return G_LOG_WRITER_HANDLED;
}

static GPtrArray *lines; /* GLib takes one writer for the life of the process */

static int
set_up_group(void **state)
{
    lines = g_ptr_array_new_with_free_func(g_free);
    g_log_set_writer_func(keep_line, lines, NULL);
    return 0;
}

static int
tear_down_group(void **state)
{
    g_ptr_array_unref(lines);
    return 0;
}

static int
set_up(void **state)
{
    g_ptr_array_set_size(lines, 0);
    return 0;
}

static void
assert_line(guint index, const char *text)
{
    assert_true(index < lines->len);
    assert_string_equal(lines->pdata[index], text);
}

static void
test_the_first_of_each_cause_is_logged(void **state)
{
    g_autoptr(VmfRefusals) refusals = vmf_refusals_new(60);

    vmf_refusals_note(refusals, VMF_REFUSAL_TICKET, NULL, "a", "no ticket");
    vmf_refusals_note(refusals, VMF_REFUSAL_BUSY, NULL, "b", "too many");
    vmf_refusals_note(refusals, VMF_REFUSAL_PROOF, "0123", "c", "no proof");
    assert_int_equal(lines->len, 3);
    assert_line(0, "refused a connection from a: no ticket");
    assert_line(1, "refused a connection from b: too many");
    assert_line(2, "0123: refused a connection from c: no proof");
}

static void
test_the_others_are_counted(void **state)
{
    VmfRefusals *refusals = vmf_refusals_new(60);

    for (int i = 0; i < 1000; i++) {
        g_autofree char *from = g_strdup_printf("host%d", i);

        vmf_refusals_note(refusals, VMF_REFUSAL_TICKET, NULL, from, "no ticket");
    }
    vmf_refusals_note(refusals, VMF_REFUSAL_BUSY, NULL, "b", "too many");
    assert_int_equal(lines->len, 2);
    vmf_refusals_free(refusals);
    assert_int_equal(lines->len, 3);
    assert_line(2, "refused 999 more such connections, the last from host999: no ticket");
}

static gboolean
set_flag(gpointer flag)
{
    *(gboolean *)flag = TRUE;
    return G_SOURCE_REMOVE;
}

static void
wait_for_lines(guint count)
{
    gboolean late = FALSE;
    guint timer = g_timeout_add_seconds(20, set_flag, &late);

    while (lines->len < count && !late)
        g_main_context_iteration(NULL, TRUE);
    assert_false(late);
    g_source_remove(timer);
}

static void
pass_seconds(guint seconds)
{
    gboolean over = FALSE;

    g_timeout_add_seconds(seconds, set_flag, &over);
    while (!over)
        g_main_context_iteration(NULL, TRUE);
}

/* A line for each window with something in it; after one without, the next is the first again. */
static void
test_windows(void **state)
{
    g_autoptr(VmfRefusals) refusals = vmf_refusals_new(1);

    vmf_refusals_note(refusals, VMF_REFUSAL_KIND, NULL, "a", "why");
    vmf_refusals_note(refusals, VMF_REFUSAL_KIND, NULL, "b", "why");
    wait_for_lines(2);
    assert_line(1, "refused 1 more such connection, the last from b: why");
    vmf_refusals_note(refusals, VMF_REFUSAL_KIND, NULL, "c", "why");
    assert_int_equal(lines->len, 2);
    wait_for_lines(3);
    assert_line(2, "refused 1 more such connection, the last from c: why");
    pass_seconds(3);
    vmf_refusals_note(refusals, VMF_REFUSAL_KIND, NULL, "d", "why");
    assert_int_equal(lines->len, 4);
    assert_line(3, "refused a connection from d: why");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_the_first_of_each_cause_is_logged, set_up),
        cmocka_unit_test_setup(test_the_others_are_counted, set_up),
        cmocka_unit_test_setup(test_windows, set_up),
    };

    return cmocka_run_group_tests_name("refusals", tests, set_up_group, tear_down_group);
}
