/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How hard to pack, by what it did for us lately.
 *
 * What counts is how fast QEMU gets rid of its bytes. Whether the link, this host's processor or
 * the other's is what everybody waits for cannot be told from here; so now and then the other thing
 * is tried for a moment, bytes as they are or packed ones, and the faster way is kept. When that
 * was clear the next trial is far off. Nothing is tried while the packer waits for QEMU: then it
 * holds nobody up. What does not get smaller goes as it is.
 *
 * While packing pays: if the packer waited for the link it tries harder, as far as it would still
 * be fast enough; if it was busy all the time it tries less. That costs the history, so it is rare.
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

    gboolean trying;     /* the other thing */
    gint64 tried;        /* when the last trial began; 0: never */
    gint64 try_interval; /* until the next one */
    double rate;         /* bytes/s in, before the trial */

    VmfPackBatch sum; /* since the last decision */
    double ratio;     /* in / out, of what was packed last */
} VmfPackChoice;

void vmf_pack_choice_init(VmfPackChoice *choice);

/* VMF_PACK_AUTO, VMF_PACK_OFF, or a level of zstd's. */
void vmf_pack_choice_set(VmfPackChoice *choice, int wanted);

/* Bytes were dealt with (packed or not). */
void vmf_pack_choice_note(VmfPackChoice *choice, const VmfPackBatch *batch);

/* For the next batch. */
VmfPackWay vmf_pack_choice_way(const VmfPackChoice *choice);
