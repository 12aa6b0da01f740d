/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/curve.h"

#include <math.h>
#include <string.h>

#define VMF_REUSE_SLACK 0.015 /* bytes on the wire that a smaller cache may cost */
#define VMF_REUSE_MARGIN                                                                           \
    1.05 /* the curve is of a sample, and a real cache falls a little short                        \
          */

void
vmf_working_set_add(VmfWorkingSet *self, double seconds, double bytes)
{
    guint at = 0;

    while (at < self->n && self->seconds[at] < seconds)
        at++;
    if (at == self->n || self->seconds[at] > seconds) {
        if (self->n == VMF_CURVE_MAX)
            return;
        memmove(&self->seconds[at + 1], &self->seconds[at],
                (self->n - at) * sizeof self->seconds[0]);
        memmove(&self->bytes[at + 1], &self->bytes[at], (self->n - at) * sizeof self->bytes[0]);
        self->n++;
    }
    self->seconds[at] = seconds;
    self->bytes[at] = bytes;
}

/* A longer period never has less; samples scatter. */
static double
vmf_working_set_at(const VmfWorkingSet *self, guint at)
{
    double bytes = 0;

    for (guint i = 0; i <= at; i++)
        bytes = MAX(bytes, self->bytes[i]);
    return bytes;
}

/* The exponent of the power law between two measurements: at most the shorter one's pace. */
static double
vmf_working_set_exponent(const VmfWorkingSet *self, guint from)
{
    double bytes = vmf_working_set_at(self, from);

    if (self->n < 2 || bytes <= 0)
        return 1;
    return MIN(log(vmf_working_set_at(self, from + 1) / bytes) /
                   log(self->seconds[from + 1] / self->seconds[from]),
               1);
}

double
vmf_working_set_get(const VmfWorkingSet *self, double seconds, double ram)
{
    guint from = 0;
    double exponent;
    double bytes;

    if (self->n == 0 || seconds <= 0)
        return 0;
    while (from + 2 < self->n && self->seconds[from + 1] < seconds)
        from++;
    bytes = vmf_working_set_at(self, from);
    if (self->n > 1 && bytes <= 0 && seconds > self->seconds[from])
        return MIN(self->bytes[from + 1] * MIN(seconds / self->seconds[from + 1], 1), ram);
    exponent = vmf_working_set_exponent(self, from);
    if (seconds < self->seconds[0])
        exponent = (1 + exponent) / 2;
    return MIN(bytes * pow(seconds / self->seconds[from], exponent), ram);
}

/*
 * A cache that takes only some newcomers comes up to the lower convex hull of the curve: of a set
 * that is rewritten in order and does not fit, it still holds a part.
 */
static void
vmf_reuse_get_hull(const VmfReuse *self, VmfReuse *hull)
{
    hull->n = 0;
    for (guint i = 0; i < self->n; i++) {
        while (hull->n > 1) {
            double run = (double)(self->size[i] - hull->size[hull->n - 2]);
            double part = (double)(hull->size[hull->n - 1] - hull->size[hull->n - 2]);
            double fall = self->wire[i] - hull->wire[hull->n - 2];

            if (hull->wire[hull->n - 1] <= hull->wire[hull->n - 2] + fall * part / run)
                break;
            hull->n--;
        }
        hull->size[hull->n] = self->size[i];
        hull->wire[hull->n] = self->wire[i];
        hull->n++;
    }
}

guint64
vmf_reuse_choose(const VmfReuse *self, guint64 budget, double slack)
{
    VmfReuse hull;
    double limit;

    vmf_reuse_get_hull(self, &hull);
    if (hull.n == 0 || hull.size[0] > budget)
        return 0;
    limit = vmf_reuse_get(&hull, budget) * (1 + slack);
    for (guint i = 0; i < hull.n && hull.size[i] <= budget; i++) {
        double fall;

        if (hull.wire[i] <= limit)
            return hull.size[i];
        if (i + 1 == hull.n || (hull.wire[i + 1] > limit && hull.size[i + 1] <= budget))
            continue;
        fall = (hull.wire[i] - limit) / (hull.wire[i] - hull.wire[i + 1]);
        return MIN(hull.size[i] + (guint64)((double)(hull.size[i + 1] - hull.size[i]) * fall + 1),
                   budget);
    }
    return budget;
}

double
vmf_reuse_get(const VmfReuse *self, guint64 size)
{
    guint at = 0;
    double share;

    if (self->n == 0)
        return 0;
    while (at < self->n && self->size[at] < size)
        at++;
    if (at == 0)
        return self->wire[0];
    if (at == self->n)
        return self->wire[at - 1];
    share = (double)(size - self->size[at - 1]) / (double)(self->size[at] - self->size[at - 1]);
    return self->wire[at - 1] + share * (self->wire[at] - self->wire[at - 1]);
}

guint64
vmf_reuse_recommend(const VmfReuse *self, guint64 budget)
{
    guint64 size = vmf_reuse_choose(self, budget, VMF_REUSE_SLACK);

    return MIN((guint64)((double)size * VMF_REUSE_MARGIN), budget);
}

/* As above, but by steps: where a curve has few points, it falls at them and not between. */
static double
vmf_reuse_get_step(const VmfReuse *self, guint64 size)
{
    guint at = 0;

    while (at + 1 < self->n && self->size[at + 1] <= size)
        at++;
    return self->n ? self->wire[at] : 0;
}

void
vmf_reuse_since(const VmfReuse *now, const VmfReuse *before, VmfReuse *ret)
{
    double least = G_MAXDOUBLE;

    *ret = *now;
    for (guint i = 0; i < now->n; i++) {
        ret->wire[i] = MAX(now->wire[i] - vmf_reuse_get_step(before, now->size[i]), 0);
        least = ret->wire[i] = MIN(ret->wire[i], least); /* samples scatter */
    }
}
