/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/decision.h"
#include "policy/steer-private.h"

#define VMF_MISSES_HIGH 0.1 /* of what was asked for, at which the cache is too small */
#define VMF_NATIVE_LEAST (16ull << 20)
#define VMF_SMALL_CHANGE 8 /* a change by less than 1/8 of the size is none */

static guint64
vmf_power_of_two_down(guint64 value)
{
    return value ? 1ull << (63 - __builtin_clzll(value)) : 0;
}

static guint64
vmf_power_of_two_up(guint64 value)
{
    guint64 down = vmf_power_of_two_down(value);

    return down == value ? down : down * 2;
}

guint64
vmf_steer_get_allowed(const VmfSteer *self, const VmfObservation *seen)
{
    guint64 free = seen->source_free ? seen->source_free : self->start.source_free;
    guint64 budget = MIN(self->start.cache_most, self->start.ram);

    /* What the cache holds already is not free any more, but it is for the cache. */
    if (free)
        budget = MIN(budget, vmf_policy_get_cache_budget(self->policy, free + self->cache));
    else if (self->policy->cache_memory)
        budget = MIN(budget, self->policy->cache_memory);
    return self->start.native ? vmf_power_of_two_down(budget) : budget;
}

guint64
vmf_steer_get_budget(const VmfSteer *self, const VmfObservation *seen)
{
    guint64 allowed = vmf_steer_get_allowed(self, seen);

    return vmf_steer_is_rationed(self, seen) ? seen->cache_most : allowed;
}

gboolean
vmf_steer_is_rationed(const VmfSteer *self, const VmfObservation *seen)
{
    return seen->cache_most > 0 && seen->cache_most < vmf_steer_get_allowed(self, seen);
}

/* Misses of what the cache was asked for since the pass began before this one; < 0: not known. */
static double
vmf_steer_get_misses(const VmfSteer *self, const VmfObservation *seen)
{
    guint64 asked = seen->again - self->pass.again;

    if (asked == 0)
        return -1;
    return (double)(seen->misses - self->pass.misses) / (double)asked;
}

guint64
vmf_steer_get_set(const VmfSteer *self, const VmfObservation *seen)
{
    double ram = (double)self->start.ram;
    double left = self->pace > 0 ? (double)seen->remaining / self->pace : 0;
    double first = (double)(seen->now - self->pass.began) / G_USEC_PER_SEC + left;
    guint64 set;

    if (self->pass.number <= 1) /* it will be what is written until its end */
        return (guint64)vmf_working_set_get(&self->start.written, first, ram);
    set = MAX(self->pass.remaining,
              (guint64)vmf_working_set_get(&self->start.written, self->took, ram));
    return self->before.number > 1 ? MAX(set, self->before.remaining) : set;
}

/* QEMU's: there is no curve, and a change costs a pass of misses, so it is made large enough. */
static guint64
vmf_steer_choose_native(const VmfSteer *self, const VmfObservation *seen, guint64 budget,
                        double misses, const char **ret_rule)
{
    guint64 set = vmf_steer_get_set(self, seen);
    guint64 wanted = vmf_power_of_two_up(MAX(set, VMF_NATIVE_LEAST));

    *ret_rule = "cache-holds-set";
    if (set == 0)
        return self->cache;
    if (self->cache < wanted && self->cache < budget)
        return MIN(wanted, budget);
    /* Large enough by its size, and still: the pages lie so that they share places. */
    if (misses > VMF_MISSES_HIGH && self->resized + 2 < seen->pass && seen->pass > 3) {
        *ret_rule = "cache-misses";
        return MAX(MIN(self->cache * 2, budget), self->cache);
    }
    return self->cache;
}

gboolean
vmf_steer_get_reuse(const VmfSteer *self, const VmfObservation *seen, VmfReuse *ret)
{
    if (!seen->reuse || seen->reuse->n < 2 || seen->pass < 4 || self->reuse_before.n == 0)
        return FALSE;
    vmf_reuse_since(seen->reuse, &self->reuse_before, ret);
    return ret->wire[0] > 0;
}

static guint64
vmf_steer_choose_ours(const VmfSteer *self, const VmfObservation *seen, guint64 budget,
                      const char **ret_rule)
{
    VmfReuse late;
    guint64 size;

    if (vmf_steer_get_reuse(self, seen, &late)) {
        *ret_rule = "cache-reuse";
        size = vmf_reuse_recommend(&late, budget);
        /* Not for little: what is in it is worth more than a few pages of memory. */
        if (size < self->cache && self->cache - size < self->cache / VMF_SMALL_CHANGE)
            return self->cache;
        return size;
    }
    *ret_rule = "cache-holds-set";
    return MAX(self->cache, MIN(vmf_steer_get_set(self, seen), budget));
}

gboolean
vmf_steer_choose_cache(VmfSteer *self, const VmfObservation *seen, guint64 *ret_size,
                       const char **ret_rule, char **ret_numbers)
{
    guint64 budget = vmf_steer_get_budget(self, seen);
    double misses = vmf_steer_get_misses(self, seen);
    guint64 size = self->start.native
                       ? vmf_steer_choose_native(self, seen, budget, misses, ret_rule)
                       : vmf_steer_choose_ours(self, seen, budget, ret_rule);
    g_autofree char *set = vmf_decision_format_bytes((double)vmf_steer_get_set(self, seen));
    g_autofree char *most = vmf_decision_format_bytes((double)budget);

    if (size == self->cache || (size < self->cache && self->start.native))
        return FALSE;
    *ret_size = size;
    *ret_numbers =
        g_strdup_printf("pass %u, %s to be sent again, %.0f %% misses, at most %s allowed",
                        seen->pass, set, MAX(misses, 0) * 100, most);
    return TRUE;
}
