/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pump/packer.h"

#include "base/thread-time.h"
#include "pump/prover.h"

/* What is done at a time. */
typedef struct {
    guint64 number;
    gint64 begin, end; /* µs, of packing it */
    VmfPackWay way;
    VmfSliceQueue bytes;
    gsize taken;     /* those that were in it */
    VmfParcel ready; /* what came of it */
    gboolean last;   /* nothing is in it, and nothing follows */
} VmfPackerJob;

typedef struct {
    VmfPacker *packer;
    guint number;
    VmfPack *pack;
    GThread *thread;
    VmfParcel packed; /* the batch that just was */
    gint64 cpu;       /* that was counted already */
} VmfLane;

struct VmfPacker {
    VmfPackerSetup setup;
    VmfDuct *in, *out;
    VmfChunkPool *pool;
    void (*handed_on)(gpointer owner);
    gpointer owner;
    VmfLane lanes[VMF_LANES_MAX];

    /* Who has it takes from `in`; for the following. Comes before the other lock. */
    GMutex turn;
    GCond behind;    /* a further lane may take, or it is over */
    VmfParcel rest;  /* that did not fit into the last job */
    VmfProver *went; /* all that did; NULL: it is not proved */
    gboolean over;

    GMutex lock; /* for the following */
    GCond sent_changed;
    guint64 taken, sent; /* jobs */
    int zstd;
    gboolean urgent;
    VmfPackChoice choice;
    VmfPackerFigures figures;
};

/* ---- taking ---- */

static VmfPackWay
vmf_packer_way(VmfPacker *packer)
{
    VmfPackWay way;

    g_mutex_lock(&packer->lock);
    vmf_pack_choice_set(&packer->choice, packer->zstd);
    way = vmf_pack_choice_way(&packer->choice);
    way.raw |= packer->urgent;
    packer->figures.way = way;
    g_mutex_unlock(&packer->lock);
    return way;
}

/* A batch's worth waits although there is room behind: what is waited for is packing. */
static gboolean
vmf_packer_is_behind(VmfPacker *packer)
{
    VmfPackWay way = vmf_packer_way(packer);

    return !way.raw && way.level <= VMF_PACK_SHARED &&
           packer->rest.bytes.length + vmf_duct_held(packer->in) >= VMF_BATCH_MAX &&
           vmf_duct_room(packer->out) > 0;
}

/* Some of the rest, at most what makes a batch. */
static void
vmf_packer_add(VmfPacker *packer, VmfPackerJob *job)
{
    VmfSlice *rest = &packer->rest.bytes;
    gsize n = job->way.raw ? rest->length : MIN(rest->length, VMF_BATCH_MAX - job->bytes.bytes);
    VmfSlice part = {rest->chunk, rest->data, n};

    if (packer->went)
        vmf_prover_add(packer->went, part.data, n);
    rest->data += n;
    rest->length -= n;
    if (rest->length > 0)
        vmf_chunk_ref(part.chunk);
    else
        rest->chunk = NULL;
    vmf_slice_queue_push(&job->bytes, part);
}

/* The proof of what went before stands in front of the tail, in a job of its own. */
static gboolean
vmf_packer_prove(VmfPacker *packer, VmfPackerJob *job)
{
    if (!packer->went || !packer->rest.tail)
        return FALSE;
    if (job->bytes.bytes == 0) {
        job->ready = vmf_prover_make_parcel(packer->went, packer->pool);
        packer->rest.tail = FALSE;
    }
    return TRUE;
}

/* With the turn. FALSE: there is nothing (more). */
static gboolean
vmf_packer_fetch(VmfPacker *packer, VmfPackerJob *job, gboolean wait)
{
    VmfDuctAnswer answer = VMF_DUCT_PARCEL;

    if (!packer->rest.bytes.chunk)
        answer = vmf_duct_pop(packer->in, wait && job->bytes.bytes == 0, &packer->rest);
    job->last = answer == VMF_DUCT_OVER && job->bytes.bytes == 0;
    return answer == VMF_DUCT_PARCEL;
}

/* With the turn: what makes a batch, or all there is, or one piece that goes as it is. */
static void
vmf_packer_gather(VmfPacker *packer, VmfPackerJob *job, gboolean wait)
{
    while (vmf_packer_fetch(packer, job, wait)) {
        if (job->bytes.bytes == 0) {
            job->begin = g_get_monotonic_time();
            job->way = vmf_packer_way(packer);
        }
        if (vmf_packer_prove(packer, job))
            return;
        vmf_packer_add(packer, job);
        if (job->way.raw || job->bytes.bytes == VMF_BATCH_MAX)
            return;
    }
}

/* FALSE: this lane has done all. */
static gboolean
vmf_lane_take(VmfLane *lane, VmfPackerJob *job)
{
    VmfPacker *packer = lane->packer;
    gboolean any;

    *job = (VmfPackerJob){0};
    g_mutex_lock(&packer->turn);
    while (lane->number > 0 && !packer->over && !vmf_packer_is_behind(packer))
        g_cond_wait(&packer->behind, &packer->turn);
    if (!packer->over)
        vmf_packer_gather(packer, job, lane->number == 0);
    any = job->bytes.bytes > 0 || job->ready.bytes.chunk || job->last;
    packer->over |= job->last;
    if (packer->over)
        g_cond_broadcast(&packer->behind);
    else if (vmf_packer_is_behind(packer))
        g_cond_signal(&packer->behind);
    if (any) {
        g_mutex_lock(&packer->lock);
        job->number = packer->taken++;
        g_mutex_unlock(&packer->lock);
    }
    job->taken = job->bytes.bytes;
    g_mutex_unlock(&packer->turn);
    return any;
}

/* ---- packing ---- */

static void
vmf_lane_packed(gpointer owner, const VmfParcel *parcel, gsize taken)
{
    VmfLane *lane = owner;

    lane->packed = *parcel;
}

/* Packs a little aside, if it is to be known whether it would pay. */
static void
vmf_lane_sample(VmfLane *lane, const VmfSlice *bytes)
{
    VmfPacker *packer = lane->packer;
    gsize length = MIN(bytes->length, VMF_PACK_TRY_MAX), packed;
    gboolean wanted;
    gint64 begin;

    if (length < VMF_PACK_TRY_MAX / 4)
        return;
    g_mutex_lock(&packer->lock);
    wanted = vmf_pack_choice_wants_sample(&packer->choice);
    g_mutex_unlock(&packer->lock);
    if (!wanted)
        return;
    begin = vmf_thread_time();
    packed = vmf_pack_try(lane->pack, bytes->data, length);
    g_mutex_lock(&packer->lock);
    vmf_pack_choice_note_sample(&packer->choice, length, packed, vmf_thread_time() - begin);
    g_mutex_unlock(&packer->lock);
}

static void
vmf_lane_work(VmfLane *lane, VmfPackerJob *job)
{
    if (job->taken > 0 && job->way.raw)
        vmf_lane_sample(lane, vmf_slice_queue_peek(&job->bytes, 0));
    if (job->taken > 0) {
        job->way.far &= lane->number == 0;
        vmf_pack_set_way(lane->pack, &job->way);
        for (guint i = 0; i < job->bytes.count; i++)
            vmf_pack_put(lane->pack, vmf_slice_queue_peek(&job->bytes, i));
        vmf_pack_flush(lane->pack);
        job->ready = lane->packed;
    }
    vmf_slice_queue_clear(&job->bytes);
    job->end = g_get_monotonic_time();
}

/* ---- handing on ---- */

static void
vmf_packer_count(VmfPacker *packer, VmfLane *lane, const VmfPackerJob *job, gsize out)
{
    VmfPackerFigures *figures = &packer->figures;
    gint64 cpu = vmf_thread_time();

    figures->cpu += cpu - lane->cpu;
    lane->cpu = cpu;
    if (job->taken == 0) {
        figures->proofs += !job->last;
    } else if (job->ready.packed) {
        figures->in += job->taken;
        figures->out += out;
        figures->further += lane->number > 0 ? job->taken : 0;
    } else {
        figures->raw += job->taken;
    }
}

static void
vmf_lane_hand_on(VmfLane *lane, VmfPackerJob *job)
{
    VmfPacker *packer = lane->packer;
    VmfPackBatch batch = {.begin = job->begin, .in = job->taken, .busy = job->end - job->begin};
    gboolean urgent;
    gint64 begin;

    g_mutex_lock(&packer->lock);
    while (packer->sent != job->number)
        g_cond_wait(&packer->sent_changed, &packer->lock);
    g_mutex_unlock(&packer->lock);

    begin = g_get_monotonic_time();
    batch.out = job->ready.bytes.length;
    if (job->last)
        vmf_duct_end(packer->out);
    else
        (void)vmf_duct_push(packer->out, &job->ready);
    batch.end = g_get_monotonic_time();
    batch.blocked = batch.end - begin;

    g_mutex_lock(&packer->lock);
    if (job->taken > 0)
        vmf_pack_choice_note(&packer->choice, &batch);
    vmf_packer_count(packer, lane, job, batch.out);
    packer->sent++;
    urgent = packer->urgent;
    g_cond_broadcast(&packer->sent_changed);
    g_mutex_unlock(&packer->lock);
    if (urgent)
        packer->handed_on(packer->owner);
}

static gpointer
vmf_lane_run(gpointer data)
{
    VmfLane *lane = data;
    VmfPackerJob job;

    while (vmf_lane_take(lane, &job)) {
        vmf_lane_work(lane, &job);
        vmf_lane_hand_on(lane, &job);
    }
    return NULL;
}

/* ---- the owner's side ---- */

VmfPacker *
vmf_packer_new(const VmfPackerSetup *setup, guint expected, VmfDuct *in, VmfDuct *out,
               VmfChunkPool *pool, void (*handed_on)(gpointer owner), gpointer owner)
{
    VmfPacker *packer = g_new0(VmfPacker, 1);

    packer->setup = *setup;
    packer->setup.lanes = CLAMP(setup->lanes, 1, VMF_LANES_MAX);
    packer->in = in;
    packer->out = out;
    packer->pool = pool;
    packer->handed_on = handed_on;
    packer->owner = owner;
    packer->zstd = VMF_PACK_AUTO;
    if (setup->proves)
        packer->went = vmf_prover_new();
    g_mutex_init(&packer->turn);
    g_mutex_init(&packer->lock);
    g_cond_init(&packer->behind);
    g_cond_init(&packer->sent_changed);
    vmf_pack_choice_init(&packer->choice, packer->setup.lanes);
    vmf_pack_choice_expect(&packer->choice, expected, g_get_monotonic_time());
    for (guint i = 0; i < packer->setup.lanes; i++) {
        VmfLane *lane = &packer->lanes[i];

        lane->packer = packer;
        lane->number = i;
        lane->pack = vmf_pack_new(setup->window_log, i, pool, vmf_lane_packed, lane);
    }
    for (guint i = 0; i < packer->setup.lanes; i++)
        packer->lanes[i].thread = g_thread_new("pack", vmf_lane_run, &packer->lanes[i]);
    return packer;
}

void
vmf_packer_free(VmfPacker *packer)
{
    for (guint i = 0; i < packer->setup.lanes; i++)
        g_thread_join(packer->lanes[i].thread);
    for (guint i = 0; i < packer->setup.lanes; i++)
        vmf_pack_free(packer->lanes[i].pack);
    if (packer->rest.bytes.chunk)
        vmf_chunk_unref(packer->rest.bytes.chunk);
    g_clear_pointer(&packer->went, vmf_prover_free);
    g_mutex_clear(&packer->turn);
    g_mutex_clear(&packer->lock);
    g_cond_clear(&packer->behind);
    g_cond_clear(&packer->sent_changed);
    g_free(packer);
}

void
vmf_packer_set(VmfPacker *packer, int zstd)
{
    g_mutex_lock(&packer->lock);
    packer->zstd = zstd;
    g_mutex_unlock(&packer->lock);
}

void
vmf_packer_set_urgent(VmfPacker *packer)
{
    g_mutex_lock(&packer->lock);
    packer->urgent = TRUE;
    g_mutex_unlock(&packer->lock);
}

gboolean
vmf_packer_is_idle(VmfPacker *packer)
{
    gboolean idle;

    vmf_duct_watch_idle(packer->in);
    idle = vmf_duct_is_idle(packer->in);
    g_mutex_lock(&packer->lock);
    idle = idle && packer->sent == packer->taken;
    g_mutex_unlock(&packer->lock);
    return idle;
}

void
vmf_packer_get_figures(VmfPacker *packer, VmfPackerFigures *ret)
{
    g_mutex_lock(&packer->lock);
    *ret = packer->figures;
    g_mutex_unlock(&packer->lock);
}
