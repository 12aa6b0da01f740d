/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The plan of a migration: every engine and setting that agreement and policy allow is predicted,
 * and the best is taken. Facts in, plan out; pure.
 *
 * Best is: converges; then soonest, with more downtime than allowed counted against it; of those
 * within a few percent, the one with the fewest bytes, then the smallest cache.
 */
#pragma once

#include "policy/model.h"

#define VMF_PLAN_CHOICES 64

typedef struct {
    VmfSetting setting;
    VmfPrediction prediction;
} VmfChoice;

typedef struct {
    VmfSetting setting;       /* chosen */
    VmfPrediction prediction; /* of it */
    double deadline;          /* s from the start; 0: none */
    VmfDeadlineAction on_deadline;
    gboolean throttle; /* let QEMU slow the guest down, from the start */
    gboolean postcopy; /* to be allowed at the start */
    guint n;           /* all that were weighed, best first */
    VmfChoice choices[VMF_PLAN_CHOICES];
} VmfPlan;

/*
 * FALSE: policy and agreement have no engine in common. `decisions` (policy/decision.h) gets what
 * was chosen and why, at `now`; may be NULL.
 */
gboolean vmf_plan_make(const VmfFacts *facts, const VmfPolicy *policy, gint64 now,
                       GPtrArray *decisions, VmfPlan *plan);

/*
 * The level of zstd's that a pump begins with, before it has found out by itself what pays: one
 * that keeps up with the link, as fast as that is known to be. 0: the plan does not pack, or only
 * just keeps up: a guest whose memory went over a link without a limit makes it no faster than
 * QEMU.
 */
guint vmf_plan_get_level(const VmfPlan *plan, const VmfFacts *facts);

/*
 * The size that QEMU's own cache should have before anybody starts a migration with it, from W(t):
 * a power of two, at least QEMU's default of 64 MiB and within what the policy allows. Free of
 * charge until a migration takes it. `decisions` gets why, if it is not `now_size`; may be NULL.
 */
guint64 vmf_plan_native_cache(const VmfFacts *facts, const VmfPolicy *policy, guint64 now_size,
                              gint64 now, GPtrArray *decisions);

/* "pump, deltas with 256.0 MiB, zstd"; the caller's. */
char *vmf_setting_format(const VmfSetting *setting);
