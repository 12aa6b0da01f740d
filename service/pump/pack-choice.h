/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How hard to pack, by what it did for us lately.
 *
 * What counts is how fast QEMU gets rid of its bytes. Bytes go as they are at first, and where that
 * is held up by nothing, or by processors. Now and then a few of them are packed aside, which costs
 * next to nothing and tells how much smaller they get, and how fast. From that and from what the
 * link drains follows what packing would give: if it takes a small part of a processor only, it is
 * begun, and looked at again soon; if it would be faster, it is tried for a moment, since how fast
 * the other processors are cannot be told from here. When a trial has failed the next one is far
 * off.
 *
 * While packing pays: if the packer waited for the link it tries harder, as far as it would still
 * be fast enough; if it was busy all the time it tries less, goes back if that was no faster, and
 * at times tries not at all. To try harder or less costs the history, so it is rare. What does not
 * get smaller goes as it is.
 *
 * Pure: no clock; times are µs of one monotonic clock, passed in. Threads: one at a time.
 */
#pragma once

#include "pump/pack.h"

#define VMF_PACK_AUTO (-1)
#define VMF_PACK_OFF 0
#define VMF_PACK_LEVEL_MAX 19
#define VMF_PACK_SHARED 4 /* the highest level that is packed in several lanes */

typedef struct {
    gint64 begin, end;
    gsize in, out;  /* bytes before and after */
    gint64 busy;    /* packing, in one lane */
    gint64 blocked; /* waiting for the link */
} VmfPackBatch;

#define VMF_PACK_WAYS 5

typedef struct {
    int wanted; /* VMF_PACK_AUTO, VMF_PACK_OFF or a level */
    guint lanes;
    guint at; /* of the ways */
    gint64 since;

    double odd_in, odd_out; /* bytes that were packed, too few yet to say what they pack to */

    double harder;        /* bytes/s in of the harder way that was left just now; 0: none was */
    gint64 less_at;       /* when less may be tried again, */
    gint64 less_interval; /* and how long after that */

    guint promised; /* periods in a row for which packing was foreseen to be good */

    gboolean trying;     /* the other thing */
    gint64 tried;        /* when the last trial began; 0: never */
    gint64 try_interval; /* until the next one */
    double rate;         /* bytes/s in, before the trial */

    VmfPackBatch sum; /* since the last decision */
    double ratio;     /* in / out, of what was packed last */

    guint64 total, sampled;       /* bytes in; and as many at the last sample */
    double sample_in, sample_out; /* of the latest samples */
    double speed;                 /* bytes/s that a sample was packed at */
} VmfPackChoice;

/* `lanes`: that can be packed in side by side. */
void vmf_pack_choice_init(VmfPackChoice *choice, guint lanes);

/*
 * That packing at about this level is expected to pay, from what link and guest did before: it
 * begins with that at `now`, and finds out like any other time. 0: nothing is expected.
 */
void vmf_pack_choice_expect(VmfPackChoice *choice, guint level, gint64 now);

/* VMF_PACK_AUTO, VMF_PACK_OFF, or a level of zstd's. */
void vmf_pack_choice_set(VmfPackChoice *choice, int wanted);

/* Bytes were dealt with (packed or not). */
void vmf_pack_choice_note(VmfPackChoice *choice, const VmfPackBatch *batch);

/* Some of the bytes that go as they are shall be packed aside; and what came of them in `time`. */
gboolean vmf_pack_choice_wants_sample(const VmfPackChoice *choice);
void vmf_pack_choice_note_sample(VmfPackChoice *choice, gsize in, gsize out, gint64 time);

/* For the next batch. */
VmfPackWay vmf_pack_choice_way(const VmfPackChoice *choice);
