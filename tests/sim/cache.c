/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim.h"

#include <string.h>

#define NOBODY G_MAXUINT
#define LIFETIME 2 /* passes that QEMU keeps a page before another one may have its place */
#define TAKES 8    /* the pump's, when full: one newcomer in so many is taken */

struct VmfSimCache {
    gboolean native;
    guint pages;
    guint places;
    guint used;
    guint *page; /* at each place, or NOBODY */
    guint *age;  /* native: the pass in which it was used last */
    guint *at;   /* of each page: its place, or NOBODY */
    VmfSimDice dice;
};

VmfSimCache *
vmf_sim_cache_new(guint pages, gboolean native, guint places, guint64 seed)
{
    VmfSimCache *self = g_new0(VmfSimCache, 1);

    self->native = native;
    self->pages = pages;
    self->at = g_new(guint, pages);
    memset(self->at, 0xff, pages * sizeof *self->at);
    self->dice.state = seed | 1;
    vmf_sim_cache_resize(self, places);
    return self;
}

void
vmf_sim_cache_free(VmfSimCache *self)
{
    g_free(self->page);
    g_free(self->age);
    g_free(self->at);
    g_free(self);
}

/* QEMU's loses all it had, the pump's keeps what fits. */
void
vmf_sim_cache_resize(VmfSimCache *self, guint places)
{
    if (self->native) {
        self->used = 0;
        memset(self->at, 0xff, self->pages * sizeof *self->at);
    }
    for (; self->used > places; self->used--)
        self->at[self->page[self->used - 1]] = NOBODY;
    self->page = g_renew(guint, self->page, MAX(places, 1));
    self->age = g_renew(guint, self->age, MAX(places, 1));
    if (self->native)
        memset(self->page, 0xff, MAX(places, 1) * sizeof *self->page);
    self->places = places;
}

static gboolean
vmf_sim_cache_send_native(VmfSimCache *self, guint page, guint pass)
{
    guint place = page % self->places;

    if (self->page[place] == page) {
        self->age[place] = pass;
        return TRUE;
    }
    if (self->page[place] == NOBODY || self->age[place] + LIFETIME <= pass) {
        self->page[place] = page;
        self->age[place] = pass;
    }
    return FALSE;
}

gboolean
vmf_sim_cache_send(VmfSimCache *self, guint page, guint pass)
{
    guint place;

    if (self->places == 0)
        return FALSE;
    if (self->native)
        return vmf_sim_cache_send_native(self, page, pass);
    if (self->at[page] != NOBODY)
        return TRUE;
    if (self->used < self->places) {
        place = self->used++;
    } else {
        if (vmf_sim_roll(&self->dice) % TAKES)
            return FALSE;
        place = (guint)(vmf_sim_roll(&self->dice) % self->places);
        self->at[self->page[place]] = NOBODY;
    }
    self->page[place] = page;
    self->at[page] = place;
    return FALSE;
}

/* ---- distances of reuse: sends since the last one of a page, each page counted once ---- */

#define BUCKETS (VMF_CURVE_MAX - 1)

struct VmfSimReuse {
    guint pages;
    guint length;              /* of `tree`, and of time before it is renumbered */
    guint now;                 /* position of the next send */
    guint *last;               /* of each page: its last position, from 1; 0: never sent */
    guint *who;                /* at each position */
    guint *tree;               /* Fenwick: last positions */
    double saved[BUCKETS + 1]; /* by the bucket of the distance: bytes that a hit would save */
    double total;              /* bytes without any cache */
};

static void
vmf_sim_tree_add(VmfSimReuse *self, guint at, guint value)
{
    for (; at <= self->length; at += at & -at)
        self->tree[at] += value;
}

static guint
vmf_sim_tree_sum(const VmfSimReuse *self, guint at)
{
    guint sum = 0;

    for (; at; at -= at & -at)
        sum += self->tree[at];
    return sum;
}

VmfSimReuse *
vmf_sim_reuse_new(guint pages)
{
    VmfSimReuse *self = g_new0(VmfSimReuse, 1);

    self->pages = pages;
    self->length = 4 * pages;
    self->now = 1;
    self->last = g_new0(guint, pages);
    self->who = g_new0(guint, self->length + 1);
    self->tree = g_new0(guint, self->length + 1);
    return self;
}

void
vmf_sim_reuse_free(VmfSimReuse *self)
{
    g_free(self->last);
    g_free(self->who);
    g_free(self->tree);
    g_free(self);
}

/* Positions are used up: those that count are moved together, in order. */
static void
vmf_sim_reuse_renumber(VmfSimReuse *self)
{
    guint next = 1;

    memset(self->tree, 0, (self->length + 1) * sizeof *self->tree);
    for (guint at = 1; at < self->now; at++) {
        guint page = self->who[at];

        if (self->last[page] != at)
            continue;
        self->who[next] = page;
        self->last[page] = next;
        vmf_sim_tree_add(self, next, 1);
        next++;
    }
    self->now = next;
}

/* Sizes in steps of a quarter of an octave, up to all pages. */
static guint
vmf_sim_reuse_size(const VmfSimReuse *self, guint bucket)
{
    static const double steps[] = {1, 1.1892, 1.4142, 1.6818};
    guint down = BUCKETS - 1 - bucket;
    guint octave = (down + 3) / 4;

    return (guint)((double)(self->pages >> octave) * steps[octave * 4 - down] + 0.5);
}

void
vmf_sim_reuse_send(VmfSimReuse *self, guint page, double hit_cost, double miss_cost)
{
    guint distance;
    guint bucket = 0;

    if (self->now > self->length)
        vmf_sim_reuse_renumber(self);
    self->total += miss_cost;
    if (self->last[page]) {
        distance =
            vmf_sim_tree_sum(self, self->now - 1) - vmf_sim_tree_sum(self, self->last[page]) + 1;
        while (bucket < BUCKETS - 1 && vmf_sim_reuse_size(self, bucket) < distance)
            bucket++;
        self->saved[bucket] += miss_cost - hit_cost;
        vmf_sim_tree_add(self, self->last[page], -1u);
    }
    self->last[page] = self->now;
    self->who[self->now] = page;
    vmf_sim_tree_add(self, self->now, 1);
    self->now++;
}

void
vmf_sim_reuse_read(const VmfSimReuse *self, VmfReuse *curve)
{
    double wire = self->total;

    curve->n = BUCKETS + 1;
    curve->size[0] = 0;
    curve->wire[0] = wire;
    for (guint i = 0; i < BUCKETS; i++) {
        wire -= self->saved[i];
        curve->size[i + 1] = (guint64)vmf_sim_reuse_size(self, i) * VMF_SIM_PAGE;
        curve->wire[i + 1] = wire;
    }
}
