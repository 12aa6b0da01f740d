/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much may be on its way over a data link.
 *
 * What waits in the link at switchover is downtime, so the bound is small: the link's rate times
 * its smallest round trip (what it takes to keep it busy) and 20 ms more (what it takes to ride out
 * a late wake-up, and to find out that the link got faster). Both are measured:
 *
 * - rate: bytes that arrived per time, over epochs of a round trip (at least 20 ms); the largest of
 *   the last epochs. Epochs in which the input, and not the link, was the limit for more than a
 *   quarter of the time only count if they were faster.
 * - round trip: the smallest of the last 10 s. Our own queue would creep into it, so when nothing
 *   near it was seen for that long, the queue is let drain once and measured again.
 *
 * In the beginning the bound is three times that, as long as the rate still grows: then the bound,
 * and not the link, was the limit, and so it more than doubles with every round trip or two. Later
 * it is a quarter larger for one epoch after some that were slower than one before: a busy host
 * that acknowledges late looks like a slower link, but only a link does not get faster by that.
 *
 * Pure: no I/O, no clock. Times are microseconds of one monotonic clock, passed in; counts are
 * payload bytes. Belongs to one thread.
 */
#pragma once

#include <glib.h>

#define VMF_FLOW_SLACK 20000 /* µs */
#define VMF_FLOW_FLOOR (256 * 1024)

typedef struct VmfFlow VmfFlow;

/* `ceiling`: the bound never passes it; bytes, at least VMF_FLOW_FLOOR. */
VmfFlow *vmf_flow_new(gsize ceiling);
void vmf_flow_free(VmfFlow *flow);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfFlow, vmf_flow_free)

/*
 * `bytes` were given to the link. TRUE if the other side should be asked to acknowledge their
 * arrival at once: the sender is about to wait, or a measurement is due.
 */
gboolean vmf_flow_sent(VmfFlow *flow, gsize bytes, gint64 now);

/* In all, `total` bytes have arrived at the other side. Must not go back or pass what was sent. */
void vmf_flow_arrived(VmfFlow *flow, guint64 total, gint64 now);

/* From now until something is sent, there is room, but nothing to send. */
void vmf_flow_starved(VmfFlow *flow, gint64 now);

/* A round trip that was measured some other way (PING). */
void vmf_flow_round_trip(VmfFlow *flow, gint64 rtt, gint64 now);

/* What may be sent now without passing the bound; what is on its way; the bound. Bytes. */
gsize vmf_flow_room(const VmfFlow *flow);
gsize vmf_flow_in_flight(const VmfFlow *flow);
gsize vmf_flow_limit(const VmfFlow *flow);

/* Bytes per second; 0 while nothing is known. */
guint64 vmf_flow_rate(const VmfFlow *flow);

/* The smallest round trip, µs; 0 while nothing is known. */
gint64 vmf_flow_rtt(const VmfFlow *flow);
