/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pump/pack-choice.h"

#define PERIOD (100 * 1000)            /* µs that a decision is based on */
#define PERIOD_RAW (50 * 1000)         /* the same while nothing is packed */
#define SETTLE (50 * 1000)             /* µs of a trial in which buffers fill or drain */
#define TRY_SOON (200 * 1000)          /* µs to the first trial of what was only foreseen */
#define TRY_FIRST (700 * 1000)         /* µs between trials, at first */
#define TRY_LAST (30 * G_USEC_PER_SEC) /* and in the end */
#define TRY_EXPECTED (1500 * 1000)     /* to the first, of what somebody knew */
#define TRY_RARER 4
#define LESS_FIRST G_USEC_PER_SEC  /* µs after which less is tried again */
#define LESS_JUDGED G_USEC_PER_SEC /* µs in which a step down is judged, or not at all */
#define LESS_BETTER 1.05           /* times as fast: worth packing less */
#define STEP_UP_EVERY G_USEC_PER_SEC
#define WORTH 1.04          /* in / out that is worth the work */
#define LITTLE (256 * 1024) /* bytes: too few to say what pages pack to */
#define FASTER 1.1          /* that is faster, and not chance */
#define PROMISING 1.25      /* times as fast, if the samples are right: worth a trial */
#define BUSY 0.85           /* share of the time in which the packer holds others up */
#define BLOCKED 0.2         /* and in which the link does */
#define RESERVE 0.6         /* share of the time that a harder way may take */
#define STARVED 0.7 /* share of the time with work, below which QEMU is what is waited for */
#define CHEAP 0.25  /* share of a processor that packing may take, whatever is waited for */
#define PROMISED 2  /* periods in a row that either is foreseen in: QEMU begins slowly */
#define LEFT 0.6    /* of a sample's speed, when the other stages run beside it */
#define SAMPLE_FIRST (256 * 1024)     /* bytes between two samples, at first */
#define SAMPLE_LAST (4 * 1024 * 1024) /* and in the end */
#define SAMPLE_KEEP 0.8               /* weight of what was before, after the next sample */

/* From not at all to hard; `cost`: time per byte, about, of the cheapest. */
static const struct {
    VmfPackWay way;
    double cost;
} ways[VMF_PACK_WAYS] = {
    {{.raw = TRUE}, 0},
    {{.level = -4}, 1},
    {{.level = 1}, 1.3},
    {{.level = 3}, 2},
    {{.level = 3, .far = TRUE}, 3},
};

#define RAW 0
#define BEGIN 2

void
vmf_pack_choice_init(VmfPackChoice *choice, guint lanes)
{
    *choice = (VmfPackChoice){
        .wanted = VMF_PACK_AUTO, .lanes = lanes, .at = RAW, .less_interval = LESS_FIRST};
}

void
vmf_pack_choice_expect(VmfPackChoice *choice, guint level, gint64 now)
{
    guint at = RAW;

    while (at + 1 < VMF_PACK_WAYS && !ways[at + 1].way.far && ways[at + 1].way.level <= (int)level)
        at++;
    if (level == 0 || at == RAW)
        return;
    choice->at = at;
    choice->since = choice->tried = now;
    choice->try_interval = TRY_EXPECTED;
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
    choice->since = choice->tried = choice->sum.end;
    choice->try_interval = TRY_FIRST;
    choice->promised = 0;
    choice->harder = 0;
    choice->odd_in = choice->odd_out = 0;
}

/* Less is packed since the last decision: if that was no faster, it is taken back. */
static void
vmf_pack_choice_compare(VmfPackChoice *choice, double rate)
{
    gboolean better = rate > choice->harder * LESS_BETTER;

    choice->harder = 0;
    if (better) {
        choice->less_interval = LESS_FIRST;
        return;
    }
    vmf_pack_choice_go(choice, choice->at + 1);
    choice->less_at = choice->sum.end + choice->less_interval;
    choice->less_interval = MIN(choice->less_interval * TRY_RARER, TRY_LAST);
}

static void
vmf_pack_choice_pack_less(VmfPackChoice *choice, double rate)
{
    vmf_pack_choice_go(choice, choice->at - 1);
    choice->harder = rate;
}

/* FALSE: what was packed of late did not get smaller. */
static gboolean
vmf_pack_choice_pays(VmfPackChoice *choice)
{
    gboolean pays;

    choice->odd_in += (double)choice->sum.in;
    choice->odd_out += (double)choice->sum.out;
    if (choice->odd_in < LITTLE)
        return TRUE;
    pays = choice->odd_in > choice->odd_out * WORTH;
    choice->odd_in = choice->odd_out = 0;
    return pays;
}

/* The share of what all lanes could do that they did. */
static double
vmf_pack_choice_busy(const VmfPackChoice *choice, double wall)
{
    return (double)choice->sum.busy / wall / choice->lanes;
}

/* Whether packing itself shall be another. */
static void
vmf_pack_choice_adjust(VmfPackChoice *choice, double wall, double rate)
{
    const VmfPackBatch *sum = &choice->sum;
    double busy = vmf_pack_choice_busy(choice, wall), blocked = (double)sum->blocked / wall;
    guint next = choice->at + 1;

    if (sum->end - choice->since > LESS_JUDGED)
        choice->harder = 0; /* nobody knows what it was like before */
    if (!vmf_pack_choice_pays(choice))
        vmf_pack_choice_go(choice, RAW);
    else if (choice->harder > 0 && busy + blocked > STARVED)
        vmf_pack_choice_compare(choice, rate);
    else if (choice->harder > 0)
        return; /* QEMU had little: the next period tells */
    else if (busy > BUSY && blocked < BLOCKED && choice->at > 1 && sum->end >= choice->less_at)
        vmf_pack_choice_pack_less(choice, rate);
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
        vmf_pack_choice_go(choice, packed ? BEGIN : RAW);
    } else {
        choice->try_interval = CLAMP(choice->try_interval * TRY_RARER, TRY_FIRST, TRY_LAST);
    }
}

/* Nothing is packed. TRUE: that is worth a trial. */
static gboolean
vmf_pack_choice_foresee(VmfPackChoice *choice, double wall, double rate)
{
    double ratio = choice->sample_in / MAX(choice->sample_out, 1);
    gboolean blocked = (double)choice->sum.blocked / wall > BLOCKED;
    double speed = choice->speed * LEFT * MAX(choice->lanes - 1.0, 1); /* one's processor is busy */
    gboolean cheap, faster;

    if (choice->speed <= 0 || ratio < WORTH)
        return FALSE;
    cheap = rate * (blocked ? ratio : 1) < choice->speed * CHEAP;
    faster = blocked && MIN(speed, rate * ratio) > rate * PROMISING;
    choice->promised = cheap || faster ? choice->promised + 1 : 0;
    if (choice->promised < PROMISED)
        return FALSE;
    if (cheap) {
        vmf_pack_choice_go(choice, BEGIN);
        choice->try_interval = TRY_SOON;
    }
    return faster && !cheap;
}

/* Packing. TRUE: as they are, bytes might go faster. */
static gboolean
vmf_pack_choice_doubt(VmfPackChoice *choice, double wall, double rate)
{
    const VmfPackBatch *sum = &choice->sum;
    double busy = (double)sum->busy / wall, work = busy + (double)sum->blocked / wall;

    vmf_pack_choice_adjust(choice, wall, rate);
    return choice->at != RAW && choice->harder <= 0 && work > STARVED && busy > CHEAP;
}

static void
vmf_pack_choice_decide(VmfPackChoice *choice, double wall, double rate)
{
    const VmfPackBatch *sum = &choice->sum;
    gboolean other = choice->at == RAW
                         ? vmf_pack_choice_foresee(choice, wall, rate * G_USEC_PER_SEC)
                         : vmf_pack_choice_doubt(choice, wall, rate);

    choice->rate = rate;
    choice->trying = other && sum->end - choice->tried > choice->try_interval;
    if (choice->trying)
        choice->tried = sum->end;
}

void
vmf_pack_choice_note(VmfPackChoice *choice, const VmfPackBatch *batch)
{
    VmfPackBatch *sum = &choice->sum;
    gint64 wall;

    choice->total += batch->in;
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
    if (wall < (vmf_pack_choice_way(choice).raw ? PERIOD_RAW : PERIOD) || sum->in == 0)
        return;
    if (choice->trying == (choice->at == RAW)) /* these were packed */
        choice->ratio = (double)sum->in / (double)MAX(sum->out, 1);
    if (choice->trying)
        vmf_pack_choice_judge(choice, (double)sum->in / (double)wall);
    else
        vmf_pack_choice_decide(choice, (double)wall, (double)sum->in / (double)wall);
    *sum = (VmfPackBatch){0};
}

gboolean
vmf_pack_choice_wants_sample(const VmfPackChoice *choice)
{
    guint64 since = choice->total - choice->sampled;

    return choice->wanted == VMF_PACK_AUTO && vmf_pack_choice_way(choice).raw &&
           (choice->sample_in <= 0 || since >= CLAMP(choice->total / 8, SAMPLE_FIRST, SAMPLE_LAST));
}

void
vmf_pack_choice_note_sample(VmfPackChoice *choice, gsize in, gsize out, gint64 time)
{
    choice->sampled = choice->total;
    choice->sample_in = choice->sample_in * SAMPLE_KEEP + (double)in;
    choice->sample_out = choice->sample_out * SAMPLE_KEEP + (double)out;
    /* what is slower was interrupted, or the first one */
    choice->speed = MAX(choice->speed * 0.9, (double)in * G_USEC_PER_SEC / (double)MAX(time, 1));
}

VmfPackWay
vmf_pack_choice_way(const VmfPackChoice *choice)
{
    if (choice->wanted == VMF_PACK_OFF)
        return ways[RAW].way;
    if (choice->wanted != VMF_PACK_AUTO)
        return (VmfPackWay){.level = choice->wanted, .far = TRUE};
    if (choice->trying)
        return ways[choice->at == RAW ? BEGIN : RAW].way;
    return ways[choice->at].way;
}
