/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "workload.h"

#include <time.h>

#define NEVER UINT64_MAX
#define SECOND 1000000000ULL

/* What could not be done in time is not made up for beyond this. */
#define BACKLOG (SECOND / 20)

#define REST (SECOND / 250)

uint64_t
now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

Pace
pace_of(uint32_t rate)
{
    uint64_t interval = rate == 0 ? NEVER : rate == ALWAYS ? 0 : SECOND / rate;

    return (Pace){interval, now_ns()};
}

bool
pace_is_due(Pace *pace, uint64_t now)
{
    if (pace->interval == NEVER || now < pace->next)
        return false;
    pace->next += pace->interval;
    if (pace->next + BACKLOG < now)
        pace->next = now - BACKLOG;
    return true;
}

void
pace_rest(void)
{
    clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = REST}, NULL);
}
