/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The few names of cmocka that test-xbzrle.c uses, where cmocka is not built for the architecture.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
};

#define cmocka_unit_test(function)                                                                 \
    {                                                                                              \
#function, function                                                                        \
    }
#define fail_msg(...) (printf("Bail out! " __VA_ARGS__), exit(1))
#define assert_true(expression)                                                                    \
    do {                                                                                           \
        if (!(expression))                                                                         \
            fail_msg("line %d: %s\n", __LINE__, #expression);                                      \
    } while (0)
#define assert_int_equal(a, b) assert_true((a) == (b))
#define cmocka_run_group_tests_name(group, tests, set_up, tear_down)                               \
    run_tests(tests, sizeof(tests) / sizeof *(tests), set_up, tear_down)

static inline int
run_tests(const struct CMUnitTest *tests, size_t count, int (*set_up)(void **),
          int (*tear_down)(void **))
{
    void *state = NULL;

    set_up(&state);
    for (size_t i = 0; i < count; i++) {
        tests[i].run(&state);
        printf("ok %zu - %s\n", i + 1, tests[i].name);
    }
    printf("1..%zu\n", count);
    return tear_down(&state);
}
