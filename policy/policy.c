/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/policy.h"

#define GIB (1024.0 * 1024 * 1024)

/* clang-format off */
static const VmfPolicy vmf_minimal_downtime = {
    .name = "minimal-downtime", .preset = "minimal-downtime",
    .downtime = 50, .downtime_max = 200, .downtime_step = 50,
    .on_deadline = VMF_DEADLINE_GO_ON,
    .cache_share = 0.5, .cpu_share = 1, .compression = VMF_COMPRESS_AUTO,
    .engines = VMF_ENGINES_ALL, .ways = VMF_WAY_ALL, .observe = TRUE,
};

static const VmfPolicy vmf_balanced = {
    .name = "balanced", .preset = "balanced",
    .downtime = 300, .downtime_max = 1000, .downtime_step = 100,
    .on_deadline = VMF_DEADLINE_GO_ON,
    .cache_share = 0.25, .cpu_share = 0.5, .compression = VMF_COMPRESS_AUTO,
    .engines = VMF_ENGINES_ALL, .ways = VMF_WAY_ALL, .observe = TRUE,
};

static const VmfPolicy vmf_always_converges = {
    .name = "always-converges", .preset = "always-converges",
    .downtime = 300, .downtime_max = 30000, .downtime_step = 500,
    .deadline_gib = 120, .on_deadline = VMF_DEADLINE_SWITCHOVER,
    .cache_share = 0.5, .cpu_share = 1, .compression = VMF_COMPRESS_AUTO,
    .engines = VMF_ENGINES_ALL, .ways = VMF_WAY_ALL, .observe = TRUE,
};

static const VmfPolicy vmf_post_copy = {
    .name = "post-copy", .preset = "post-copy",
    .downtime = 300, .downtime_max = 300,
    .deadline_gib = 60, .on_deadline = VMF_DEADLINE_POSTCOPY,
    .cache_share = 0.25, .cpu_share = 0.5, .compression = VMF_COMPRESS_AUTO,
    .engines = VMF_ENGINES_ALL, .ways = VMF_WAY_ALL, .observe = TRUE,
};

/* Many guests at once and soon: little memory for each, and no time for background measuring. */
static const VmfPolicy vmf_evacuate = {
    .name = "evacuate", .preset = "evacuate",
    .downtime = 1000, .downtime_max = 10000, .downtime_step = 1000,
    .deadline_gib = 30, .on_deadline = VMF_DEADLINE_SWITCHOVER,
    .cache_share = 0.1, .cpu_share = 1, .compression = VMF_COMPRESS_AUTO,
    .engines = VMF_ENGINES_ALL, .ways = VMF_WAY_ALL,
};
/* clang-format on */

static const VmfPolicy *const vmf_presets[] = {&vmf_minimal_downtime, &vmf_balanced,
                                               &vmf_always_converges, &vmf_post_copy,
                                               &vmf_evacuate,         NULL};

const VmfPolicy *const *
vmf_policy_presets(void)
{
    return vmf_presets;
}

const VmfPolicy *
vmf_policy_preset(const char *name)
{
    for (const VmfPolicy *const *preset = vmf_presets; *preset; preset++)
        if (g_strcmp0((*preset)->name, name) == 0)
            return *preset;
    return NULL;
}

const VmfPolicy *
vmf_policy_default(void)
{
    return &vmf_balanced;
}

/* The smaller of two limits, of which 0 is none. */
static guint64
vmf_limit_min(guint64 a, guint64 b)
{
    return a && b ? MIN(a, b) : a + b;
}

void
vmf_policy_narrow(VmfPolicy *self, const VmfPolicy *wish)
{
    self->bandwidth = vmf_limit_min(self->bandwidth, wish->bandwidth);
    self->downtime = MIN(self->downtime, wish->downtime);
    self->downtime_max = MAX(MIN(self->downtime_max, wish->downtime_max), self->downtime);
    self->downtime_step = MIN(self->downtime_step, wish->downtime_step);
    self->deadline = (guint)vmf_limit_min(self->deadline, wish->deadline);
    self->deadline_gib = (guint)vmf_limit_min(self->deadline_gib, wish->deadline_gib);
    self->cache_memory = vmf_limit_min(self->cache_memory, wish->cache_memory);
    self->cache_share = MIN(self->cache_share, wish->cache_share);
    self->cpu_share = MIN(self->cpu_share, wish->cpu_share);
    if (wish->compression == VMF_COMPRESS_OFF)
        self->compression = VMF_COMPRESS_OFF;
    self->engines &= wish->engines;
    self->ways &= wish->ways;
    self->fail_closed |= wish->fail_closed;
    self->observe &= wish->observe;
}

double
vmf_policy_get_deadline(const VmfPolicy *self, guint64 ram)
{
    double relative = self->deadline_gib * ((double)ram / GIB);

    if (self->deadline && self->deadline_gib)
        return MIN((double)self->deadline, relative);
    return self->deadline ? (double)self->deadline : relative;
}

guint64
vmf_policy_get_cache_budget(const VmfPolicy *self, guint64 free)
{
    guint64 share = (guint64)((double)free * self->cache_share);

    return self->cache_memory ? MIN(self->cache_memory, share) : share;
}

guint
vmf_policy_get_packers(const VmfPolicy *self, guint processors)
{
    guint share = (guint)((double)processors * self->cpu_share);

    return MAX(MIN(MAX(share, 2), processors), 1);
}

const char *const *
vmf_engine_words(void)
{
    static const char *const words[] = {"pump", "one-sided", "native", "plain", NULL};

    return words;
}

const char *const *
vmf_way_words(void)
{
    static const char *const words[] = {"socket", "capture", "native", NULL};

    return words;
}

const char *const *
vmf_deadline_action_words(void)
{
    static const char *const words[] = {"go-on",    "switchover", "postcopy",
                                        "throttle", "abort",      NULL};

    return words;
}

const char *const *
vmf_compression_words(void)
{
    static const char *const words[] = {"auto", "off", "on", NULL};

    return words;
}

char *
vmf_policy_format_set(guint set, const char *const *words)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint bit = 0; words[bit]; bit++)
        if (set & (1u << bit))
            g_string_append_printf(text, "%s%s", text->len ? " " : "", words[bit]);
    return g_strdup(text->len ? text->str : "none");
}
