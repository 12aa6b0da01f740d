/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/model.h"

#include <math.h>
#include <string.h>

#define MIB (1024.0 * 1024)

#define VMF_DEVICE_TIME 0.03    /* s of downtime for device state and answers */
#define VMF_HEADER_SHARE 0.0025 /* of a page, for a record without content */
#define VMF_STUCK_PASSES 4      /* passes that bring nothing before it is given up */
#define VMF_ASSUMED_SHARE 0.05  /* of a guest that was not measured, written in the first second */
#define VMF_STUCK_SHARE 0.97    /* "nothing": more than this share is left */

void
vmf_facts_init(VmfFacts *self, guint64 ram)
{
    memset(self, 0, sizeof *self);
    self->ram = ram;
    self->whole_ratio = 0.5;
    self->delta_ratio = 0.3;
    self->packed_ratio = 0.2;
    self->overhead = 1.5;
    self->link_rate = 110 * MIB;
    self->engine_rate[0] = 500 * MIB;
    self->engine_rate[1] = 800 * MIB;
    self->engine_rate[2] = 600 * MIB;
    self->engine_rate[3] = 1000 * MIB;
    self->compress_rate = 400 * MIB;
    self->engines = VMF_ENGINES_ALL;
}

static double
vmf_model_engine_rate(const VmfFacts *facts, const VmfSetting *setting)
{
    double rate = facts->engine_rate[g_bit_nth_lsf(setting->engine, -1)];

    return setting->compress ? MIN(rate, facts->compress_rate) : rate;
}

double
vmf_model_hit_share(VmfEngines engine, double size, double set)
{
    if (set <= 0 || size <= 0)
        return 0;
    if (size >= set)
        return 1;
    /* Neighbours that lie together get places of their own; scattered ones share. */
    if (engine == VMF_ENGINES_NATIVE)
        return size / set * (1 - exp(-set / size));
    return size / set;
}

/* Bytes on the wire for each byte of pages that are sent again. */
static double
vmf_model_again_ratio(const VmfFacts *facts, const VmfSetting *setting, double hits)
{
    double whole = setting->compress ? facts->whole_ratio : 1;
    double delta = setting->compress ? facts->packed_ratio : facts->delta_ratio;
    double unchanged =
        setting->engine == VMF_ENGINES_PUMP || setting->engine == VMF_ENGINES_ONE_SIDED
            ? facts->unchanged_share
            : 0;

    if (!setting->delta)
        return whole;
    delta = MIN(delta, whole);
    return unchanged * VMF_HEADER_SHARE + (1 - unchanged) * (hits * delta + (1 - hits) * whole);
}

/* The share of hits in pass `pass`, from 2: QEMU's own cache is filled by the second only. */
static double
vmf_model_hits(const VmfFacts *facts, const VmfSetting *setting, guint pass, double set)
{
    if (!setting->delta || (setting->engine == VMF_ENGINES_NATIVE && pass <= 2))
        return 0;
    return vmf_model_hit_share(setting->engine, (double)setting->cache, set);
}

/* How long a pass takes that takes `pages` bytes from QEMU and puts `wire` on the link. */
static double
vmf_model_pass_time(const VmfFacts *facts, double rate, double pages, double wire)
{
    return MAX(wire / MAX(facts->link_rate, 1), pages / MAX(rate, 1));
}

/* Of a guest that nobody measured something is assumed, as not to plan for one that rests. */
static double
vmf_model_written(const VmfFacts *facts, double seconds)
{
    double ram = (double)facts->ram;

    if (facts->written.n == 0)
        return MIN(ram * VMF_ASSUMED_SHARE * sqrt(seconds), ram);
    return vmf_working_set_get(&facts->written, seconds, ram);
}

static void
vmf_model_first_pass(const VmfFacts *facts, const VmfSetting *setting, VmfPrediction *prediction)
{
    double ram = (double)facts->ram;
    double filled = ram * (1 - facts->zero_share);
    double whole = setting->compress ? facts->whole_ratio : 1;

    prediction->passes = 1;
    prediction->wire = filled * whole + (ram - filled) * VMF_HEADER_SHARE;
    prediction->seconds =
        vmf_model_pass_time(facts, vmf_model_engine_rate(facts, setting), filled, prediction->wire);
}

void
vmf_model_predict(const VmfFacts *facts, const VmfSetting *setting, VmfPrediction *prediction)
{
    double rate = vmf_model_engine_rate(facts, setting);
    double last = INFINITY;
    double time;
    guint stuck = 0;

    memset(prediction, 0, sizeof *prediction);
    vmf_model_first_pass(facts, setting, prediction);
    time = prediction->seconds;
    prediction->set = vmf_model_written(facts, time);
    while (TRUE) {
        double dirty = vmf_model_written(facts, time);
        double set = vmf_model_written(facts, 2 * time);
        double hits = vmf_model_hits(facts, setting, prediction->passes + 1, set);
        double wire = dirty * vmf_model_again_ratio(facts, setting, hits);

        time = vmf_model_pass_time(facts, rate, dirty, wire);
        prediction->downtime = time + VMF_DEVICE_TIME;
        prediction->converges = time <= setting->downtime;
        stuck = time > last * VMF_STUCK_SHARE ? stuck + 1 : 0;
        last = time;
        prediction->wire += wire;
        prediction->seconds += time;
        if (prediction->converges || stuck >= VMF_STUCK_PASSES ||
            prediction->passes >= VMF_MODEL_PASSES)
            break;
        prediction->passes++;
    }
    prediction->seconds += VMF_DEVICE_TIME + facts->overhead;
}
