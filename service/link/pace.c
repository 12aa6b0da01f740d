/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/pace.h"

#define DEPTH_TIME 20000 /* µs */
#define WORTH 4          /* a room of less than this part of the bucket is none */

static gint64
vmf_pace_depth(const VmfPace *pace)
{
    return MAX((gint64)(pace->rate / (G_USEC_PER_SEC / DEPTH_TIME)), VMF_PACE_LEAST);
}

static gint64
vmf_pace_has(const VmfPace *pace, gint64 now)
{
    double filled = (double)pace->rate * (double)(now - pace->at) / G_USEC_PER_SEC;

    return (gint64)MIN((double)pace->has + filled, (double)vmf_pace_depth(pace));
}

void
vmf_pace_set_rate(VmfPace *pace, guint64 rate, gint64 now)
{
    pace->has = pace->rate > 0 ? vmf_pace_has(pace, now) : 0;
    pace->at = now;
    pace->rate = rate;
}

gsize
vmf_pace_room(const VmfPace *pace, gint64 now)
{
    gint64 has;

    if (pace->rate == 0)
        return G_MAXSIZE;
    has = vmf_pace_has(pace, now);
    return has >= vmf_pace_depth(pace) / WORTH ? (gsize)has : 0;
}

void
vmf_pace_spend(VmfPace *pace, gsize bytes, gint64 now)
{
    if (pace->rate == 0)
        return;
    pace->has = vmf_pace_has(pace, now) - (gint64)bytes;
    pace->at = now;
}

gint64
vmf_pace_next(const VmfPace *pace, gint64 now)
{
    gint64 missing;

    if (vmf_pace_room(pace, now) > 0)
        return -1;
    missing = vmf_pace_depth(pace) / WORTH - vmf_pace_has(pace, now);
    return now + 1 + (gint64)((double)missing * G_USEC_PER_SEC / (double)pace->rate);
}
