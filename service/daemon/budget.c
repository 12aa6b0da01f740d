/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/budget.h"

#include "base/error.h"
#include "base/timer.h"

#define VMF_MIB ((guint64)1 << 20)

/* Of the window, for which there is a lane. */
#define VMF_WINDOW_OF_LANE (32 * VMF_MIB)

/* What zstd's tables take beyond those of the levels that are chosen by themselves, measured. */
#define VMF_LEVEL_MODEST 4
#define VMF_LEVEL_MIDDLE 9
#define VMF_LEVEL_MIDDLE_TABLES (20 * VMF_MIB)
#define VMF_LEVEL_HIGH_TABLES (90 * VMF_MIB)

typedef struct {
    VmfBudgetAccount fixed;
    guint64 ram;    /* of the guest, that counts in `fixed` */
    guint64 tables; /* of a level that somebody asked for */
    guint64 cache;
    gint64 until; /* 0: it is held */
} VmfHolding;

struct VmfBudget {
    guint64 total;
    guint most;
    void (*changed)(gpointer owner, guint64 granted);
    gpointer owner;

    GMutex lock;          /* for the following */
    GHashTable *holdings; /* the migration's id -> VmfHolding */
    guint64 granted;
    guint64 own; /* of that, what pumps take in any case */
    guint64 told;
    GSource *timer; /* when the next account is void */
};

guint
vmf_budget_get_lanes(guint64 window)
{
    return (guint)CLAMP(window / VMF_WINDOW_OF_LANE, 1, VMF_LANES_MOST);
}

/* The small one is among what every pump has; the tables of a large one grow with it. */
static guint64
vmf_budget_window_cost(guint64 window)
{
    guint further = vmf_budget_get_lanes(window) - 1;

    return window > VMF_BUDGET_WINDOW ? window + window / 8 + further * VMF_BUDGET_LANE : 0;
}

static guint64
vmf_budget_level_cost(int level)
{
    if (level <= VMF_LEVEL_MODEST)
        return 0;
    return level <= VMF_LEVEL_MIDDLE ? VMF_LEVEL_MIDDLE_TABLES : VMF_LEVEL_HIGH_TABLES;
}

static guint64
vmf_holding_cost(const VmfHolding *holding)
{
    const VmfBudgetShare *share = &holding->fixed.share;

    return holding->fixed.own + vmf_budget_window_cost(share->window) + share->kept +
           holding->tables + holding->cache;
}

guint64
vmf_budget_default(guint64 host_memory)
{
    return MAX(host_memory / VMF_BUDGET_PART, VMF_BUDGET_LEAST);
}

/* What is void by now is seen by whoever adds up. */
static gboolean
vmf_budget_on_void(gpointer data)
{
    (void)vmf_budget_get_granted(data);
    return G_SOURCE_CONTINUE;
}

VmfBudget *
vmf_budget_new(guint64 total, guint most, void (*changed)(gpointer owner, guint64 granted),
               gpointer owner)
{
    VmfBudget *self = g_new0(VmfBudget, 1);

    self->total = total;
    self->most = most;
    self->changed = changed;
    self->owner = owner;
    self->holdings = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_mutex_init(&self->lock);
    self->timer = vmf_alarm_new(vmf_budget_on_void, self);
    return self;
}

void
vmf_budget_free(VmfBudget *self)
{
    vmf_timer_clear(&self->timer);
    g_hash_table_unref(self->holdings);
    g_mutex_clear(&self->lock);
    g_free(self);
}

/* ---- with the lock held ---- */

/* Also drops what is void by now, and comes again when the next one is. */
static void
vmf_budget_sum(VmfBudget *self)
{
    gint64 now = g_get_monotonic_time();
    gint64 next = G_MAXINT64;
    guint64 granted = 0;
    guint64 own = 0;
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, self->holdings);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const VmfHolding *holding = value;

        if (holding->until && now >= holding->until) {
            g_hash_table_iter_remove(&iter);
            continue;
        }
        if (holding->until)
            next = MIN(next, holding->until);
        granted += vmf_holding_cost(holding);
        own += holding->fixed.own;
    }
    self->granted = granted;
    self->own = own;
    if (granted != self->told && self->changed)
        self->changed(self->owner, granted);
    self->told = granted;
    g_source_set_ready_time(self->timer, next < G_MAXINT64 ? next : -1);
}

/*
 * What can be shared out, beyond what those need who may still come: like those that are there, but
 * not as many large guests as there is room for small ones.
 */
static guint64
vmf_budget_left(const VmfBudget *self)
{
    guint accounts = g_hash_table_size(self->holdings);
    guint64 coming = accounts < self->most ? self->most - accounts : 0;
    guint64 own = accounts ? self->own / accounts : 0;
    guint64 taken;

    own = CLAMP(own, VMF_BUDGET_OWN, 2 * VMF_BUDGET_OWN);
    taken = self->granted + coming * (own + VMF_BUDGET_KEPT);
    return taken < self->total ? self->total - taken : 0;
}

/* What it has, and half of what is left, but never more than half of all; less than it has when too
 * much is granted. */
static guint64
vmf_budget_cache_most(const VmfBudget *self, const VmfHolding *holding)
{
    guint64 over = self->granted > self->total ? self->granted - self->total : 0;

    return MIN(holding->cache + vmf_budget_left(self) / 2 - MIN(over, holding->cache),
               self->total / 2);
}

static gboolean
vmf_budget_check(VmfBudget *self, const char *id, guint64 need, GError **error)
{
    const VmfHolding *before = g_hash_table_lookup(self->holdings, id);

    if (before && !before->until) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_ALREADY_MIGRATING,
                            "the migration's id is taken");
        return FALSE;
    }
    if (before)
        g_hash_table_remove(self->holdings, id);
    vmf_budget_sum(self);
    if (self->granted + need <= self->total)
        return TRUE;
    if (need > self->total) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_LIMIT_REACHED,
                    "the pump of this guest needs %" G_GUINT64_FORMAT " MiB of this host's memory, "
                    "and migrations may take %" G_GUINT64_FORMAT
                    " in all; raise MemoryBudget in vmferryd.conf",
                    (need + VMF_MIB - 1) / VMF_MIB, self->total / VMF_MIB);
        return FALSE;
    }
    g_set_error(
        error, VMF_ERROR, VMF_ERROR_LIMIT_REACHED,
        "migrations have %" G_GUINT64_FORMAT " of the %" G_GUINT64_FORMAT
        " MiB that they may take of this host's memory, and this one needs %" G_GUINT64_FORMAT
        " more; try again when one is over, or raise MemoryBudget in vmferryd.conf",
        self->granted / VMF_MIB, self->total / VMF_MIB, (need + VMF_MIB - 1) / VMF_MIB);
    return FALSE;
}

/* ---- ---- */

static guint64
vmf_power_of_two_in(guint64 value)
{
    return value ? (guint64)1 << (63 - __builtin_clzll(value)) : 0;
}

gboolean
vmf_budget_open(VmfBudget *self, const char *id, const VmfBudgetWish *wish, VmfBudgetShare *ret,
                GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    guint64 own = VMF_BUDGET_OWN * MAX(wish->pumps, 1) + wish->ram / VMF_BUDGET_TABLES;
    guint64 kept = MAX(wish->kept_least, VMF_BUDGET_KEPT);
    VmfHolding *holding;
    guint64 left;

    if (!vmf_budget_check(self, id, own + kept, error))
        return FALSE;
    holding = g_new0(VmfHolding, 1);
    holding->fixed.own = own;
    holding->ram = wish->ram;
    holding->fixed.share.kept = kept;
    g_hash_table_replace(self->holdings, g_strdup(id), holding);
    vmf_budget_sum(self);
    left = vmf_budget_left(self);
    ret->window = MAX(vmf_power_of_two_in(MIN(wish->window, left / 4)), VMF_BUDGET_WINDOW);
    ret->kept = MAX(MIN(wish->kept, left / 8), kept);
    holding->fixed.share = *ret;
    holding->until = wish->until; /* it may be void already: not before it is filled in */
    vmf_budget_sum(self);
    return TRUE;
}

void
vmf_budget_settle(VmfBudget *self, const char *id, const VmfBudgetShare *share)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    VmfHolding *holding = g_hash_table_lookup(self->holdings, id);

    if (holding)
        holding->fixed.share = *share;
    vmf_budget_sum(self);
}

void
vmf_budget_note_guest(VmfBudget *self, const char *id, guint64 ram)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    VmfHolding *holding = g_hash_table_lookup(self->holdings, id);

    if (holding && holding->ram == 0) {
        holding->ram = ram;
        holding->fixed.own += ram / VMF_BUDGET_TABLES;
    }
    vmf_budget_sum(self);
}

void
vmf_budget_hold(VmfBudget *self, const char *id, const VmfBudgetShare *share)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    VmfHolding *holding = g_hash_table_lookup(self->holdings, id);

    if (!holding) {
        holding = g_new0(VmfHolding, 1);
        holding->fixed.own = VMF_BUDGET_OWN;
        holding->fixed.share = *share;
        g_hash_table_insert(self->holdings, g_strdup(id), holding);
    }
    holding->until = 0;
    vmf_budget_sum(self);
}

void
vmf_budget_take(VmfBudget *self, const char *id, const VmfBudgetAccount *account,
                const VmfDelta *delta)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    VmfHolding *holding = g_new0(VmfHolding, 1);

    holding->fixed = *account;
    holding->tables = vmf_budget_level_cost(delta->compression);
    holding->cache = delta->on ? delta->cache : 0;
    g_hash_table_replace(self->holdings, g_strdup(id), holding);
    vmf_budget_sum(self);
}

/* The highest level at most as high whose tables fit. */
static int
vmf_budget_fit_level(VmfBudget *self, VmfHolding *holding, int level)
{
    static const int highest[] = {VMF_COMPRESSION_MOST, VMF_LEVEL_MIDDLE, VMF_LEVEL_MODEST};
    guint64 most = holding->tables + vmf_budget_left(self) / 2;

    for (gsize i = 0; i < G_N_ELEMENTS(highest); i++)
        if (vmf_budget_level_cost(MIN(level, highest[i])) <= most)
            return MIN(level, highest[i]);
    return MIN(level, VMF_LEVEL_MODEST);
}

gboolean
vmf_budget_fit(VmfBudget *self, const char *id, VmfDelta *delta)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    VmfHolding *holding = g_hash_table_lookup(self->holdings, id);
    const VmfDelta asked = *delta;

    if (!holding)
        return FALSE;
    vmf_budget_sum(self);
    delta->compression = vmf_budget_fit_level(self, holding, asked.compression);
    holding->tables = vmf_budget_level_cost(delta->compression);
    vmf_budget_sum(self);
    if (delta->on)
        delta->cache = MIN(asked.cache, vmf_budget_cache_most(self, holding));
    holding->cache = delta->on ? delta->cache : 0;
    vmf_budget_sum(self);
    return delta->cache != asked.cache || delta->compression != asked.compression;
}

guint64
vmf_budget_get_cache_most(VmfBudget *self, const char *id)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    const VmfHolding *holding = g_hash_table_lookup(self->holdings, id);

    return holding ? vmf_budget_cache_most(self, holding) : G_MAXUINT64;
}

gboolean
vmf_budget_get_account(VmfBudget *self, const char *id, VmfBudgetAccount *ret)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);
    const VmfHolding *holding = g_hash_table_lookup(self->holdings, id);

    if (holding)
        *ret = holding->fixed;
    return holding != NULL;
}

void
vmf_budget_close(VmfBudget *self, const char *id)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    g_hash_table_remove(self->holdings, id);
    vmf_budget_sum(self);
}

guint64
vmf_budget_get_total(VmfBudget *self)
{
    return self->total;
}

guint64
vmf_budget_get_granted(VmfBudget *self)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    vmf_budget_sum(self);
    return self->granted;
}
