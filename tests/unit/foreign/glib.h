/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The few names of GLib that the codec uses, where GLib is not built for the architecture. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef int gboolean;
typedef unsigned guint;

#define TRUE 1
#define FALSE 0
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define G_N_ELEMENTS(array) (sizeof(array) / sizeof(*(array)))
#define G_LIKELY(expression) __builtin_expect(!!(expression), 1)
#define G_UNLIKELY(expression) __builtin_expect(!!(expression), 0)
#define G_GUINT64_CONSTANT(number) number##ull
#define GUINT32_TO_LE(number) (number) /* of a little-endian architecture */
#define GUINT64_FROM_LE(number) (number)
#define g_getenv getenv
#define g_str_equal(a, b) (strcmp(a, b) == 0)
