/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a pre-copy migration would go: pass by pass, from what is known of the guest, the link and
 * the hosts.
 *
 * A pass sends what was written during the one before. Pages go as a few bytes if they are zero or
 * unchanged, as a delta if a cache still has what was sent last, else whole and perhaps compressed.
 * It ends when what is left fits the downtime that is allowed. Pure; plain data.
 */
#pragma once

#include "policy/curve.h"
#include "policy/policy.h"

#define VMF_MODEL_PASSES 64

/* Bytes, bytes/s, shares from 0 to 1. What was not measured has the value of vmf_facts_init(). */
typedef struct {
    guint64 ram;
    double zero_share;      /* of the guest's pages */
    VmfWorkingSet written;  /* W(t) */
    double whole_ratio;     /* of a whole page, compressed: bytes on the wire per byte */
    double delta_ratio;     /* of a delta before compression, per byte of page */
    double packed_ratio;    /* of a delta, compressed */
    double unchanged_share; /* of pages sent again, those whose content is the same */
    double overhead; /* s, that a migration takes besides its passes: talk, libvirt, beginning */
    double link_rate;
    double engine_rate[4]; /* what each engine can take from QEMU, by bit of VmfEngines */
    double compress_rate;  /* bytes of pages that the processors allowed can compress in a second */
    guint64 source_free;   /* memory */
    guint64 destination_free;
    guint engines;     /* VmfEngines: agreed with the peer */
    gboolean zstd;     /* agreed */
    gboolean postcopy; /* possible */
    gboolean parallel; /* asked for: QEMU's parallel connections know no deltas, and pumps carry
                          them as they are */
} VmfFacts;

typedef struct {
    VmfEngines engine;
    gboolean delta;
    guint64 cache; /* bytes; of one-sided and native, too */
    gboolean compress;
    double downtime; /* s, allowed */
} VmfSetting;

typedef struct {
    gboolean converges; /* within VMF_MODEL_PASSES, to the downtime allowed */
    guint passes;
    double seconds;  /* until it ends, or until it is clear that it does not by itself */
    double downtime; /* s; if it does not converge: when it is switched over all the same */
    double wire;     /* bytes */
    double set;      /* bytes that are written again and again: what a cache should hold */
} VmfPrediction;

/* What is assumed of a guest of `ram` bytes that nobody has measured. */
void vmf_facts_init(VmfFacts *facts, guint64 ram);

void vmf_model_predict(const VmfFacts *facts, const VmfSetting *setting, VmfPrediction *prediction);

/*
 * The share of pages sent again that a cache of `size` still has, when `set` bytes are in use.
 * `engine` tells whose: QEMU's has one place for each page, ours any.
 */
double vmf_model_hit_share(VmfEngines engine, double size, double set);
