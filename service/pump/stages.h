/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What QEMU's main connection passes through at the source: the delta stage (pump/rewrite.h), then
 * packing (pump/packer.h), in threads of their own, so that the main loop goes on reading and
 * sending.
 *
 *   main loop -> duct -> rewrite -> duct -> pack -> duct -> main loop
 *
 * The ducts are short, since what is in them when the guest stops is downtime: a stage whose
 * output is full waits, and so, in the end, does QEMU. When its input is empty a stage hands on
 * all it has.
 *
 * As long as the link is not what is waited for, little memory is taken for old contents.
 *
 * Threads: belongs to the one whose thread-default context it was made in; the settings may be
 * changed while it runs.
 */
#pragma once

#include "pump/duct.h"
#include "pump/packer.h"
#include "pump/rewrite.h"

typedef struct {
    VmfRewriteSetup rewrite;
    VmfPackerSetup packer;
} VmfStagesSetup;

/* There is nothing to be done. */
static inline gboolean
vmf_stages_setup_is_empty(const VmfStagesSetup *setup)
{
    return !setup->rewrite.unchanged && !setup->rewrite.xbzrle && !setup->rewrite.loadable &&
           setup->packer.window_log == 0;
}

/* What can be changed at any moment. */
typedef struct {
    gboolean delta;
    guint64 cache;  /* bytes */
    int zstd;       /* VMF_PACK_AUTO, VMF_PACK_OFF or a level */
    guint expected; /* level that AUTO begins with, if set before the first byte; 0: none */
} VmfStagesSettings;

#define VMF_CURVE_POINTS 16

typedef struct {
    VmfRewriteFigures rewrite;
    VmfSamplerPoint
        curve[VMF_CURVE_POINTS]; /* of the reuse distances, every 200 ms; and from how */
    guint curve_points;          /* many pages */
    guint64 repeats;
    VmfPackerFigures packer;
    gsize waiting, waiting_out; /* bytes that may wait in the ducts: before packing, and after */
    gint64 rewrite_cpu;         /* µs */
    char why[160];              /* that nothing is rewritten any more; "" */
} VmfStagesFigures;

typedef struct VmfStages VmfStages;

/* stirred: from the main loop: there is output, or room, or the end. */
VmfStages *vmf_stages_new(const VmfStagesSetup *setup, const VmfStagesSettings *settings,
                          VmfChunkPool *pool, void (*stirred)(gpointer owner), gpointer owner);

/* Ends the threads. */
void vmf_stages_free(VmfStages *stages);

void vmf_stages_set(VmfStages *stages, const VmfStagesSettings *settings);

/* Bytes that are taken now; vmf_stages_put() takes the reference. */
gsize vmf_stages_room(VmfStages *stages);
void vmf_stages_put(VmfStages *stages, VmfSlice bytes);
void vmf_stages_end(VmfStages *stages);

/* The next output; the reference is the caller's. OVER after all that was put before the end. */
VmfDuctAnswer vmf_stages_take(VmfStages *stages, VmfParcel *ret);

/* The destination could not load what comes, and nothing follows; the caller's. NULL: no error. */
GError *vmf_stages_dup_error(VmfStages *stages);

/* Everything shall pass untouched; `why` is static. */
void vmf_stages_give_up(VmfStages *stages, const char *why);

/*
 * Post-copy has begun, all that was put has been taken, and nothing is to be done with what
 * follows: the stages can be left out. Asked again and again while the input rests.
 */
gboolean vmf_stages_wants_out(const VmfStages *stages);
gboolean vmf_stages_is_drained(VmfStages *stages);

/* Drops all. Figures stay. */
void vmf_stages_stop(VmfStages *stages);

void vmf_stages_get_figures(VmfStages *stages, VmfStagesFigures *ret);
