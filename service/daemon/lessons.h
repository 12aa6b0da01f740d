/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What migrations through our pump taught about the links to peers and about guests, for the plans
 * of later ones: how fast a link carried, how well a guest's pages pack, how large its deltas are.
 *
 * Kept in memory, of a bounded number of guests, also while a guest is elsewhere: it may come back.
 * What one guest taught is what is assumed of others that nobody knows. Main loop.
 */
#pragma once

#include "daemon/migration.h"
#include "policy/model.h"

typedef struct VmfLessons VmfLessons;

VmfLessons *vmf_lessons_new(void);
void vmf_lessons_unref(VmfLessons *lessons);

/* Learns from a migration from this host, until that is finished; holds a reference meanwhile. */
void vmf_lessons_watch(VmfLessons *lessons, VmfMigration *migration);

/*
 * Replaces in `facts` what is known better: of the guest, else of guests in general, and the link's
 * rate. TRUE: the link is known. `peer` may be NULL.
 */
gboolean vmf_lessons_apply(VmfLessons *lessons, const char *uuid, const char *peer,
                           VmfFacts *facts);

/* ---- the parts, for tests of their own ---- */

typedef struct {
    gboolean packs;     /* something was packed: without that, both ratios of packing are 1 */
    double whole_ratio; /* bytes of pages, before and after packing */
    double delta_ratio;
    double unchanged_share;
} VmfPageLesson;

/*
 * From what a pump counted at the end (a{sv} as in org.vmferry1.Pump, Statistics). FALSE: too few
 * pages came again to tell.
 */
gboolean vmf_lessons_read_pages(GVariant *statistics, VmfPageLesson *lesson);
