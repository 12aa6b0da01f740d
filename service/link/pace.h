/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A bound on the rate at which bytes are sent: a bucket that fills at the rate and that every byte
 * takes from. It holds what the rate gives in 20 ms, or VMF_PACE_LEAST if that is more: enough to
 * ride out a late wake-up, too little to be a burst.
 *
 * Pure: no I/O, no clock. Times are microseconds of one monotonic clock, passed in. Belongs to one
 * thread. All zero is a pace without a bound.
 */
#pragma once

#include <glib.h>

#define VMF_PACE_LEAST (64 * 1024) /* bytes */

typedef struct {
    guint64 rate;   /* bytes/s; 0: no bound */
    gint64 has, at; /* what was in the bucket at what time; less than nothing after a debt */
} VmfPace;

/* The bucket keeps what it has. */
void vmf_pace_set_rate(VmfPace *pace, guint64 rate, gint64 now);

/* Bytes that may be sent now; 0 unless they are worth sending. */
gsize vmf_pace_room(const VmfPace *pace, gint64 now);

/* They were sent. May be more than the room: then there is none for longer. */
void vmf_pace_spend(VmfPace *pace, gsize bytes, gint64 now);

/* When there is room, if nothing is sent until then; -1: there is some now. */
gint64 vmf_pace_next(const VmfPace *pace, gint64 now);
