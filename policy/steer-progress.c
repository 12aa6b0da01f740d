/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/steer-private.h"

#include <math.h>

#define VMF_PROGRESS_MOST 0.98 /* before somebody says that it is over */
#define VMF_PROGRESS_UNKNOWN                                                                       \
    0.5                  /* the first pass is half of the way when the rest is not known           \
                          */
#define VMF_SHRINKS 0.95 /* a pass that begins with less than this share of the one before */

/*
 * Seconds until it ends, if every pass begins with the same share of the one before as the latest
 * did: a geometric series. Negative when passes do not get smaller.
 */
static double
vmf_steer_estimate(const VmfSteer *self, const VmfObservation *seen)
{
    double this_pass = (double)seen->remaining / self->pace;
    double began = (double)self->pass.remaining;
    double goal = self->downtime / 1000.0 * self->pace;
    double next;
    double share;

    if (self->pass.number <= 1) {
        double time = this_pass + (double)(seen->now - self->pass.began) / G_USEC_PER_SEC;

        next = vmf_working_set_get(&self->start.written, time, (double)self->start.ram);
        if (self->start.written.n == 0)
            return this_pass; /* of the pass that runs; a later estimate knows more */
        began = self->pace * time;
    } else {
        /* What was written since the pass began is not known before the next one begins. */
        next = began * self->shrinks;
    }
    share = next / MAX(began, 1);
    if (share >= VMF_SHRINKS)
        return next <= goal ? this_pass : -1;
    return this_pass + (next > goal ? (next - goal * share) / self->pace / (1 - share) : 0);
}

void
vmf_steer_note_progress(VmfSteer *self, const VmfObservation *seen)
{
    double elapsed = (double)(seen->now - self->start.started) / G_USEC_PER_SEC;
    double deadline = self->deadline - elapsed;
    double done;

    self->left = self->pace > 0 && seen->link_rate > 0 ? vmf_steer_estimate(self, seen) : -1;
    if (self->deadline > 0 && self->policy->on_deadline == VMF_DEADLINE_SWITCHOVER &&
        (self->left < 0 || self->left > deadline))
        self->left = MAX(deadline, 0);
    if (self->left >= 0)
        done = elapsed / MAX(elapsed + self->left, 0.001);
    else
        done = (double)seen->processed / (double)MAX(self->start.ram, 1) * VMF_PROGRESS_UNKNOWN;
    self->progress =
        MAX(self->progress, MIN(done, self->left < 0 ? VMF_PROGRESS_UNKNOWN : VMF_PROGRESS_MOST));
}
