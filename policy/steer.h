/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is done during a migration: observations in, actions out, each with its reason.
 *
 * A VmfSteer is told what is seen, at least at the beginning of each pass and about once a second,
 * and answers with what to do now. It keeps what it needs from one time to the next, does no I/O
 * and asks no clock, so that a simulator can drive it. Times are µs of any clock that does not
 * jump.
 *
 * Settings change at most once per pass, at its beginning where that is known: within a pass
 * numbers go up and down with what is being scanned. Two things do not wait for a pass: the
 * deadline, and giving memory back when the host runs short.
 * Belongs to one thread.
 */
#pragma once

#include "policy/curve.h"
#include "policy/policy.h"

typedef enum {
    VMF_ACTION_CACHE,      /* value: bytes */
    VMF_ACTION_DELTA,      /* value: 0 off, 1 on */
    VMF_ACTION_DOWNTIME,   /* value: ms */
    VMF_ACTION_SWITCHOVER, /* stop the guest */
    VMF_ACTION_POSTCOPY,
    VMF_ACTION_ABORT
} VmfActionKind;

typedef struct {
    VmfActionKind kind;
    guint64 value;
} VmfAction;

#define VMF_ACTIONS_MAX 4

/* Counters run from the start of the migration. What is not known is 0, or NULL. */
typedef struct {
    gint64 now;
    guint pass;              /* from 1 */
    guint64 remaining;       /* bytes of pages still to be sent in this pass */
    guint64 processed;       /* bytes of pages that went through, zero pages too */
    guint64 wire;            /* bytes on the wire */
    double link_rate;        /* bytes/s now; 0: stalled, or not known */
    guint64 cache_size;      /* of QEMU's; taken over when none was known at the start */
    guint64 cache_most;      /* that there is memory for, for ours; 0: as the policy has it */
    guint64 again;           /* pages sent that the cache was asked for */
    guint64 misses;          /* of those, how many it did not have */
    guint64 overflows;       /* and of how many the delta was larger than the page */
    const VmfReuse *reuse;   /* what any cache would have made of all pages sent again so far */
    guint64 source_free;     /* memory of this host, bytes */
    gboolean under_pressure; /* processes wait for memory here */
} VmfObservation;

typedef struct {
    guint64 ram;
    gboolean native;    /* QEMU's own cache: powers of two, emptied by a change of its size */
    gboolean cache;     /* there is one at all */
    gboolean fixed;     /* its size cannot be changed while the migration runs */
    guint64 cache_size; /* it has at the start */
    guint64 cache_most; /* that the engine takes */
    guint downtime;     /* ms, as it is at the start; 0: not ours to set */
    gboolean postcopy;  /* can be switched to */
    gint64 started;
    guint64 source_free;   /* memory; without it the policy's own limit alone holds */
    VmfWorkingSet written; /* as measured before; may be empty */
} VmfSteerStart;

typedef struct VmfSteer VmfSteer;

/* `policy` and `decisions` (policy/decision.h) are borrowed and must live as long. */
VmfSteer *vmf_steer_new(const VmfPolicy *policy, const VmfSteerStart *start, GPtrArray *decisions);
void vmf_steer_free(VmfSteer *steer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfSteer, vmf_steer_free)

/* How many actions are to be done now, in order; at most VMF_ACTIONS_MAX. */
guint vmf_steer_observe(VmfSteer *steer, const VmfObservation *seen, VmfAction *actions);

/* Bytes the cache has, or was told to have. */
guint64 vmf_steer_get_cache(const VmfSteer *steer);

/* 0 to 1, never goes back, and 1 only when somebody else says that it is over. */
double vmf_steer_get_progress(const VmfSteer *steer);

/* Seconds left; negative when it cannot be known: the guest writes as fast as it is sent. */
double vmf_steer_get_time_left(const VmfSteer *steer);
