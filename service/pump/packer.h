/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The packing stage: takes from one duct, packs in up to so many lanes (pump/pack.h), and hands on
 * to another, in the same order.
 *
 * Each lane has a thread of its own, and each thread does the same: takes as much as makes a batch,
 * or all there is; packs it; waits until what was taken before is handed on; hands it on. The first
 * lane does so all the time. A further one begins only when so much waits that it makes a batch,
 * and there is room behind: where the link is what is waited for, or QEMU, or where bytes go as
 * they are, all are packed by the first lane, which knows most of what came before. Levels above
 * VMF_PACK_SHARED are packed by the first alone, as the tables of each lane would take much memory.
 *
 * Memory: of each lane the window and tables of zstd, and a batch before and after packing.
 * Threads: all but new and free from any.
 */
#pragma once

#include "pump/pack-choice.h"

typedef struct {
    guint window_log; /* agreed on; 0: nothing is packed */
    guint lanes;      /* at most; 0: 1 */
    gboolean proves;  /* what went before is proved where the tail begins */
} VmfPackerSetup;

typedef struct {
    guint64 in, out; /* bytes of what was packed, before and after */
    guint64 raw;     /* bytes that were not */
    guint64 further; /* bytes of `in` that went through other lanes than the first */
    guint64 proofs;  /* of what went before, that were sent */
    VmfPackWay way;
    gint64 cpu; /* µs, of all threads */
} VmfPackerFigures;

typedef struct VmfPacker VmfPacker;

/*
 * Begins at once. The ducts are the owner's, who closes them before vmf_packer_free(); `out` is
 * ended after the last. `expected`: a level that is likely to pay, or 0. `handed_on`: from a thread
 * of its: after each parcel, when it is urgent.
 */
VmfPacker *vmf_packer_new(const VmfPackerSetup *setup, guint expected, VmfDuct *in, VmfDuct *out,
                          VmfChunkPool *pool, void (*handed_on)(gpointer owner), gpointer owner);
void vmf_packer_free(VmfPacker *packer);

/* VMF_PACK_AUTO, VMF_PACK_OFF or a level. */
void vmf_packer_set(VmfPacker *packer, int zstd);

/* From now on bytes go as they are. */
void vmf_packer_set_urgent(VmfPacker *packer);

/* All that was put in is handed on. */
gboolean vmf_packer_is_idle(VmfPacker *packer);

void vmf_packer_get_figures(VmfPacker *packer, VmfPackerFigures *ret);
