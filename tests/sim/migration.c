/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim.h"

#include <string.h>

#include "policy/decision.h"

#define HEADER 0.0025    /* of a page, for a record without content */
#define OBSERVE 1.0      /* s */
#define CPU_RATE 1.0e9   /* bytes of pages per second that the engine takes at most */
#define RATE_WEIGHT 0.1  /* of the latest tick in the rate that is observed */
#define SWITCH_TIME 0.03 /* s of downtime for device state */

typedef struct {
    const VmfSimScenario *scenario;
    VmfSimWriter writer;
    VmfSimWire wire;
    VmfSimDice dice;
    VmfSimCache *cache;
    VmfSimReuse *reuse;
    VmfReuse curve;
    guint8 *todo;  /* of this pass */
    guint8 *dirty; /* written since it began */
    guint n_todo;
    guint n_dirty;
    guint next; /* page to look at */
    guint zero_from;
    double time;
    double rate;   /* as observed, bytes/s */
    double credit; /* bytes that may go in this tick */
    double took;   /* pages sent and bytes on the wire in the last second, to judge what is left */
    double ratio;  /* bytes on the wire per byte of page, of late */
    double downtime;
    guint changes; /* in this pass */
    guint reliefs;
    gboolean delta;
    gboolean observe; /* now: a pass began */
    gboolean stopped; /* the guest */
    gboolean over;
    VmfObservation seen;
    VmfSteer *steer;
    const VmfPolicy *policy;
    VmfSimResult *result;
} VmfSim;

static void
vmf_sim_write(guint page, gpointer data)
{
    VmfSim *self = data;

    self->n_dirty += !self->dirty[page];
    self->dirty[page] = 1;
}

static guint64
vmf_sim_free(const VmfSim *self)
{
    const VmfSimScenario *scenario = self->scenario;

    return scenario->free_then && self->time >= scenario->pressure_from ? scenario->free_then
                                                                        : scenario->free;
}

/* ---- sending ---- */

static double
vmf_sim_cost(VmfSim *self, guint page)
{
    const VmfSimGuest *guest = &self->scenario->guest;
    double whole = VMF_SIM_PAGE * self->scenario->compress;
    double delta = VMF_SIM_PAGE * guest->delta * MIN(self->scenario->compress * 1.5, 1);
    gboolean caching = self->delta && (!self->scenario->native || self->seen.pass > 1);
    gboolean hit;

    if (page >= self->zero_from)
        return VMF_SIM_PAGE * HEADER;
    if (!caching)
        return whole;
    hit = vmf_sim_cache_send(self->cache, page, self->seen.pass);
    if (self->seen.pass == 1) {
        if (self->reuse)
            vmf_sim_reuse_send(self->reuse, page, MIN(delta, whole), whole);
        return whole;
    }
    if (self->reuse)
        vmf_sim_reuse_send(self->reuse, page, MIN(delta, whole), whole);
    self->seen.again++;
    if (!self->scenario->native && guest->unchanged > 0 &&
        vmf_sim_chance(&self->dice) < guest->unchanged)
        return VMF_SIM_PAGE * HEADER;
    if (!hit) {
        self->seen.misses++;
        return whole;
    }
    if (guest->delta >= 1)
        self->seen.overflows++;
    return MIN(delta, whole);
}

static void
vmf_sim_send(VmfSim *self)
{
    guint budget = (guint)(CPU_RATE * VMF_SIM_TICK / VMF_SIM_PAGE);

    while (self->credit > 0 && self->n_todo > 0 && budget-- > 0) {
        double cost;

        while (!self->todo[self->next])
            self->next = (self->next + 1) % self->scenario->guest.pages;
        self->todo[self->next] = 0;
        self->n_todo--;
        cost = vmf_sim_cost(self, self->next);
        self->credit -= cost;
        self->result->wire += cost;
        self->ratio += (cost / VMF_SIM_PAGE - self->ratio) * 0.01;
        self->seen.processed += VMF_SIM_PAGE;
    }
    self->credit = MIN(self->credit, 0);
}

/* What was written becomes what is to be sent, at the end of a pass or to see whether it is over.
 */
static void
vmf_sim_sync(VmfSim *self)
{
    for (guint page = 0; page < self->scenario->guest.pages; page++) {
        self->n_todo += self->dirty[page] && !self->todo[page];
        self->todo[page] |= self->dirty[page];
    }
    memset(self->dirty, 0, self->scenario->guest.pages);
    self->n_dirty = 0;
}

/*
 * QEMU compares what is left with the rate its socket took times the downtime, and knows nothing of
 * deltas to come; the pump counts with what its pages came to of late.
 */
static gboolean
vmf_sim_fits(const VmfSim *self)
{
    double left = (double)self->n_todo * VMF_SIM_PAGE;

    return left * (self->scenario->native ? 1 : self->ratio) <= self->rate * self->downtime;
}

static void
vmf_sim_finish(VmfSim *self, gboolean by_itself)
{
    double left = (double)self->n_todo * VMF_SIM_PAGE;

    self->result->downtime = left * self->ratio / MAX(self->rate, 1) + SWITCH_TIME;
    self->result->wire += left * self->ratio;
    self->result->converged = by_itself;
    self->result->ended = TRUE;
    self->time += self->result->downtime;
    self->over = TRUE;
}

static void
vmf_sim_pass(VmfSim *self)
{
    if (self->n_todo > 0 && (self->seen.pass < 2 || !vmf_sim_fits(self)))
        return;
    vmf_sim_sync(self);
    if (vmf_sim_fits(self)) {
        vmf_sim_finish(self, TRUE);
        return;
    }
    self->seen.pass++;
    if (self->seen.pass == 2) {
        self->result->second_at = self->time;
        self->result->second_left = (double)self->n_todo * VMF_SIM_PAGE;
    }
    self->observe = TRUE;
    self->changes = self->reliefs = 0;
}

/* ---- being steered ---- */

static void
vmf_sim_do(VmfSim *self, const VmfAction *action)
{
    if (action->kind >= VMF_ACTION_SWITCHOVER)
        self->result->acted = self->time;
    switch (action->kind) {
    case VMF_ACTION_CACHE:
        vmf_sim_cache_resize(self->cache, (guint)(action->value / VMF_SIM_PAGE));
        self->result->cache = action->value;
        break;
    case VMF_ACTION_DELTA:
        self->delta = action->value;
        break;
    case VMF_ACTION_DOWNTIME:
        self->downtime = (double)action->value / 1000;
        break;
    case VMF_ACTION_ABORT:
        self->result->ended = self->over = TRUE;
        break;
    case VMF_ACTION_POSTCOPY:
    case VMF_ACTION_SWITCHOVER: /* what is left then goes while the guest stands */
        self->stopped = TRUE;
        self->result->stopped = TRUE;
        vmf_sim_sync(self);
        break;
    }
}

static void
vmf_sim_observe(VmfSim *self)
{
    VmfAction actions[VMF_ACTIONS_MAX];
    guint64 free = vmf_sim_free(self);
    guint64 most;
    guint64 had = self->result->cache;
    gboolean setting = FALSE;
    double progress;
    guint n;

    self->seen.now = (gint64)(self->time * G_USEC_PER_SEC);
    self->seen.remaining = (guint64)self->n_todo * VMF_SIM_PAGE;
    self->seen.wire = (guint64)self->result->wire;
    self->seen.link_rate = self->rate;
    self->seen.source_free = free ? MAX(free, self->result->cache + 1) - self->result->cache : 0;
    if (self->reuse) {
        vmf_sim_reuse_read(self->reuse, &self->curve);
        self->seen.reuse = &self->curve;
    }
    progress = vmf_steer_get_progress(self->steer);
    n = vmf_steer_observe(self->steer, &self->seen, actions);
    self->result->progress_back =
        MAX(self->result->progress_back, progress - vmf_steer_get_progress(self->steer));
    for (guint i = 0; i < n; i++) {
        gboolean relief = actions[i].kind == VMF_ACTION_CACHE && actions[i].value < had && free &&
                          free == self->scenario->free_then;

        vmf_sim_do(self, &actions[i]);
        setting |= actions[i].kind <= VMF_ACTION_DOWNTIME && !relief;
        self->reliefs += relief;
    }
    self->result->reliefs_most = MAX(self->result->reliefs_most, self->reliefs);
    self->changes += setting;
    self->result->changes_most = MAX(self->result->changes_most, self->changes);
    most = self->policy->cache_memory ? self->policy->cache_memory : G_MAXUINT64;
    if (free)
        most = MIN(most, vmf_policy_get_cache_budget(self->policy, self->seen.source_free + had));
    most = MAX(most, 16ull << 20); /* less is not worth giving back */
    if (self->result->cache > most)
        self->result->over_limit =
            MAX(self->result->over_limit, (double)(self->result->cache - most));
    if (self->result->left_first < 0)
        self->result->left_first = vmf_steer_get_time_left(self->steer);
}

static VmfSteer *
vmf_sim_make_steer(VmfSim *self, GPtrArray *decisions)
{
    const VmfSimScenario *scenario = self->scenario;
    VmfSteerStart start = {.ram = (guint64)scenario->guest.pages * VMF_SIM_PAGE,
                           .native = scenario->native,
                           .cache = scenario->cache > 0,
                           .cache_size = scenario->cache,
                           .cache_most = G_MAXUINT64,
                           .downtime = (guint)(scenario->downtime * 1000),
                           .postcopy = TRUE,
                           .source_free = scenario->free};

    if (scenario->known)
        vmf_sim_measure(&scenario->guest, scenario->seed, &start.written);
    return vmf_steer_new(self->policy, &start, decisions);
}

/* ---- the whole ---- */

static void
vmf_sim_begin(VmfSim *self, GPtrArray *decisions)
{
    const VmfSimScenario *scenario = self->scenario;
    guint pages = scenario->guest.pages;

    vmf_sim_writer_init(&self->writer, &scenario->guest, scenario->seed);
    vmf_sim_wire_init(&self->wire, &scenario->link, scenario->seed + 1);
    self->dice.state = scenario->seed * 2 + 1;
    self->todo = g_malloc(pages);
    memset(self->todo, 1, pages);
    self->dirty = g_malloc0(pages);
    self->n_todo = pages;
    self->zero_from = (guint)(pages * (1 - scenario->guest.zero));
    self->cache = vmf_sim_cache_new(pages, scenario->native,
                                    (guint)(scenario->cache / VMF_SIM_PAGE), scenario->seed);
    self->downtime = scenario->downtime;
    self->delta = scenario->cache > 0;
    self->ratio = 1;
    self->rate = scenario->link.rate;
    self->seen.pass = 1;
    self->observe = TRUE;
    self->result->cache = scenario->cache;
    self->result->left_first = -1;
    if (!self->policy)
        return;
    self->steer = vmf_sim_make_steer(self, decisions);
    if (!scenario->native && scenario->cache)
        self->reuse = vmf_sim_reuse_new(pages);
}

static void
vmf_sim_end(VmfSim *self)
{
    self->result->seconds = self->time;
    self->result->passes = self->seen.pass;
    g_clear_pointer(&self->steer, vmf_steer_free);
    g_clear_pointer(&self->reuse, vmf_sim_reuse_free);
    vmf_sim_cache_free(self->cache);
    g_free(self->todo);
    g_free(self->dirty);
}

static void
vmf_sim_tick(VmfSim *self)
{
    double rate = vmf_sim_wire_rate(&self->wire, self->time);

    if (!self->stopped)
        vmf_sim_writer_run(&self->writer, VMF_SIM_TICK, vmf_sim_write, self);
    self->rate += (rate - self->rate) * RATE_WEIGHT;
    self->credit += rate * VMF_SIM_TICK;
    vmf_sim_send(self);
    self->time += VMF_SIM_TICK;
    if (self->stopped) {
        self->result->downtime += VMF_SIM_TICK;
        if (self->n_todo == 0) {
            self->result->ended = TRUE;
            self->over = TRUE;
        }
        return;
    }
    vmf_sim_pass(self);
}

void
vmf_sim_run(const VmfSimScenario *scenario, const VmfPolicy *policy, GPtrArray *decisions,
            VmfSimResult *result)
{
    g_autoptr(GPtrArray) own = decisions ? NULL : vmf_decisions_new();
    VmfSim sim = {.scenario = scenario, .policy = policy, .result = result};
    double next = 0;

    memset(result, 0, sizeof *result);
    vmf_sim_begin(&sim, decisions ? decisions : own);
    while (!sim.over && sim.time < scenario->give_up) {
        if (sim.steer && (sim.observe || sim.time >= next)) {
            vmf_sim_observe(&sim);
            sim.observe = FALSE;
            next = sim.time + OBSERVE;
        }
        if (!sim.over)
            vmf_sim_tick(&sim);
    }
    vmf_sim_end(&sim);
}
