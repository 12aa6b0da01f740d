/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The inside of a VmfSteer; see steer.h. */
#pragma once

#include "policy/steer.h"

/* What is known of a pass: counters at its beginning. */
typedef struct {
    guint number;
    gint64 began;
    guint64 remaining;
    guint64 processed;
    guint64 wire;
    guint64 again;
    guint64 misses;
    guint64 overflows;
} VmfPass;

struct VmfSteer {
    const VmfPolicy *policy;
    VmfSteerStart start;
    GPtrArray *decisions;
    double deadline; /* s from the start; 0: none */

    VmfPass pass;    /* this one */
    VmfPass before;  /* the one before; number 0: not seen */
    double took;     /* s: the pass before this one */
    double shrinks;  /* this pass began with so many times what the one before began with */
    double pace;     /* bytes of pages that go through in a second, of late */
    gint64 asked;    /* when it was asked last */
    double interval; /* s between the latest two observations */
    gint64 seen;     /* when pages had gone through, and how many bytes of them */
    guint64 seen_processed;

    VmfReuse reuse_before; /* the curve as the pass before this one began; n 0: not known */
    VmfReuse reuse_pass;   /* as this one began */

    guint64 cache;
    gboolean delta;
    guint downtime;     /* ms */
    guint changed;      /* pass of the latest change of settings */
    guint gave_back;    /* pass in which memory was given back */
    guint resized;      /* pass in which the cache changed its size */
    guint stuck;        /* passes in a row that brought nothing */
    guint near;         /* passes in a row that began with nearly nothing */
    gboolean regretted; /* a fixed size was found too small, and that was said */
    gboolean ended;     /* the deadline's action was taken */

    double progress;
    double left; /* s; negative: not known */
};

/* The rules of the cache (steer-cache.c): whether its size should change, and why. */
gboolean vmf_steer_choose_cache(VmfSteer *steer, const VmfObservation *seen, guint64 *ret_size,
                                const char **ret_rule, char **ret_numbers);

/*
 * What any cache would have made of the pages sent since the pass before this one began. FALSE: not
 * known; what came again in the second pass tells how far apart the first two send a page, and
 * nothing of passes to come.
 */
gboolean vmf_steer_get_reuse(const VmfSteer *steer, const VmfObservation *seen, VmfReuse *ret);

/* The most that policy and host allow it now. */
guint64 vmf_steer_get_allowed(const VmfSteer *steer, const VmfObservation *seen);

/* Likewise, and that other migrations leave it. */
guint64 vmf_steer_get_budget(const VmfSteer *steer, const VmfObservation *seen);

/* That is less. */
gboolean vmf_steer_is_rationed(const VmfSteer *steer, const VmfObservation *seen);

/*
 * Bytes that are likely to be sent again, from what passes began with and the measured W(t);
 * 0: not known yet.
 */
guint64 vmf_steer_get_set(const VmfSteer *steer, const VmfObservation *seen);

/* Bytes that will have been written since the pass began, `ahead` s from now, about. */
double vmf_steer_guess_written(const VmfSteer *steer, const VmfObservation *seen, double ahead);

/* Keeps progress and time left honest (steer-progress.c). */
void vmf_steer_note_progress(VmfSteer *steer, const VmfObservation *seen);
