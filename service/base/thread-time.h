/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Processor time of the calling thread, µs; 0 where it cannot be told. Any thread. */
#pragma once

#include <glib.h>
#include <time.h>

static inline gint64
vmf_thread_time(void)
{
    struct timespec used;

    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) < 0)
        return 0;
    return used.tv_sec * G_USEC_PER_SEC + used.tv_nsec / 1000;
}
