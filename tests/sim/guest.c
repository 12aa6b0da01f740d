/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim.h"

#include <math.h>

guint64
vmf_sim_roll(VmfSimDice *dice)
{
    dice->state ^= dice->state << 13;
    dice->state ^= dice->state >> 7;
    dice->state ^= dice->state << 17;
    return dice->state;
}

double
vmf_sim_chance(VmfSimDice *dice)
{
    return (double)(vmf_sim_roll(dice) >> 11) / 9007199254740992.0;
}

const char *
vmf_sim_guest_name(VmfSimGuestKind kind)
{
    static const char *const names[] = {"counter", "zipf",   "phases",   "growing",
                                        "idle",    "random", "sawtooth", "trace"};

    return names[kind];
}

void
vmf_sim_writer_init(VmfSimWriter *self, const VmfSimGuest *guest, guint64 seed)
{
    *self = (VmfSimWriter){.guest = guest, .dice = {seed * 0x9e3779b97f4a7c15ull | 1}};
    for (guint i = 0; i < 8; i++)
        vmf_sim_roll(&self->dice);
}

/* Pages written per second now. */
static double
vmf_sim_writer_pace(const VmfSimWriter *self)
{
    const VmfSimGuest *guest = self->guest;
    double part = guest->period > 0 ? fmod(self->time, guest->period) / guest->period : 0;

    if (guest->kind == VMF_SIM_SAWTOOTH)
        return guest->pace * 2 * part;
    if (guest->kind == VMF_SIM_PHASES) /* every other phase is slow */
        return guest->pace * ((guint64)(self->time / guest->period) % 2 ? 0.25 : 1);
    return guest->pace;
}

/* Zero pages are the last ones; the rest is what a guest writes to. */
static guint
vmf_sim_writer_next(VmfSimWriter *self)
{
    const VmfSimGuest *guest = self->guest;
    guint filled = MAX((guint)(guest->pages * (1 - guest->zero)), 1);
    guint set = CLAMP(guest->set, 1, filled);
    guint64 n = self->written++;

    switch (guest->kind) {
    case VMF_SIM_ZIPF: /* as of 1/x: the logarithm of the rank is even */
        return (guint)MIN(pow(set, vmf_sim_chance(&self->dice)) - 1, set - 1) * 7919u % filled;
    case VMF_SIM_PHASES:
        return (guint)((n % set + (guint64)(self->time / guest->period) * set) % filled);
    case VMF_SIM_GROWING:
        set = MIN(set + (guint)(self->time * guest->pace / 20), filled);
        return (guint)(vmf_sim_roll(&self->dice) % set);
    case VMF_SIM_TRACE:
        return guest->trace[n % guest->trace_length] % filled;
    case VMF_SIM_IDLE:
    case VMF_SIM_SAWTOOTH:
        return (guint)(vmf_sim_roll(&self->dice) % set);
    default:
        return (guint)(n % set);
    }
}

void
vmf_sim_writer_run(VmfSimWriter *self, double seconds, void (*write)(guint page, gpointer),
                   gpointer data)
{
    self->owed += vmf_sim_writer_pace(self) * seconds;
    self->time += seconds;
    for (; self->owed >= 1; self->owed--)
        write(vmf_sim_writer_next(self), data);
}

typedef struct {
    guint8 *seen;
    guint n;
} VmfSimCount;

static void
vmf_sim_count(guint page, gpointer data)
{
    VmfSimCount *count = data;

    count->n += !count->seen[page];
    count->seen[page] = 1;
}

void
vmf_sim_measure(const VmfSimGuest *guest, guint64 seed, VmfWorkingSet *curve)
{
    static const double periods[] = {1, 3, 9};

    curve->n = 0;
    for (guint i = 0; i < G_N_ELEMENTS(periods); i++) {
        VmfSimCount count = {g_malloc0(guest->pages), 0};
        VmfSimWriter writer;

        vmf_sim_writer_init(&writer, guest, seed + i);
        for (double time = 0; time < periods[i]; time += VMF_SIM_TICK)
            vmf_sim_writer_run(&writer, VMF_SIM_TICK, vmf_sim_count, &count);
        vmf_working_set_add(curve, periods[i], (double)count.n * VMF_SIM_PAGE);
        g_free(count.seen);
    }
}

void
vmf_sim_wire_init(VmfSimWire *self, const VmfSimLink *link, guint64 seed)
{
    *self = (VmfSimWire){.link = link, .dice = {seed * 0x9e3779b97f4a7c15ull | 1}};
    for (guint i = 0; i < 8; i++)
        vmf_sim_roll(&self->dice);
}

double
vmf_sim_wire_rate(VmfSimWire *self, double time)
{
    if (time < self->until)
        return self->rate;
    self->until = time + 1 + 5 * vmf_sim_chance(&self->dice);
    self->rate = self->link->rate * (1 - self->link->swing * vmf_sim_chance(&self->dice));
    if (vmf_sim_chance(&self->dice) < self->link->stalls * (self->until - time)) {
        self->until = time + 0.2 + 2 * vmf_sim_chance(&self->dice);
        self->rate = 0;
    }
    return self->rate;
}
