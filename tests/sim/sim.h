/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A simulator of pre-copy migrations at the level of pages, which drives the policy's own code.
 *
 * A guest writes pages in one of several ways; a link has a rate that changes and may stall; a
 * migration scans, sends and syncs as QEMU does, with QEMU's cache of pages (one place for each,
 * refusing newcomers while the one there is young) or with one like the pump's. A page stands for
 * VMF_SIM_PAGE bytes, so that thousands of migrations take a minute. Times are seconds of the
 * simulation. Everything follows from the seed. One thread.
 */
#pragma once

#include "policy/curve.h"
#include "policy/steer.h"

#define VMF_SIM_PAGE (64 << 10) /* bytes */
#define VMF_SIM_TICK 0.02       /* s */

typedef enum {
    VMF_SIM_COUNTER,  /* a set is rewritten in order, again and again */
    VMF_SIM_ZIPF,     /* few pages often, many seldom */
    VMF_SIM_PHASES,   /* the set moves on, and the pace changes with it */
    VMF_SIM_GROWING,  /* the set grows */
    VMF_SIM_IDLE,     /* hardly anything */
    VMF_SIM_RANDOM,   /* whole pages of new content: no delta helps */
    VMF_SIM_SAWTOOTH, /* the pace rises and falls */
    VMF_SIM_TRACE,    /* what was recorded */
    VMF_SIM_GUESTS
} VmfSimGuestKind;

typedef struct {
    VmfSimGuestKind kind;
    guint pages;
    guint set;          /* pages of the working set */
    double pace;        /* pages written per second */
    double period;      /* s: of phases and teeth */
    double zero;        /* share of pages that are zero and stay so */
    double delta;       /* bytes of a delta per byte of page; 1 and more: too large */
    double unchanged;   /* share of writes that leave the content as it was */
    const guint *trace; /* of VMF_SIM_TRACE: pages in the order they were written; borrowed */
    guint trace_length;
} VmfSimGuest;

typedef struct {
    double rate;   /* bytes/s */
    double swing;  /* 0 to 1: how far it changes, every few seconds */
    double stalls; /* how often it stalls for a while, per second */
} VmfSimLink;

typedef struct {
    VmfSimGuest guest;
    VmfSimLink link;
    gboolean native;
    guint64 cache;        /* bytes at the start; 0: no deltas */
    double compress;      /* bytes per byte of whatever is sent whole; 1: not */
    double downtime;      /* s */
    guint64 free;         /* memory of the host without the cache, bytes; 0: not known */
    double pressure_from; /* s: from then on `free_then` */
    guint64 free_then;
    gboolean known; /* W(t) was measured before */
    double give_up; /* s: the simulation ends */
    guint64 seed;
} VmfSimScenario;

typedef struct {
    gboolean converged; /* by itself, not at the deadline */
    gboolean ended;     /* it completed or was aborted, before the simulation gave up */
    gboolean stopped;   /* at the deadline */
    double seconds;
    double downtime;
    double wire; /* bytes */
    guint passes;
    double acted;         /* s: when the deadline's action was taken; 0: not */
    guint changes_most;   /* of settings in one pass */
    guint reliefs_most;   /* times that memory was given back in one pass, as the host was short */
    double over_limit;    /* bytes of cache over what was allowed, at worst */
    double progress_back; /* by how much progress ever went back */
    double left_first;    /* s: the first estimate of the time left; negative: none */
    double second_at;     /* s: when the second pass began */
    double second_left;   /* bytes of pages it began with */
    guint64 cache;        /* at the end, bytes */
} VmfSimResult;

/* `policy` NULL: nothing is steered. `decisions` (policy/decision.h) may be NULL. */
void vmf_sim_run(const VmfSimScenario *scenario, const VmfPolicy *policy, GPtrArray *decisions,
                 VmfSimResult *result);

/* W(t) of a guest as dirty-rate calculations of 1, 3 and 9 s would find it. */
void vmf_sim_measure(const VmfSimGuest *guest, guint64 seed, VmfWorkingSet *curve);

/* A scenario drawn from all that there is. */
void vmf_sim_draw(guint64 seed, VmfSimScenario *scenario, VmfPolicy *policy);

const char *vmf_sim_guest_name(VmfSimGuestKind kind);

/* ---- the parts, for tests of their own ---- */

/* xorshift: GRand is too slow here. */
typedef struct {
    guint64 state;
} VmfSimDice;

guint64 vmf_sim_roll(VmfSimDice *dice);
double vmf_sim_chance(VmfSimDice *dice); /* 0 to 1 */

typedef struct {
    const VmfSimGuest *guest;
    VmfSimDice dice;
    double time;
    double owed; /* writes */
    guint64 written;
} VmfSimWriter;

void vmf_sim_writer_init(VmfSimWriter *writer, const VmfSimGuest *guest, guint64 seed);
/* Calls `write` for each page that is written during the next `seconds`. */
void vmf_sim_writer_run(VmfSimWriter *writer, double seconds, void (*write)(guint page, gpointer),
                        gpointer data);

/* The rate at that time; to be asked in order. */
typedef struct {
    const VmfSimLink *link;
    VmfSimDice dice;
    double until;
    double rate;
} VmfSimWire;

void vmf_sim_wire_init(VmfSimWire *wire, const VmfSimLink *link, guint64 seed);
double vmf_sim_wire_rate(VmfSimWire *wire, double time);

/* A cache of pages: whether it had that one, which it then has if it takes it. */
typedef struct VmfSimCache VmfSimCache;

VmfSimCache *vmf_sim_cache_new(guint pages, gboolean native, guint places, guint64 seed);
void vmf_sim_cache_free(VmfSimCache *cache);
void vmf_sim_cache_resize(VmfSimCache *cache, guint places);
gboolean vmf_sim_cache_send(VmfSimCache *cache, guint page, guint pass);

/* Distances of reuse, exactly: what a cache of any size would have had. */
typedef struct VmfSimReuse VmfSimReuse;

VmfSimReuse *vmf_sim_reuse_new(guint pages);
void vmf_sim_reuse_free(VmfSimReuse *reuse);
void vmf_sim_reuse_send(VmfSimReuse *reuse, guint page, double hit_cost, double miss_cost);
void vmf_sim_reuse_read(const VmfSimReuse *reuse, VmfReuse *curve);
