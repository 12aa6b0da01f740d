/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What cannot be tried under valgrind is left out there, and nowhere else. */
#pragma once

#include "cmocka-all.h"

#include <glib.h>

static inline gboolean
vmf_under_valgrind(void)
{
    return g_getenv("VMFERRY_TEST_VALGRIND") != NULL;
}

/* In main(), at most once: the tests whose names match. */
static inline void
vmf_leave_out_under_valgrind(const char *tests, const char *why)
{
    if (!vmf_under_valgrind())
        return;
    print_message("# left out: %s, as %s\n", tests, why);
    cmocka_set_skip_filter(tests);
}
