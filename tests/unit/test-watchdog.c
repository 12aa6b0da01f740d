/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka-all.h"

#include "daemon/watchdog.h"
#include "valgrind.h"

#define LIMIT (vmf_under_valgrind() ? 200 : 20) /* ms */

static gboolean
hold_up(gpointer milliseconds)
{
    g_usleep(GPOINTER_TO_UINT(milliseconds) * 1000);
    return G_SOURCE_REMOVE;
}

static gboolean
end(gpointer loop)
{
    g_main_loop_quit(loop);
    return G_SOURCE_REMOVE;
}

/* How often a loop was held up that was held up for each of these, and waited in between. */
static guint
count(const guint *milliseconds, gsize n)
{
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    VmfWatchdog *watchdog = vmf_watchdog_start(LIMIT);

    for (guint i = 0; i < n; i++)
        g_timeout_add(1 + 2 * LIMIT * i, hold_up, GUINT_TO_POINTER(milliseconds[i]));
    g_timeout_add((guint)(1 + 2 * LIMIT * n), end, loop);
    g_main_loop_run(loop);
    return vmf_watchdog_stop(watchdog);
}

static void
test_waiting_is_not_being_held_up(void **state)
{
    const guint nothing[] = {0, 0, 0};

    assert_int_equal(count(nothing, G_N_ELEMENTS(nothing)), 0);
}

static void
test_what_holds_it_up_is_counted(void **state)
{
    const guint some[] = {3 * LIMIT, 0, 3 * LIMIT, 0};

    assert_int_equal(count(some, G_N_ELEMENTS(some)), 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waiting_is_not_being_held_up),
        cmocka_unit_test(test_what_holds_it_up_is_counted),
    };

    return cmocka_run_group_tests_name("watchdog", tests, NULL, NULL);
}
