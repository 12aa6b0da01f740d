/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What all pumps of this host may have of its memory together, and who of them has how much.
 *
 * A migration has an account from the talk with the other host on, until it is over. It holds what
 * its pump takes in any case (its program and queues, tables with an entry for each page of the
 * guest) and has shares of the rest: the window and tables of zstd, what is kept until it arrived,
 * or received until QEMU takes it, and the cache of pages, which can change its size at any time.
 *
 * Nobody gets more than a part of what is left: a quarter as window, an eighth to be kept, half of
 * it as cache, so that there is something for the next one; and what is left begins beyond what
 * those migrations need that may still come. So none of them is refused for the cache of another.
 *
 * Units: bytes. It only counts: that a pump keeps to its shares is the pump's business. Any thread;
 * made and freed on the main loop, where accounts that are void by time are given back by
 * themselves.
 */
#pragma once

#include "daemon/delta.h"

#define VMF_BUDGET_LEAST (G_GUINT64_CONSTANT(256) << 20) /* of the default */
#define VMF_BUDGET_PART 8                                /* of the host's memory, is the default */

/* What a pump takes beside its shares; a window of 2 MiB and its tables, too. */
#define VMF_BUDGET_OWN (G_GUINT64_CONSTANT(24) << 20)
#define VMF_BUDGET_WINDOW (G_GUINT64_CONSTANT(2) << 20)
#define VMF_BUDGET_KEPT (G_GUINT64_CONSTANT(1) << 20)           /* at least */
#define VMF_BUDGET_KEPT_UNAGREED (G_GUINT64_CONSTANT(16) << 20) /* where nothing is resumed */
#define VMF_WINDOW_MOST (G_GUINT64_CONSTANT(128) << 20)         /* as link/features.c offers them */
#define VMF_KEPT_MOST (G_GUINT64_CONSTANT(64) << 20)
#define VMF_BUDGET_TABLES 100 /* the guest's memory by this is what tables of its pages take */

#define VMF_BUDGET_LANE                                                                            \
    (G_GUINT64_CONSTANT(6) << 20) /* a further lane: window, tables, two batches */
#define VMF_LANES_MOST 4          /* as link/features.c offers them */

typedef struct VmfBudget VmfBudget;

/* What is asked for. */
typedef struct {
    guint pumps;    /* 0: 1 */
    guint64 ram;    /* of the guest, where tables are kept of it; 0: they are not, or not known */
    guint64 window; /* at most */
    guint64 kept;
    guint64 kept_least; /* what cannot be bounded; 0: VMF_BUDGET_KEPT */
    gint64 until;       /* monotonic µs, when it is void unless it is held; 0: it is held */
} VmfBudgetWish;

typedef struct {
    guint64 window; /* a power of two */
    guint64 kept;
} VmfBudgetShare;

/* As it is kept for the next vmferryd. */
typedef struct {
    guint64 own;
    VmfBudgetShare share;
} VmfBudgetAccount;

/* An eighth of the host's memory: the rest is the guests', and those that arrive need room. */
guint64 vmf_budget_default(guint64 host_memory);

/* How many lanes zstd may pack in beside a window of that size: they take little beside it. */
guint vmf_budget_get_lanes(guint64 window);

/* `most`: migrations at once. `changed`: what is granted is another; from any thread. */
VmfBudget *vmf_budget_new(guint64 total, guint most,
                          void (*changed)(gpointer owner, guint64 granted), gpointer owner);
void vmf_budget_free(VmfBudget *budget);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfBudget, vmf_budget_free)

/*
 * An account for a migration. Errors: LIMIT_REACHED (what its pump needs in any case does not fit),
 * ALREADY_MIGRATING (the id has one that is held).
 */
gboolean vmf_budget_open(VmfBudget *budget, const char *id, const VmfBudgetWish *wish,
                         VmfBudgetShare *ret, GError **error);

/* It came to that, as agreed on with the other host. Nothing happens if there is no account. */
void vmf_budget_settle(VmfBudget *budget, const char *id, const VmfBudgetShare *share);

/* Of how much memory the guest is, when that was not known before; it is not refused for it. */
void vmf_budget_note_guest(VmfBudget *budget, const char *id, guint64 ram);

/* From now on it is not void by time; one that was, or is not there, is there again. */
void vmf_budget_hold(VmfBudget *budget, const char *id, const VmfBudgetShare *share);

/* One that runs already, and is not asked; `delta`: as it is by now. */
void vmf_budget_take(VmfBudget *budget, const char *id, const VmfBudgetAccount *account,
                     const VmfDelta *delta);

/*
 * Makes the level of compression and the cache what there is room for, and grants it. TRUE: that is
 * less than was asked for. Without an account, or with deltas off, the cache is as it is asked for.
 */
gboolean vmf_budget_fit(VmfBudget *budget, const char *id, VmfDelta *delta);

/* The largest cache that it could have now; G_MAXUINT64 without an account. */
guint64 vmf_budget_get_cache_most(VmfBudget *budget, const char *id);

/* FALSE: there is none. */
gboolean vmf_budget_get_account(VmfBudget *budget, const char *id, VmfBudgetAccount *ret);

/* All is given back; harmless without an account. */
void vmf_budget_close(VmfBudget *budget, const char *id);

guint64 vmf_budget_get_total(VmfBudget *budget);
guint64 vmf_budget_get_granted(VmfBudget *budget);
