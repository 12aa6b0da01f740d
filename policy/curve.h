/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two curves that decisions are read off.
 *
 * VmfWorkingSet is W(t): bytes of a guest that are written within t seconds, at a few measured t.
 * VmfReuse is what a cache of some size would have made of pages sent again: bytes that would have
 * gone on the wire. Both are plain data of a fixed size, ascending in their first column. Pure.
 */
#pragma once

#include <glib.h>

#define VMF_CURVE_MAX 32

typedef struct {
    guint n;
    double seconds[VMF_CURVE_MAX];
    double bytes[VMF_CURVE_MAX];
} VmfWorkingSet;

/*
 * Adds a measurement, or replaces the one of that period. Periods are more than 0; more than
 * VMF_CURVE_MAX are ignored.
 */
void vmf_working_set_add(VmfWorkingSet *curve, double seconds, double bytes);

/*
 * W(t), never more than `ram`; 0 without any measurement. Between measurements it follows the power
 * law that joins them. Below the first it lies between that and a constant rate: a set that was
 * full after the first period may have been so long before.
 */
double vmf_working_set_get(const VmfWorkingSet *curve, double seconds, double ram);

typedef struct {
    guint n;
    guint64 size[VMF_CURVE_MAX]; /* bytes of cache; the first may be 0 */
    double wire[VMF_CURVE_MAX];  /* bytes that go on the wire with it; never rises */
} VmfReuse;

/*
 * The smallest size up to `budget` with which at most 1 + `slack` times as much is sent as with the
 * whole budget, between points, too. 0 if even the smallest is over the budget, or for an empty
 * curve. For a cache that does not let every newcomer in.
 */
guint64 vmf_reuse_choose(const VmfReuse *curve, guint64 budget, double slack);

/* The size to be taken, of at most `budget`: as above for some 1.5 %, and a little more. */
guint64 vmf_reuse_recommend(const VmfReuse *curve, guint64 budget);

/*
 * What was sent between two readings of one curve that counts from the start, in `ret` with the
 * sizes of `now`. Both in bytes, not in shares.
 */
void vmf_reuse_since(const VmfReuse *now, const VmfReuse *before, VmfReuse *ret);

/* Bytes on the wire with a cache of `size`, between points by straight lines; 0 without points. */
double vmf_reuse_get(const VmfReuse *curve, guint64 size);
