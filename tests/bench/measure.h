/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the benches in C share: a clock of this thread alone (others may be at work on the machine),
 * medians, and the line that the bench's front reads.
 */
#pragma once

#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline double
measure_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static inline int
measure_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Sorts the values. */
static inline double
measure_median(double *values, guint count)
{
    qsort(values, count, sizeof *values, measure_compare);
    return values[count / 2];
}

static inline void
measure_report(const char *name, double value, const char *unit, guint runs)
{
    printf("%s %.6g %s %u\n", name, value, unit, runs);
    fflush(stdout);
}
