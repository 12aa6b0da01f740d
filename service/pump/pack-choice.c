/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pump/pack-choice.h"

#define PERIOD (150 * 1000)        /* µs between decisions */
#define PROBE_EVERY G_USEC_PER_SEC /* that it does not pay is looked at again */
#define STEP_UP_EVERY (2 * G_USEC_PER_SEC)
#define WORTH 1.04  /* in / out that is worth the work */
#define BUSY 0.85   /* share of the time in which the packer holds others up */
#define BLOCKED 0.2 /* and in which the link does */
#define RESERVE 0.6 /* share of the time that a harder way may take */

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
#define PROBE 2

void
vmf_pack_choice_init(VmfPackChoice *choice)
{
    *choice = (VmfPackChoice){.wanted = VMF_PACK_AUTO, .at = FIRST};
}

void
vmf_pack_choice_set(VmfPackChoice *choice, int wanted)
{
    choice->wanted = wanted;
}

static void
vmf_pack_choice_go(VmfPackChoice *choice, guint at, gint64 now)
{
    if (at == 0)
        choice->looked = now;
    choice->at = at;
    choice->since = now;
}

/* With raw bytes: would packing be faster than the link is? */
static gboolean
vmf_pack_choice_pays(const VmfPackChoice *choice, guint64 link_rate)
{
    return choice->ratio > WORTH && choice->speed > (double)link_rate * 1.1;
}

static void
vmf_pack_choice_decide_packed(VmfPackChoice *choice, guint64 link_rate)
{
    const VmfPackBatch *sum = &choice->sum;
    double wall = (double)MAX(sum->end - sum->begin, 1);
    double busy = (double)sum->busy / wall, blocked = (double)sum->blocked / wall;
    guint next = choice->at + 1;

    if (choice->ratio < WORTH)
        vmf_pack_choice_go(choice, 0, sum->end);
    else if (busy > BUSY && blocked < BLOCKED)
        vmf_pack_choice_go(choice, choice->speed < (double)link_rate ? 0 : choice->at - 1,
                           sum->end);
    else if (blocked > BLOCKED && next < VMF_PACK_WAYS &&
             sum->end - choice->since > STEP_UP_EVERY &&
             busy * ways[next].cost / ways[choice->at].cost < RESERVE)
        vmf_pack_choice_go(choice, next, sum->end);
}

static void
vmf_pack_choice_learn(VmfPackChoice *choice, const VmfPackBatch *batch)
{
    if (batch->out > 0)
        choice->ratio = (double)batch->in / (double)batch->out;
    if (batch->busy > 0)
        choice->speed = (double)batch->in * G_USEC_PER_SEC / (double)batch->busy;
}

/* One batch was packed to see whether it pays. */
static void
vmf_pack_choice_judge_probe(VmfPackChoice *choice, guint64 link_rate)
{
    choice->probing = FALSE;
    choice->looked = choice->sum.end;
    vmf_pack_choice_learn(choice, &choice->sum);
    if (vmf_pack_choice_pays(choice, link_rate))
        vmf_pack_choice_go(choice, PROBE, choice->sum.end);
}

void
vmf_pack_choice_note(VmfPackChoice *choice, const VmfPackBatch *batch, guint64 link_rate)
{
    VmfPackBatch *sum = &choice->sum;

    if (sum->begin == 0)
        sum->begin = batch->begin;
    sum->end = batch->end;
    sum->in += batch->in;
    sum->out += batch->out;
    sum->busy += batch->busy;
    sum->blocked += batch->blocked;
    if (choice->probing ? sum->out == 0 : sum->end - sum->begin < PERIOD)
        return;
    if (choice->probing) {
        vmf_pack_choice_judge_probe(choice, link_rate);
    } else if (choice->at == 0) {
        choice->probing = sum->end - choice->looked > PROBE_EVERY;
    } else {
        vmf_pack_choice_learn(choice, sum);
        vmf_pack_choice_decide_packed(choice, link_rate);
    }
    *sum = (VmfPackBatch){0};
}

VmfPackWay
vmf_pack_choice_way(const VmfPackChoice *choice)
{
    if (choice->wanted == VMF_PACK_OFF)
        return ways[0].way;
    if (choice->wanted != VMF_PACK_AUTO)
        return (VmfPackWay){.level = choice->wanted, .far = TRUE};
    return ways[choice->probing ? PROBE : choice->at].way;
}
