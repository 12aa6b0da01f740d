/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pump/pack-choice.h"

#define PERIOD (100 * 1000)            /* µs that a decision is based on */
#define SETTLE (50 * 1000)             /* µs of a trial in which buffers fill or drain */
#define TRY_FIRST (700 * 1000)         /* µs between trials, at first */
#define TRY_LAST (30 * G_USEC_PER_SEC) /* and in the end */
#define TRY_RARER 4
#define STEP_UP_EVERY (2 * G_USEC_PER_SEC)
#define WORTH 1.04  /* in / out that is worth the work */
#define FASTER 1.1  /* that is faster, and not chance */
#define BUSY 0.85   /* share of the time in which the packer holds others up */
#define BLOCKED 0.2 /* and in which the link does */
#define RESERVE 0.6 /* share of the time that a harder way may take */
#define STARVED 0.7 /* share of the time with work, below which QEMU is what is waited for */

/* From not at all to hard; `cost`: time per byte, about, of the cheapest. */
static const struct {
    VmfPackWay way;
    double cost;
} ways[VMF_PACK_WAYS] = {
    {{.raw = TRUE}, 0},
    {{.level = -4}, 1},
    {{.level = 1}, 1.5},
    {{.level = 1, .far = TRUE}, 2.2},
    {{.level = 3, .far = TRUE}, 3.2},
};

#define FIRST 3 /* a link that is not known yet is taken for thin */
#define RAW 0
#define TRIAL 2

void
vmf_pack_choice_init(VmfPackChoice *choice)
{
    *choice = (VmfPackChoice){.wanted = VMF_PACK_AUTO, .at = FIRST, .try_interval = TRY_FIRST};
}

void
vmf_pack_choice_set(VmfPackChoice *choice, int wanted)
{
    choice->wanted = wanted;
}

static void
vmf_pack_choice_go(VmfPackChoice *choice, guint at)
{
    choice->at = at;
    choice->since = choice->sum.end;
}

/* Whether packing itself shall be another. */
static void
vmf_pack_choice_adjust(VmfPackChoice *choice, double wall)
{
    const VmfPackBatch *sum = &choice->sum;
    double busy = (double)sum->busy / wall, blocked = (double)sum->blocked / wall;
    guint next = choice->at + 1;

    if (choice->ratio < WORTH)
        vmf_pack_choice_go(choice, RAW);
    else if (busy > BUSY && blocked < BLOCKED && choice->at > 1)
        vmf_pack_choice_go(choice, choice->at - 1);
    else if (blocked > BLOCKED && next < VMF_PACK_WAYS &&
             sum->end - choice->since > STEP_UP_EVERY &&
             busy * ways[next].cost / ways[choice->at].cost < RESERVE)
        vmf_pack_choice_go(choice, next);
}

/* The trial is over: which was faster? */
static void
vmf_pack_choice_judge(VmfPackChoice *choice, double rate)
{
    gboolean packed = choice->at == RAW; /* that was tried */

    choice->trying = FALSE;
    if (rate > choice->rate * FASTER && (!packed || choice->ratio > WORTH)) {
        vmf_pack_choice_go(choice, packed ? TRIAL : RAW);
        choice->try_interval = TRY_FIRST;
    } else {
        choice->try_interval = MIN(choice->try_interval * TRY_RARER, TRY_LAST);
    }
}

static void
vmf_pack_choice_decide(VmfPackChoice *choice, double wall, double rate)
{
    const VmfPackBatch *sum = &choice->sum;
    double work = (double)(sum->busy + sum->blocked) / wall;

    if (choice->tried == 0)
        choice->tried = sum->end; /* the first one not at once */
    if (choice->at != RAW)
        vmf_pack_choice_adjust(choice, wall);
    choice->rate = rate;
    choice->trying = work > STARVED && sum->end - choice->tried > choice->try_interval;
    if (choice->trying)
        choice->tried = sum->end;
}

void
vmf_pack_choice_note(VmfPackChoice *choice, const VmfPackBatch *batch)
{
    VmfPackBatch *sum = &choice->sum;
    gint64 wall;

    if (choice->trying && batch->begin < choice->tried + SETTLE)
        return;
    if (sum->begin == 0)
        sum->begin = batch->begin;
    sum->end = batch->end;
    sum->in += batch->in;
    sum->out += batch->out;
    sum->busy += batch->busy;
    sum->blocked += batch->blocked;
    wall = sum->end - sum->begin;
    if (wall < PERIOD || sum->in == 0)
        return;
    if (choice->trying == (choice->at == RAW)) /* these were packed */
        choice->ratio = (double)sum->in / (double)MAX(sum->out, 1);
    if (choice->trying)
        vmf_pack_choice_judge(choice, (double)sum->in / (double)wall);
    else
        vmf_pack_choice_decide(choice, (double)wall, (double)sum->in / (double)wall);
    *sum = (VmfPackBatch){0};
}

VmfPackWay
vmf_pack_choice_way(const VmfPackChoice *choice)
{
    if (choice->wanted == VMF_PACK_OFF)
        return ways[RAW].way;
    if (choice->wanted != VMF_PACK_AUTO)
        return (VmfPackWay){.level = choice->wanted, .far = TRUE};
    if (choice->trying)
        return ways[choice->at == RAW ? TRIAL : RAW].way;
    return ways[choice->at].way;
}
