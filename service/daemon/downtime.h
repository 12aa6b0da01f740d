/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When QEMU may stop the guest.
 *
 * QEMU does so when what is left fits the rate at which its socket takes bytes times its downtime
 * limit. A pump that leaves out and shrinks pages takes bytes at many times the link's rate, so
 * QEMU's idea of that is too good. Hence the limit stays at 1 ms until what is left, at the
 * efficiency of the latest pages (the worst part of the last two seconds, not the average), fits
 * the allowed downtime on the wire together with what is on its way already; and then it is set to
 * what makes QEMU's threshold those bytes, even if QEMU takes its rate from a moment in which pages
 * were left out in a row. It goes back when the pages get worse.
 *
 * Pure: no clock, times are monotonic µs. Bytes, bytes/s, ms. One thread.
 */
#pragma once

#include <glib.h>

#define VMF_DOWNTIME_HELD 1 /* ms: QEMU is not to stop the guest */
#define VMF_DOWNTIME_SAMPLES 8

typedef struct {
    gint64 time;
    guint64 in, out; /* bytes of QEMU's stream, before and after what the pump does to it */
} VmfDowntimeSample;

typedef struct {
    guint allowed; /* ms */
    VmfDowntimeSample samples[VMF_DOWNTIME_SAMPLES];
    guint n, next;
    guint64 link_rate, in_flight, waiting;
    guint64 remaining, bandwidth; /* as QEMU says */
    gboolean raised;
    double raised_at; /* efficiency then */
} VmfDowntime;

void vmf_downtime_init(VmfDowntime *downtime, guint allowed);

/*
 * What the pump counts, about every 250 ms. link_rate: of payload; in_flight: bytes of the wire on
 * their way, or ready for it; waiting: QEMU's bytes that may wait in the pump.
 */
void vmf_downtime_note_pump(VmfDowntime *downtime, const VmfDowntimeSample *sample,
                            guint64 link_rate, guint64 in_flight, guint64 waiting);

/* What QEMU says: bytes left, and bytes/s that it sends; both 0 before it knows. */
void vmf_downtime_note_job(VmfDowntime *downtime, guint64 remaining, guint64 bandwidth);

/* Bytes on the wire for one of QEMU's: the worst of the latest samples; 1 if there are none. */
double vmf_downtime_efficiency(const VmfDowntime *downtime);

/* ms: what QEMU's limit is to be now. */
guint vmf_downtime_decide(VmfDowntime *downtime);
