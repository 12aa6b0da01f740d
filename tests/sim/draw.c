/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim.h"

#include <string.h>

#define MIB (1024.0 * 1024)

static double
vmf_draw(VmfSimDice *dice, double low, double high)
{
    return low + (high - low) * vmf_sim_chance(dice);
}

static void
vmf_draw_guest(VmfSimDice *dice, VmfSimGuest *guest)
{
    guest->kind = (VmfSimGuestKind)(vmf_sim_roll(dice) % VMF_SIM_TRACE);
    guest->pages = (guint)vmf_draw(dice, 2048, 8192);
    guest->set = (guint)(guest->pages * vmf_draw(dice, 0.01, 0.9));
    guest->pace = guest->kind == VMF_SIM_IDLE ? vmf_draw(dice, 1, 20)
                                              : guest->pages * vmf_draw(dice, 0.02, 2);
    guest->period = vmf_draw(dice, 2, 20);
    guest->zero = vmf_draw(dice, 0, 0.8);
    guest->delta = guest->kind == VMF_SIM_RANDOM ? 1.01 : vmf_draw(dice, 0.01, 0.7);
    guest->unchanged = vmf_sim_roll(dice) % 3 ? 0 : vmf_draw(dice, 0, 0.5);
}

void
vmf_sim_draw(guint64 seed, VmfSimScenario *scenario, VmfPolicy *policy)
{
    VmfSimDice dice = {seed * 0x9e3779b97f4a7c15ull | 1};
    const VmfPolicy *const *presets = vmf_policy_presets();
    double ram;

    for (guint i = 0; i < 16; i++)
        vmf_sim_roll(&dice);
    memset(scenario, 0, sizeof *scenario);
    vmf_draw_guest(&dice, &scenario->guest);
    ram = scenario->guest.pages * (double)VMF_SIM_PAGE;
    scenario->link.rate = vmf_draw(&dice, 20, 400) * MIB;
    scenario->link.swing = vmf_sim_roll(&dice) % 2 ? vmf_draw(&dice, 0, 0.6) : 0;
    scenario->link.stalls = vmf_sim_roll(&dice) % 4 ? 0 : vmf_draw(&dice, 0, 0.1);
    scenario->native = vmf_sim_roll(&dice) % 2;
    scenario->cache = vmf_sim_roll(&dice) % 8 ? 64ull << 20 : 0;
    scenario->compress = scenario->native || vmf_sim_roll(&dice) % 2 ? 1 : vmf_draw(&dice, 0.3, 1);
    scenario->free = vmf_sim_roll(&dice) % 4 ? (guint64)(ram * vmf_draw(&dice, 0.5, 4)) : 0;
    if (scenario->free && vmf_sim_roll(&dice) % 4 == 0) {
        scenario->pressure_from = vmf_draw(&dice, 1, 30);
        scenario->free_then = scenario->free / 4;
    }
    scenario->known = vmf_sim_roll(&dice) % 2;
    scenario->give_up = 300;
    scenario->seed = seed;
    *policy = *presets[vmf_sim_roll(&dice) % 5];
    if (vmf_sim_roll(&dice) % 2)
        policy->cache_memory = (guint64)(ram * vmf_draw(&dice, 0.1, 1));
    if (vmf_sim_roll(&dice) % 4) {
        policy->deadline = (guint)vmf_draw(&dice, 5, 90);
        policy->on_deadline = (VmfDeadlineAction)(vmf_sim_roll(&dice) % 5);
    }
    /* A start within the limits; what is over them later is to be brought down. */
    scenario->cache = MIN(
        scenario->cache,
        vmf_policy_get_cache_budget(policy, scenario->free ? scenario->free : (guint64)ram * 4));
    if (scenario->native && scenario->cache)
        scenario->cache = 1ull << (63 - __builtin_clzll(scenario->cache));
    scenario->downtime = policy->downtime / 1000.0;
}
