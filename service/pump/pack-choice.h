/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How hard to pack, by what it did for us lately.
 *
 * Packing pays as long as the link, and not the processor, is what everybody waits for. So: if
 * the packer waited for the link, it may try harder, as far as it would still be fast enough; if it
 * was busy all the time, it shall try less, down to not at all when the link takes bytes faster
 * than they can be packed. What does not get smaller goes as it is, with a batch now and then to
 * see whether that is still so. Changes cost the history, so they are rare.
 *
 * Pure: no clock; times are µs of one monotonic clock, passed in. Threads: one at a time.
 */
#pragma once

#include "pump/pack.h"

#define VMF_PACK_AUTO (-1)
#define VMF_PACK_OFF 0
#define VMF_PACK_LEVEL_MAX 19

typedef struct {
    gint64 begin, end;
    gsize in, out;  /* bytes before and after */
    gint64 busy;    /* packing */
    gint64 blocked; /* waiting for the link */
} VmfPackBatch;

#define VMF_PACK_WAYS 5

typedef struct {
    int wanted; /* VMF_PACK_AUTO, VMF_PACK_OFF or a level */
    guint at;   /* of the ways */
    gint64 since;
    gint64 looked; /* when packing was last tried in vain */
    gboolean probing;
    guint probe;      /* the way tried */
    VmfPackBatch sum; /* since the last decision */
    double ratio;     /* in / out, at the last decision that could tell */
    double speed;     /* bytes/s in, packing, likewise */
} VmfPackChoice;

void vmf_pack_choice_init(VmfPackChoice *choice);

/* VMF_PACK_AUTO, VMF_PACK_OFF, or a level of zstd's. */
void vmf_pack_choice_set(VmfPackChoice *choice, int wanted);

/* A batch is done (packed or not). link_rate: what the link takes, bytes/s; 0: not known. */
void vmf_pack_choice_note(VmfPackChoice *choice, const VmfPackBatch *batch, guint64 link_rate);

/* For the next batch. */
VmfPackWay vmf_pack_choice_way(const VmfPackChoice *choice);
