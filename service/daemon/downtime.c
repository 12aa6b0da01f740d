/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/downtime.h"

#define SAMPLE_MIN (256 * 1024) /* bytes: less tells nothing of efficiency */
#define EFFICIENCY_MIN 0.02     /* never trusted to be better */
#define WORSE 1.5               /* times the efficiency at which the limit was raised */
#define IN_SOCKETS (512 * 1024) /* bytes of QEMU's on the way to the pump's stages */
#define SPIKE 1.25              /* QEMU looks at 100 ms, and a sample is longer */
#define MORE 1.05               /* times as much as was sent at most, the link may take */
#define STATE_MS 10             /* for device state, and both QEMUs' own work */

void
vmf_downtime_init(VmfDowntime *downtime, guint allowed)
{
    *downtime = (VmfDowntime){.allowed = allowed};
}

void
vmf_downtime_note_pump(VmfDowntime *downtime, const VmfDowntimeSample *sample, guint64 link_rate,
                       guint64 in_flight, guint64 waiting)
{
    downtime->samples[downtime->next] = *sample;
    downtime->next = (downtime->next + 1) % VMF_DOWNTIME_SAMPLES;
    downtime->n = MIN(downtime->n + 1, VMF_DOWNTIME_SAMPLES);
    downtime->link_rate = link_rate;
    downtime->in_flight = in_flight;
    downtime->waiting = waiting;
}

void
vmf_downtime_note_job(VmfDowntime *downtime, guint64 remaining, guint64 bandwidth)
{
    downtime->remaining = remaining;
    downtime->bandwidth = bandwidth;
}

/* The sample that is `age` old, and the one before it. */
static void
vmf_downtime_pair(const VmfDowntime *downtime, guint age, VmfDowntimeSample *ret_at,
                  VmfDowntimeSample *ret_before)
{
    guint at = (downtime->next + 2 * VMF_DOWNTIME_SAMPLES - 1 - age) % VMF_DOWNTIME_SAMPLES;

    *ret_at = downtime->samples[at];
    *ret_before = downtime->samples[(at + VMF_DOWNTIME_SAMPLES - 1) % VMF_DOWNTIME_SAMPLES];
}

static double
vmf_downtime_rate(guint64 bytes, gint64 time)
{
    return time > 0 ? (double)bytes * G_USEC_PER_SEC / (double)time : 0;
}

/* What the link takes: as the pump says, which may have seen a burst, but hardly more than was
 * really sent of late at any time. */
static double
vmf_downtime_link_rate(const VmfDowntime *downtime)
{
    guint64 in = 0;
    double most = 0;

    for (guint age = 0; age + 1 < downtime->n; age++) {
        VmfDowntimeSample at, before;

        vmf_downtime_pair(downtime, age, &at, &before);
        most = MAX(most, vmf_downtime_rate(at.out - before.out, at.time - before.time));
        in += at.in - before.in;
    }
    if (in < SAMPLE_MIN)
        return (double)downtime->link_rate; /* too little, or over other connections */
    return MIN((double)downtime->link_rate, MORE * most);
}

/* The fastest that QEMU may have seen its socket take bytes. */
static double
vmf_downtime_bandwidth(const VmfDowntime *downtime)
{
    double most = 0;

    for (guint age = 0; age + 1 < downtime->n; age++) {
        VmfDowntimeSample at, before;

        vmf_downtime_pair(downtime, age, &at, &before);
        most = MAX(most, vmf_downtime_rate(at.in - before.in, at.time - before.time));
    }
    return MAX(most * SPIKE, (double)downtime->bandwidth);
}

double
vmf_downtime_efficiency(const VmfDowntime *downtime)
{
    double worst = 0;

    for (guint age = 0; age + 1 < downtime->n; age++) {
        VmfDowntimeSample at, before;

        vmf_downtime_pair(downtime, age, &at, &before);
        if (at.in - before.in >= SAMPLE_MIN)
            worst = MAX(worst, (double)(at.out - before.out) / (double)(at.in - before.in));
    }
    return worst > 0 ? CLAMP(worst, EFFICIENCY_MIN, 1) : 1;
}

/* Bytes of QEMU's that get over in the allowed time, behind what is on its way. */
static double
vmf_downtime_fitting(const VmfDowntime *downtime, double efficiency)
{
    double time = MAX((double)downtime->allowed - STATE_MS, (double)downtime->allowed / 4) / 1000;
    double wire = vmf_downtime_link_rate(downtime) * time;
    double in_pump = IN_SOCKETS + (double)downtime->waiting;
    double on_its_way = (double)downtime->in_flight + in_pump * efficiency;

    return MAX(wire - on_its_way, wire / 4) / efficiency;
}

guint
vmf_downtime_decide(VmfDowntime *downtime)
{
    double efficiency = vmf_downtime_efficiency(downtime);
    double fitting = vmf_downtime_fitting(downtime, efficiency);
    gboolean fits = downtime->link_rate > 0 && downtime->bandwidth > 0 &&
                    (double)downtime->remaining <= fitting;
    double limit;

    if (!fits && downtime->raised && efficiency > downtime->raised_at * WORSE)
        downtime->raised = FALSE;
    if (fits && !downtime->raised) {
        downtime->raised = TRUE;
        downtime->raised_at = efficiency;
    }
    if (!downtime->raised)
        return VMF_DOWNTIME_HELD;
    limit = fitting / MAX(vmf_downtime_bandwidth(downtime), 1) * 1000;
    return (guint)CLAMP(limit, VMF_DOWNTIME_HELD, (double)downtime->allowed);
}
