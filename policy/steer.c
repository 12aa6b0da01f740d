/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/steer.h"

#include <math.h>

#include "policy/decision.h"
#include "policy/steer-private.h"

#define VMF_CACHE_LEAST (16ull << 20) /* bytes; less is not worth giving back */
#define VMF_STUCK_SHARE 0.95          /* of the pass before, with which a pass brought nothing */
#define VMF_QUIET_PASSES 4            /* after memory was given back, before more is taken */
#define VMF_NEAR_PASSES 4             /* that are waited for an end that seems near */
#define VMF_ANSWER_TIME 0.1           /* s: from an order to its effect */
#define VMF_PACE_TIME 0.3             /* s, over which a pace is judged at least */
#define VMF_LOOK_TIME 1.0             /* s, from one look to the next at most */
#define VMF_DEADLINE_LATE 1.05        /* of the deadline, by which its action has been taken */
#define VMF_HITS_LEAST 0.02           /* of what was asked for; below, deltas do not pay */
#define VMF_OVERFLOWS_MOST 0.8        /* of the deltas; above, they do not pay */
#define VMF_REUSE_PAYS 0.85           /* of the bytes, if deltas are to be tried again */

VmfSteer *
vmf_steer_new(const VmfPolicy *policy, const VmfSteerStart *start, GPtrArray *decisions)
{
    VmfSteer *self = g_new0(VmfSteer, 1);

    self->policy = policy;
    self->start = *start;
    self->decisions = decisions;
    self->deadline = vmf_policy_get_deadline(policy, start->ram);
    self->cache = start->cache ? start->cache_size : 0;
    self->delta = start->cache;
    self->downtime = start->downtime ? start->downtime : policy->downtime;
    self->seen = self->asked = start->started;
    self->left = -1;
    self->shrinks = 1;
    return self;
}

void
vmf_steer_free(VmfSteer *self)
{
    g_free(self);
}

guint64
vmf_steer_get_cache(const VmfSteer *self)
{
    return self->cache;
}

double
vmf_steer_get_progress(const VmfSteer *self)
{
    return self->progress;
}

double
vmf_steer_get_time_left(const VmfSteer *self)
{
    return self->left;
}

/* ---- what is seen ---- */

static void
vmf_steer_note_pace(VmfSteer *self, const VmfObservation *seen)
{
    double elapsed = (double)(seen->now - self->seen) / G_USEC_PER_SEC;
    double pace;

    /* Zero pages come in bursts, of which a short time says nothing. */
    if (elapsed < VMF_PACE_TIME || seen->processed <= self->seen_processed)
        return;
    pace = (double)(seen->processed - self->seen_processed) / elapsed;
    self->pace = self->pace > 0 ? self->pace + (pace - self->pace) * (1 - exp(-elapsed)) : pace;
    self->seen = seen->now;
    self->seen_processed = seen->processed;
}

/* Whether this pass began with what fits the downtime that is allowed, or nearly. */
static gboolean
vmf_steer_began_near(const VmfSteer *self)
{
    return self->pass.number > 1 && self->pace > 0 &&
           (double)self->pass.remaining / self->pace < 2 * self->downtime / 1000.0;
}

static void
vmf_steer_begin_pass(VmfSteer *self, const VmfObservation *seen)
{
    self->before = self->pass;
    self->took = (double)(seen->now - self->pass.began) / G_USEC_PER_SEC;
    self->reuse_before = self->reuse_pass;
    if (seen->reuse)
        self->reuse_pass = *seen->reuse;
    self->pass = (VmfPass){.number = seen->pass,
                           .began = seen->now,
                           .remaining = seen->remaining,
                           .processed = seen->processed,
                           .wire = seen->wire,
                           .again = seen->again,
                           .misses = seen->misses,
                           .overflows = seen->overflows};
    if (self->before.number == 0) {
        self->before = self->pass; /* seen for the first time: nothing to compare with */
        self->before.number = 0;
        return;
    }
    self->near = vmf_steer_began_near(self) ? self->near + 1 : 0;
    self->shrinks = (double)self->pass.remaining / (double)MAX(self->before.remaining, 1);
    /* A change of settings is given the pass it was made in, QEMU's cache the next one, too. */
    if (self->changed + 1 + (self->start.native && self->resized == self->changed) >= seen->pass)
        self->stuck = 0;
    else
        self->stuck = self->shrinks > VMF_STUCK_SHARE ? self->stuck + 1 : 0;
}

double
vmf_steer_guess_written(const VmfSteer *self, const VmfObservation *seen, double ahead)
{
    double time = (double)(seen->now - self->pass.began) / G_USEC_PER_SEC + ahead;
    double ram = (double)self->start.ram;
    double written = vmf_working_set_get(&self->start.written, time, ram);

    if (self->pass.number <= 1)
        return self->start.written.n ? written : (double)(seen->processed) / 10;
    if (self->took > 0) {
        double share = MIN(time / self->took, 1);

        /* Where nobody measured, the set may have been full long before the pass was over. */
        share = self->start.written.n ? share : sqrt(share);
        written = MAX(written, (double)self->pass.remaining * share);
    }
    return MIN(written, ram);
}

/* ---- rules: each adds at most one action, and the decision why ---- */

static void
vmf_steer_act(VmfSteer *self, VmfActionKind kind, guint64 value, VmfAction *actions, guint *n)
{
    actions[*n] = (VmfAction){kind, value};
    (*n)++;
}

static void
vmf_steer_set_cache(VmfSteer *self, const VmfObservation *seen, guint64 size, const char *rule,
                    char *numbers, VmfAction *actions, guint *n)
{
    g_autofree char *from = vmf_decision_format_bytes((double)self->cache);
    g_autofree char *to = vmf_decision_format_bytes((double)size);

    vmf_decisions_add(self->decisions, seen->now, rule, g_strdup_printf("cache %s -> %s", from, to),
                      numbers);
    self->cache = size;
    self->resized = seen->pass;
    vmf_steer_act(self, VMF_ACTION_CACHE, size, actions, n);
}

/* What other migrations of this host need is given back, too. */
static void
vmf_steer_make_room(VmfSteer *self, const VmfObservation *seen, VmfAction *actions, guint *n)
{
    g_autofree char *most = vmf_decision_format_bytes((double)seen->cache_most);

    self->gave_back = seen->pass;
    vmf_steer_set_cache(self, seen, MAX(seen->cache_most, VMF_CACHE_LEAST), "memory-budget",
                        g_strdup_printf("other migrations leave it %s", most), actions, n);
}

/*
 * Memory that the host needs is given back at once: down to the budget as soon as that is seen, and
 * half of it once per pass while processes wait, which is told late and for long.
 */
static void
vmf_steer_relieve(VmfSteer *self, const VmfObservation *seen, VmfAction *actions, guint *n)
{
    guint64 size = MIN(self->cache, MAX(vmf_steer_get_allowed(self, seen), VMF_CACHE_LEAST));
    g_autofree char *free = NULL;

    if (seen->under_pressure && self->cache > VMF_CACHE_LEAST && self->gave_back != seen->pass)
        size = MIN(size, self->cache / 2);
    if (vmf_steer_is_rationed(self, seen) && MAX(seen->cache_most, VMF_CACHE_LEAST) < size) {
        vmf_steer_make_room(self, seen, actions, n);
        return;
    }
    if (size >= self->cache)
        return;
    free = vmf_decision_format_bytes((double)seen->source_free);
    self->gave_back = seen->pass;
    vmf_steer_set_cache(self, seen, size, "memory-pressure",
                        g_strdup_printf("%s of memory free%s", free,
                                        seen->under_pressure ? ", processes wait for memory" : ""),
                        actions, n);
}

static gboolean
vmf_steer_resize(VmfSteer *self, const VmfObservation *seen, VmfAction *actions, guint *n)
{
    const char *rule = NULL;
    char *numbers = NULL;
    guint64 size = 0;

    if (!self->delta || self->start.fixed || self->gave_back == seen->pass ||
        (self->near > 0 && self->near <= VMF_NEAR_PASSES) || /* nothing is touched then */
        !vmf_steer_choose_cache(self, seen, &size, &rule, &numbers))
        return FALSE;
    if (size > self->cache && self->gave_back && seen->pass < self->gave_back + VMF_QUIET_PASSES) {
        g_free(numbers);
        return FALSE;
    }
    vmf_steer_set_cache(self, seen, size, rule, numbers, actions, n);
    return TRUE;
}

/* Whether a cache within the budget would have saved something of late. */
static gboolean
vmf_steer_would_pay(const VmfSteer *self, const VmfObservation *seen, guint64 budget)
{
    VmfReuse late;

    return vmf_steer_get_reuse(self, seen, &late) &&
           vmf_reuse_get(&late, budget) <= VMF_REUSE_PAYS * vmf_reuse_get(&late, 0);
}

/*
 * That the cache finds nothing proves nothing where it is only as small as others leave it: deltas
 * that are off are not measured any more, and would stay so when the others are over.
 */
static gboolean
vmf_steer_finds_nothing(const VmfSteer *self, const VmfObservation *seen, guint64 hits,
                        guint64 asked)
{
    guint64 allowed = vmf_steer_get_allowed(self, seen);
    VmfReuse late;

    if ((double)hits >= VMF_HITS_LEAST * (double)asked ||
        self->cache < vmf_steer_get_budget(self, seen))
        return FALSE;
    return !vmf_steer_is_rationed(self, seen) ||
           (vmf_steer_get_reuse(self, seen, &late) && !vmf_steer_would_pay(self, seen, allowed));
}

/* Deltas that do not pay cost processor time and memory. QEMU's cannot be switched while it runs.
 */
static gboolean
vmf_steer_switch_delta(VmfSteer *self, const VmfObservation *seen, VmfAction *actions, guint *n)
{
    guint64 asked = self->pass.again - self->before.again;
    guint64 hits = asked - (self->pass.misses - self->before.misses);
    guint64 overflows = self->pass.overflows - self->before.overflows;
    guint64 budget = vmf_steer_get_budget(self, seen);

    if (!self->start.cache || self->start.native || seen->pass < 4)
        return FALSE;
    if (self->delta && asked > 0 &&
        (vmf_steer_finds_nothing(self, seen, hits, asked) ||
         (hits > 0 && (double)overflows > VMF_OVERFLOWS_MOST * (double)hits))) {
        self->delta = FALSE;
        vmf_decisions_add(
            self->decisions, seen->now, "delta-does-not-pay", g_strdup("deltas off"),
            g_strdup_printf("pass %u: of %" G_GUINT64_FORMAT " pages sent again, %" G_GUINT64_FORMAT
                            " were in the cache, %" G_GUINT64_FORMAT " deltas were too large",
                            self->before.number, asked, hits, overflows));
        vmf_steer_act(self, VMF_ACTION_DELTA, 0, actions, n);
        return TRUE;
    }
    if (self->delta || !seen->reuse || seen->pass < self->changed + VMF_QUIET_PASSES ||
        !vmf_steer_would_pay(self, seen, budget))
        return FALSE;
    self->delta = TRUE;
    vmf_decisions_add(self->decisions, seen->now, "delta-pays", g_strdup("deltas on"),
                      g_strdup("pages come again that a cache would have held"));
    vmf_steer_act(self, VMF_ACTION_DELTA, 1, actions, n);
    return TRUE;
}

/* ms that the guest may stand from now on, as the policy has it and the deadline. */
static guint
vmf_steer_get_downtime(const VmfSteer *self, const VmfObservation *seen)
{
    double left = self->deadline - (double)(seen->now - self->start.started) / G_USEC_PER_SEC;
    guint wanted = self->downtime;
    gboolean binds = self->deadline > 0 && self->policy->on_deadline != VMF_DEADLINE_GO_ON &&
                     self->policy->on_deadline != VMF_DEADLINE_THROTTLE;

    if (self->stuck > 0)
        wanted = MAX(wanted, MIN(wanted + self->policy->downtime_step, self->policy->downtime_max));
    if (binds) /* a guest that stands when it comes is neither here nor there */
        wanted = MIN(wanted, (guint)MAX(left * 1000, 1));
    return wanted;
}

static gboolean
vmf_steer_allow_downtime(VmfSteer *self, const VmfObservation *seen, VmfAction *actions, guint *n)
{
    guint wanted = vmf_steer_get_downtime(self, seen);
    g_autofree char *began = vmf_decision_format_bytes((double)self->pass.remaining);
    g_autofree char *before = vmf_decision_format_bytes((double)self->before.remaining);

    if (self->start.downtime == 0 || wanted == self->downtime)
        return FALSE;
    vmf_decisions_add(self->decisions, seen->now, "downtime-step",
                      g_strdup_printf("downtime %u -> %u ms", self->downtime, wanted),
                      g_strdup_printf("pass %u begins with %s, the one before with %s", seen->pass,
                                      began, before));
    self->downtime = wanted;
    vmf_steer_act(self, VMF_ACTION_DOWNTIME, wanted, actions, n);
    return TRUE;
}

/* What cannot be changed is at least said, once. */
static void
vmf_steer_regret(VmfSteer *self, const VmfObservation *seen)
{
    g_autofree char *size = vmf_decision_format_bytes((double)self->cache);
    const char *rule = NULL;
    char *numbers = NULL;
    guint64 wanted = 0;

    if (!self->start.fixed || self->regretted || !self->cache || seen->pass < 2 ||
        !vmf_steer_choose_cache(self, seen, &wanted, &rule, &numbers))
        return;
    self->regretted = TRUE;
    vmf_decisions_add(self->decisions, seen->now, "cache-is-fixed",
                      g_strdup_printf("cache stays %s", size), numbers);
}

/* Once in each pass, at its beginning or as soon as it is known enough. */
static void
vmf_steer_change_settings(VmfSteer *self, const VmfObservation *seen, VmfAction *actions, guint *n)
{
    gboolean changed;

    if (self->changed == seen->pass || seen->link_rate <= 0)
        return;
    vmf_steer_regret(self, seen);
    changed = vmf_steer_switch_delta(self, seen, actions, n);
    changed |= vmf_steer_resize(self, seen, actions, n);
    changed |= vmf_steer_allow_downtime(self, seen, actions, n);
    if (changed)
        self->changed = seen->pass;
}

/* ---- the deadline ---- */

static VmfActionKind
vmf_steer_deadline_action(const VmfSteer *self)
{
    switch (self->policy->on_deadline) {
    case VMF_DEADLINE_POSTCOPY:
        return VMF_ACTION_POSTCOPY;
    case VMF_DEADLINE_ABORT:
        return VMF_ACTION_ABORT;
    default:
        return VMF_ACTION_SWITCHOVER;
    }
}

/*
 * Seconds that the rest takes when the guest stands. A pass that began just now is judged by the
 * one before, but the second one by the link: what deltas bring is not known before it.
 */
static double
vmf_steer_guess_rest(const VmfSteer *self, const VmfObservation *seen, double rest)
{
    double time = (double)(seen->now - self->pass.began) / G_USEC_PER_SEC;
    double pace = self->pace;

    if (time > VMF_PACE_TIME)
        pace = MIN(pace, (double)(seen->processed - self->pass.processed) / time);
    else if (seen->pass == 2)
        pace = MIN(pace, seen->link_rate);
    return pace > 0 ? rest / pace + VMF_ANSWER_TIME : 0;
}

/*
 * Whether the deadline's action is due at this look. Stopping the guest comes so much earlier as
 * the rest takes to get through; during the first pass that would only make it stand longer. What
 * takes no time is done at the look that is nearest, or now if the next one may come too late.
 */
static gboolean
vmf_steer_is_due(const VmfSteer *self, const VmfObservation *seen, VmfActionKind kind, double need)
{
    double elapsed = (double)(seen->now - self->start.started) / G_USEC_PER_SEC;

    if (kind == VMF_ACTION_SWITCHOVER && seen->pass > 1)
        return elapsed + need >= self->deadline;
    return elapsed + MIN(self->interval, VMF_LOOK_TIME) / 2 >= self->deadline ||
           elapsed + VMF_LOOK_TIME > self->deadline * VMF_DEADLINE_LATE;
}

static void
vmf_steer_watch_deadline(VmfSteer *self, const VmfObservation *seen, VmfAction *actions, guint *n)
{
    static const char *const what[] = {[VMF_ACTION_SWITCHOVER] = "stop the guest",
                                       [VMF_ACTION_POSTCOPY] = "switch to post-copy",
                                       [VMF_ACTION_ABORT] = "abort; the guest stays"};
    double elapsed = (double)(seen->now - self->start.started) / G_USEC_PER_SEC;
    double interval = MIN(self->interval, VMF_LOOK_TIME);
    /* As it will be at the next look, if nothing is done now. */
    double rest = MAX((double)seen->remaining - self->pace * interval, 0) +
                  vmf_steer_guess_written(self, seen, interval);
    VmfActionKind kind = vmf_steer_deadline_action(self);
    double need = vmf_steer_guess_rest(self, seen, rest) + interval;
    g_autofree char *left = vmf_decision_format_bytes(rest);

    if (self->deadline <= 0 || self->ended || self->policy->on_deadline == VMF_DEADLINE_GO_ON ||
        self->policy->on_deadline == VMF_DEADLINE_THROTTLE)
        return;
    if (!vmf_steer_is_due(self, seen, kind, need))
        return;
    self->ended = TRUE;
    if (kind == VMF_ACTION_POSTCOPY && !self->start.postcopy) {
        vmf_decisions_add(self->decisions, seen->now, "deadline", g_strdup("go on"),
                          g_strdup("post-copy was not allowed at the start"));
        return;
    }
    vmf_decisions_add(self->decisions, seen->now, "deadline", g_strdup(what[kind]),
                      g_strdup_printf("%.1f s of %.1f s have passed, %s left, which takes %.1f s",
                                      elapsed, self->deadline, left, need));
    vmf_steer_act(self, kind, 0, actions, n);
}

guint
vmf_steer_observe(VmfSteer *self, const VmfObservation *seen, VmfAction *actions)
{
    guint n = 0;

    if (seen->pass == 0)
        return 0;
    self->interval = (double)(seen->now - self->asked) / G_USEC_PER_SEC;
    self->asked = seen->now;
    if (!self->start.cache && self->start.native && seen->cache_size) {
        self->start.cache = self->delta = TRUE;
        self->cache = seen->cache_size;
    }
    vmf_steer_note_pace(self, seen);
    if (seen->pass > self->pass.number)
        vmf_steer_begin_pass(self, seen);
    vmf_steer_note_progress(self, seen);
    vmf_steer_watch_deadline(self, seen, actions, &n);
    if (self->cache && !self->start.fixed)
        vmf_steer_relieve(self, seen, actions, &n);
    if (!self->ended)
        vmf_steer_change_settings(self, seen, actions, &n);
    return n;
}
