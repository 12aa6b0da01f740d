/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/flow.h"

#define EPOCH_MIN (20 * 1000)                   /* µs; shorter ones measure the scheduler */
#define EPOCHS 6                                /* that the largest rate is taken from */
#define RTT_WINDOW (10 * G_USEC_PER_SEC)        /* µs */
#define RTT_NEAR(rtt) ((rtt) + (rtt) / 8 + 500) /* this close to the smallest confirms it */
#define MARKS 16                                /* round trips under measurement at once */
#define GROWTH_PERCENT 25                       /* less is no growth */
#define START_GAIN 3
#define SLOW_PERCENT 93      /* of the largest rate; what is below is slow */
#define SLOW_EPOCHS 3        /* after so many a larger bound is tried */
#define STARVED_PART 4       /* an epoch of which more than one of so many parts was starved */
#define FLAT_EPOCHS 3        /* without growth end the start-up */
#define ROOM_MIN (64 * 1024) /* less is not worth a frame */

typedef struct {
    guint64 total; /* sent when it was set */
    gint64 time;
} VmfFlowMark;

struct VmfFlow {
    gsize ceiling;
    guint64 sent, arrived;
    gint64 arrived_time; /* of the last news of `arrived` */

    /* rate */
    gint64 epoch_start; /* 0: none is open */
    guint64 epoch_arrived;
    gint64 starved_since; /* 0: it is not now */
    gint64 starved;       /* µs of this epoch */
    gboolean last_starved;
    guint slow;            /* epochs in a row that were slower than one before, with input */
    gboolean try;          /* in this epoch, whether a larger bound makes it faster */
    guint64 rates[EPOCHS]; /* bytes/s */
    guint next_rate;

    /* round trip */
    VmfFlowMark marks[MARKS];
    guint first_mark, n_marks;
    guint64 last_mark; /* `sent` at the newest one */
    gint64 rtt, rtt_seen;
    gboolean draining;
    guint64 drained_mark; /* `sent` at the first mark after the queue was gone; 0: not yet */

    /* start-up: until the rate does not grow with the bound any more */
    gboolean starting;
    guint64 start_rate;
    guint flat_epochs;
};

VmfFlow *
vmf_flow_new(gsize ceiling)
{
    VmfFlow *flow = g_new0(VmfFlow, 1);

    flow->ceiling = MAX(ceiling, VMF_FLOW_FLOOR);
    flow->starting = TRUE;
    return flow;
}

void
vmf_flow_free(VmfFlow *flow)
{
    g_free(flow);
}

guint64
vmf_flow_rate(const VmfFlow *flow)
{
    guint64 rate = 0;

    for (guint i = 0; i < EPOCHS; i++)
        rate = MAX(rate, flow->rates[i]);
    return rate;
}

gint64
vmf_flow_rtt(const VmfFlow *flow)
{
    return flow->rtt;
}

gsize
vmf_flow_in_flight(const VmfFlow *flow)
{
    return (gsize)(flow->sent - flow->arrived);
}

/* What the link carries in `time` µs. */
static gsize
vmf_flow_carries(const VmfFlow *flow, gint64 time)
{
    return (gsize)((double)vmf_flow_rate(flow) * (double)time / G_USEC_PER_SEC);
}

gsize
vmf_flow_limit(const VmfFlow *flow)
{
    gsize limit = vmf_flow_carries(flow, flow->rtt + VMF_FLOW_SLACK);

    if (flow->starting && !flow->last_starved)
        limit *= START_GAIN;
    else if (flow->try)
        limit += limit / 4;
    return CLAMP(limit, VMF_FLOW_FLOOR, flow->ceiling);
}

/* While the queue drains, just what keeps the link busy without one. */
static gsize
vmf_flow_bound(const VmfFlow *flow)
{
    gsize limit = vmf_flow_limit(flow);

    if (!flow->draining)
        return limit;
    return CLAMP(vmf_flow_carries(flow, flow->rtt), VMF_FLOW_FLOOR / 4, limit);
}

gsize
vmf_flow_room(const VmfFlow *flow)
{
    gsize bound = vmf_flow_bound(flow);
    gsize in_flight = vmf_flow_in_flight(flow);
    gsize room = bound > in_flight ? bound - in_flight : 0;

    return room >= MIN(bound / 4, ROOM_MIN) ? room : 0;
}

static void
vmf_flow_set_rtt(VmfFlow *flow, gint64 rtt, gint64 now)
{
    flow->rtt = rtt;
    flow->rtt_seen = now;
    flow->draining = FALSE;
}

void
vmf_flow_round_trip(VmfFlow *flow, gint64 rtt, gint64 now)
{
    rtt = MAX(rtt, 1);
    if (flow->rtt == 0 || rtt <= RTT_NEAR(flow->rtt)) {
        vmf_flow_set_rtt(flow, flow->rtt == 0 ? rtt : MIN(rtt, flow->rtt), now);
    } else if (!flow->draining && now - flow->rtt_seen > RTT_WINDOW) {
        flow->draining = TRUE;
        flow->drained_mark = 0;
    }
}

/* Takes the round trips of all marks that have arrived. */
static void
vmf_flow_take_marks(VmfFlow *flow, gint64 now)
{
    while (flow->n_marks > 0 && flow->marks[flow->first_mark].total <= flow->arrived) {
        const VmfFlowMark *mark = &flow->marks[flow->first_mark];
        gint64 rtt = now - mark->time;

        flow->first_mark = (flow->first_mark + 1) % MARKS;
        flow->n_marks--;
        if (flow->draining && mark->total == flow->drained_mark)
            vmf_flow_set_rtt(flow, MAX(rtt, 1), now);
        else
            vmf_flow_round_trip(flow, rtt, now);
    }
}

static void
vmf_flow_grow(VmfFlow *flow, guint64 rate)
{
    if (rate * 100 >= flow->start_rate * (100 + GROWTH_PERCENT)) {
        flow->start_rate = rate;
        flow->flat_epochs = 0;
    } else if (++flow->flat_epochs >= FLAT_EPOCHS) {
        flow->starting = FALSE;
    }
}

static gint64
vmf_flow_epoch(const VmfFlow *flow)
{
    return MAX(EPOCH_MIN, flow->rtt);
}

static void
vmf_flow_start_epoch(VmfFlow *flow, gint64 now)
{
    flow->epoch_start = now;
    flow->epoch_arrived = flow->arrived;
    flow->starved = 0;
}

/* Input came, or an epoch ends. */
static void
vmf_flow_count_starved(VmfFlow *flow, gint64 now)
{
    if (flow->starved_since > 0)
        flow->starved += now - MAX(flow->starved_since, flow->epoch_start);
    flow->starved_since = 0;
}

static void
vmf_flow_note_slow(VmfFlow *flow, gboolean slow)
{
    flow->slow = slow ? flow->slow + 1 : 0;
    flow->try = flow->slow == SLOW_EPOCHS;
    if (flow->try)
        flow->slow = 0;
}

static void
vmf_flow_end_epoch(VmfFlow *flow, gint64 now)
{
    guint64 bytes = flow->arrived - flow->epoch_arrived;
    guint64 rate = bytes * G_USEC_PER_SEC / (guint64)(now - flow->epoch_start);
    gboolean still = flow->starved_since > 0;
    gboolean starved;

    vmf_flow_count_starved(flow, now);
    if (still)
        flow->starved_since = now;
    starved = flow->starved * STARVED_PART > now - flow->epoch_start;
    vmf_flow_note_slow(flow, !starved && !flow->draining &&
                                 rate * 100 < vmf_flow_rate(flow) * SLOW_PERCENT);
    if (!starved || rate > vmf_flow_rate(flow)) {
        flow->rates[flow->next_rate] = rate;
        flow->next_rate = (flow->next_rate + 1) % EPOCHS;
    }
    flow->last_starved = starved;
    if (flow->starting && !starved)
        vmf_flow_grow(flow, rate);
    vmf_flow_start_epoch(flow, now);
}

gboolean
vmf_flow_sent(VmfFlow *flow, gsize bytes, gint64 now)
{
    gboolean drained = flow->draining && flow->drained_mark == 0 &&
                       vmf_flow_in_flight(flow) <= vmf_flow_bound(flow);
    gboolean due = flow->sent + bytes - flow->last_mark >= vmf_flow_limit(flow) / 8;

    /* a rest longer than an epoch would only say how long it was */
    if (flow->epoch_start == 0 ||
        (flow->sent == flow->arrived && now - flow->arrived_time >= vmf_flow_epoch(flow)))
        vmf_flow_start_epoch(flow, now);
    vmf_flow_count_starved(flow, now);
    flow->sent += bytes;
    if (flow->n_marks == MARKS || !(due || drained))
        return FALSE;
    flow->marks[(flow->first_mark + flow->n_marks) % MARKS] = (VmfFlowMark){flow->sent, now};
    flow->n_marks++;
    flow->last_mark = flow->sent;
    if (drained)
        flow->drained_mark = flow->sent;
    return TRUE;
}

void
vmf_flow_arrived(VmfFlow *flow, guint64 total, gint64 now)
{
    g_return_if_fail(total >= flow->arrived && total <= flow->sent);
    flow->arrived = total;
    flow->arrived_time = now;
    vmf_flow_take_marks(flow, now);
    if (flow->epoch_start > 0 && now - flow->epoch_start >= vmf_flow_epoch(flow))
        vmf_flow_end_epoch(flow, now);
}

void
vmf_flow_starved(VmfFlow *flow, gint64 now)
{
    if (flow->starved_since == 0)
        flow->starved_since = now;
}
