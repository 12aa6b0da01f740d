/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pump/stages.h"

#include <string.h>

#include "base/thread-time.h"
#include "base/timer.h"

/*
 * What may wait before a stage, and for the link. From its duct a stage works while the others wait
 * for a processor, which on a busy host takes some ten milliseconds; so each duct holds what
 * passes in AHEAD. More would only be downtime.
 */
#define AHEAD 20 /* ms */
#define DUCT_FIRST (512 * 1024)
#define DUCT_MIN (256 * 1024)
#define DUCT_MAX (2 * 1024 * 1024)
#define OUT_FIRST (128 * 1024)
#define OUT_MIN (64 * 1024)
#define OUT_MAX (1024 * 1024)

/*
 * To keep contents takes fresh memory, which costs more than all else that is done to a page. It
 * pays when the link is what is waited for; until that shows there is only this much. What goes on
 * faster than FAT is carried by a link on which sending a page again is as cheap as keeping it,
 * whatever the next stage waits for (a processor, mostly).
 */
#define CACHE_AT_FIRST (4 * 1024 * 1024) /* bytes */
#define HELD_UP_PERIOD (200 * 1000)      /* µs */
#define HELD_UP 20                       /* percent of it in which the next stage was full */
#define FAT (128.0 * 1024 * 1024)        /* bytes/s */

struct VmfStages {
    VmfStagesSetup setup;
    VmfChunkPool *pool;
    void (*stirred)(gpointer owner);
    gpointer owner;
    GSource *wake;

    VmfDuct *in, *between, *out; /* between: NULL: nothing is packed */
    GThread *rewriter;
    VmfPacker *packer; /* NULL: nothing is packed */
    gint urgent;       /* atomic: post-copy */

    GMutex lock; /* for the following */
    VmfStagesSettings settings;
    guint changes; /* of the settings */
    const char *give_up;
    VmfStagesFigures figures;
    GError *error;

    /* the rewriter's */
    gint64 held_up, held_up_since; /* µs that the next stage took, and from when on */
    gsize handed_on;               /* bytes since then */
    guint64 before_in, before_out; /* bytes in and out until then */
    gboolean thin;                 /* the link is what is waited for */
    gboolean tail;                 /* begins with what is handed on next */
};

/* ---- the delta stage's thread ---- */

/* From any thread. */
static void
vmf_stages_wake(gpointer data)
{
    VmfStages *stages = data;

    g_source_set_ready_time(stages->wake, 0);
}

static void
vmf_stages_rewritten(gpointer owner, VmfSlice bytes)
{
    VmfStages *stages = owner;
    VmfParcel parcel = {.bytes = bytes};
    gint64 begin = g_get_monotonic_time();

    parcel.tail = stages->tail;
    stages->tail = FALSE;
    stages->handed_on += bytes.length;
    (void)vmf_duct_push(stages->between ? stages->between : stages->out, &parcel);
    stages->held_up += g_get_monotonic_time() - begin;
}

static void
vmf_stages_on_tail(gpointer owner)
{
    VmfStages *stages = owner;

    stages->tail = TRUE;
}

/* TRUE when it shows that the link is what is waited for, or that it is not any more. */
static gboolean
vmf_stages_turns(VmfStages *stages, gint64 now)
{
    gint64 period = now - stages->held_up_since;
    gboolean before = stages->thin;
    gboolean fat = (double)stages->handed_on * G_USEC_PER_SEC >= FAT * (double)period;

    stages->thin = !fat && (before || stages->held_up * 100 > period * HELD_UP);
    stages->held_up = 0;
    stages->handed_on = 0;
    stages->held_up_since = now;
    return stages->thin != before;
}

static void
vmf_stages_fit_duct(VmfDuct *duct, double bytes_per_ms, gsize least, gsize most)
{
    vmf_duct_set_limit(duct, (gsize)CLAMP(bytes_per_ms * AHEAD, (double)least, (double)most));
}

/* A period is over: the ducts follow what passed in it. */
static void
vmf_stages_fit_ducts(VmfStages *stages, gint64 now)
{
    double ms = (double)(now - stages->held_up_since) / 1000;
    VmfPackerFigures packed = {0};
    guint64 in, out;

    g_mutex_lock(&stages->lock);
    in = stages->figures.rewrite.in;
    g_mutex_unlock(&stages->lock);
    if (stages->packer)
        vmf_packer_get_figures(stages->packer, &packed);
    out = packed.out + packed.raw;
    vmf_stages_fit_duct(stages->in, (double)(in - stages->before_in) / ms, DUCT_MIN, DUCT_MAX);
    if (stages->between) {
        vmf_stages_fit_duct(stages->between, (double)stages->handed_on / ms, DUCT_MIN, DUCT_MAX);
        vmf_stages_fit_duct(stages->out, (double)(out - stages->before_out) / ms, OUT_MIN, OUT_MAX);
    } else {
        vmf_stages_fit_duct(stages->out, (double)stages->handed_on / ms, OUT_MIN, OUT_MAX);
    }
    stages->before_in = in;
    stages->before_out = out;
}

/* What is worth more work than a count. */
static void
vmf_stages_show_curve(VmfStages *stages, const VmfRewrite *rewrite)
{
    VmfSamplerPoint points[VMF_CURVE_POINTS];
    guint64 repeats;
    guint n = vmf_rewrite_get_curve(rewrite, points, VMF_CURVE_POINTS, &repeats);

    if (n == 0)
        return; /* the last one stays */
    g_mutex_lock(&stages->lock);
    memcpy(stages->figures.curve, points, n * sizeof *points);
    stages->figures.curve_points = n;
    stages->figures.repeats = repeats;
    g_mutex_unlock(&stages->lock);
}

/* Takes over what was set, and gives out what was counted. */
static void
vmf_stages_sync_rewriter(VmfStages *stages, VmfRewrite *rewrite, guint *seen)
{
    gint64 now = g_get_monotonic_time();
    gboolean over = now - stages->held_up_since >= HELD_UP_PERIOD;
    VmfStagesSettings settings;
    const char *give_up;
    gboolean changed;

    g_mutex_lock(&stages->lock);
    settings = stages->settings;
    give_up = stages->give_up;
    changed = *seen != stages->changes;
    *seen = stages->changes;
    vmf_rewrite_get_figures(rewrite, &stages->figures.rewrite);
    stages->figures.rewrite_cpu = vmf_thread_time();
    if (vmf_rewrite_why(rewrite))
        g_strlcpy(stages->figures.why, vmf_rewrite_why(rewrite), sizeof stages->figures.why);
    g_mutex_unlock(&stages->lock);
    if (over) {
        vmf_stages_show_curve(stages, rewrite);
        vmf_stages_fit_ducts(stages, now);
    }
    if ((over && vmf_stages_turns(stages, now)) || changed) {
        vmf_rewrite_set_cache(rewrite,
                              stages->thin ? settings.cache : MIN(settings.cache, CACHE_AT_FIRST));
        vmf_rewrite_set_on(rewrite, settings.delta);
    }
    if (give_up)
        vmf_rewrite_give_up(rewrite, give_up);
}

static void
vmf_stages_refuse(VmfStages *stages, const GError *error)
{
    g_mutex_lock(&stages->lock);
    stages->error = g_error_copy(error);
    g_mutex_unlock(&stages->lock);
    vmf_stages_wake(stages);
}

static gpointer
vmf_stages_rewrite(gpointer data)
{
    VmfStages *stages = data;
    g_autoptr(VmfRewrite) rewrite =
        vmf_rewrite_new(&stages->setup.rewrite, stages->pool, vmf_stages_rewritten, stages);
    VmfDuctAnswer answer = VMF_DUCT_EMPTY;
    VmfParcel parcel;
    guint seen = 0;

    stages->held_up_since = g_get_monotonic_time();
    while (answer != VMF_DUCT_OVER) {
        vmf_stages_sync_rewriter(stages, rewrite, &seen);
        answer = vmf_duct_pop(stages->in, FALSE, &parcel);
        if (answer == VMF_DUCT_EMPTY) {
            vmf_rewrite_flush(rewrite);
            answer = vmf_duct_pop(stages->in, TRUE, &parcel);
        }
        if (answer != VMF_DUCT_PARCEL)
            continue;
        vmf_rewrite_put(rewrite, &parcel.bytes);
        vmf_chunk_unref(parcel.bytes.chunk);
        if (vmf_rewrite_error(rewrite)) {
            vmf_stages_refuse(stages, vmf_rewrite_error(rewrite));
            return NULL; /* the channel ends, and with it the stages */
        }
        if (vmf_rewrite_is_postcopy(rewrite) && !g_atomic_int_get(&stages->urgent)) {
            g_atomic_int_set(&stages->urgent, TRUE);
            if (stages->packer)
                vmf_packer_set_urgent(stages->packer);
            vmf_stages_wake(stages); /* what was put came out before this was known */
        }
    }
    vmf_rewrite_end(rewrite);
    vmf_stages_sync_rewriter(stages, rewrite, &seen);
    vmf_duct_end(stages->between ? stages->between : stages->out);
    return NULL;
}

/* ---- the main loop's side ---- */

static gboolean
vmf_stages_on_wake(gpointer data)
{
    VmfStages *stages = data;

    g_source_set_ready_time(stages->wake, -1);
    stages->stirred(stages->owner);
    return G_SOURCE_CONTINUE;
}

VmfStages *
vmf_stages_new(const VmfStagesSetup *setup, const VmfStagesSettings *settings, VmfChunkPool *pool,
               void (*stirred)(gpointer owner), gpointer owner)
{
    VmfStages *stages = g_new0(VmfStages, 1);

    stages->setup = *setup;
    stages->setup.rewrite.tail = vmf_stages_on_tail;
    stages->settings = *settings;
    stages->changes = 1;
    stages->pool = pool;
    stages->stirred = stirred;
    stages->owner = owner;
    g_mutex_init(&stages->lock);
    stages->wake = vmf_alarm_new(vmf_stages_on_wake, stages);
    stages->in = vmf_duct_new(DUCT_FIRST, vmf_stages_wake, stages);
    stages->out = vmf_duct_new(OUT_FIRST, vmf_stages_wake, stages);
    if (setup->packer.window_log > 0) {
        stages->between = vmf_duct_new(DUCT_FIRST, vmf_stages_wake, stages);
        stages->packer = vmf_packer_new(&setup->packer, settings->expected, stages->between,
                                        stages->out, pool, vmf_stages_wake, stages);
        vmf_packer_set(stages->packer, settings->zstd);
    }
    stages->rewriter = g_thread_new("rewrite", vmf_stages_rewrite, stages);
    return stages;
}

void
vmf_stages_stop(VmfStages *stages)
{
    VmfDuct *const ducts[] = {stages->in, stages->between, stages->out};

    for (guint i = 0; i < G_N_ELEMENTS(ducts); i++)
        if (ducts[i])
            vmf_duct_close(ducts[i]);
}

void
vmf_stages_free(VmfStages *stages)
{
    vmf_stages_stop(stages);
    g_thread_join(stages->rewriter);
    g_clear_pointer(&stages->packer, vmf_packer_free);
    vmf_timer_clear(&stages->wake);
    vmf_duct_free(stages->in);
    vmf_duct_free(stages->out);
    g_clear_pointer(&stages->between, vmf_duct_free);
    g_clear_error(&stages->error);
    g_mutex_clear(&stages->lock);
    g_free(stages);
}

void
vmf_stages_set(VmfStages *stages, const VmfStagesSettings *settings)
{
    g_mutex_lock(&stages->lock);
    stages->settings = *settings;
    stages->changes++;
    g_mutex_unlock(&stages->lock);
    if (stages->packer)
        vmf_packer_set(stages->packer, settings->zstd);
}

void
vmf_stages_give_up(VmfStages *stages, const char *why)
{
    g_mutex_lock(&stages->lock);
    stages->give_up = why;
    g_mutex_unlock(&stages->lock);
}

gsize
vmf_stages_room(VmfStages *stages)
{
    if (g_atomic_int_get(&stages->urgent))
        return 0; /* until the stages are left out */
    return vmf_duct_room(stages->in) > 0 ? VMF_CHUNK_SIZE : 0;
}

void
vmf_stages_put(VmfStages *stages, VmfSlice bytes)
{
    VmfParcel parcel = {.bytes = bytes};

    vmf_duct_add(stages->in, &parcel);
}

void
vmf_stages_end(VmfStages *stages)
{
    vmf_duct_end(stages->in);
}

VmfDuctAnswer
vmf_stages_take(VmfStages *stages, VmfParcel *ret)
{
    return vmf_duct_pop(stages->out, FALSE, ret);
}

GError *
vmf_stages_dup_error(VmfStages *stages)
{
    GError *error;

    g_mutex_lock(&stages->lock);
    error = stages->error ? g_error_copy(stages->error) : NULL;
    g_mutex_unlock(&stages->lock);
    return error;
}

gboolean
vmf_stages_wants_out(const VmfStages *stages)
{
    return g_atomic_int_get(&stages->urgent) != 0;
}

gboolean
vmf_stages_is_drained(VmfStages *stages)
{
    vmf_duct_watch_idle(stages->in);
    return vmf_duct_is_idle(stages->in) &&
           (!stages->packer || vmf_packer_is_idle(stages->packer)) &&
           vmf_duct_held(stages->out) == 0;
}

void
vmf_stages_get_figures(VmfStages *stages, VmfStagesFigures *ret)
{
    g_mutex_lock(&stages->lock);
    *ret = stages->figures;
    g_mutex_unlock(&stages->lock);
    if (stages->packer)
        vmf_packer_get_figures(stages->packer, &ret->packer);
    else
        ret->packer.raw = ret->rewrite.out;
    ret->waiting = vmf_duct_limit(stages->in);
    ret->waiting += stages->between ? vmf_duct_limit(stages->between) : 0;
    ret->waiting_out = vmf_duct_limit(stages->out);
}
