/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From one vmferryd to the next: the policy that was decided on, and what is steered by. */
#include "daemon/steering-private.h"

#include "base/error.h"
#include "daemon/fields.h"
#include "daemon/record.h"
#include "policy/decision.h"

#define VMF_KEPT_POLICY "Policy"
#define VMF_KEPT_STEERING "Steering"

#define VMF_SECONDS_MOST (366u * 86400)

#define VMF_POLICY_FIELD(name, type, member, most)                                                 \
    VMF_FIELD(name, type, VmfChosenPolicy, member, most)

static const VmfField vmf_kept_policy[] = {
    VMF_POLICY_FIELD("Name", "s", name, 0),
    VMF_POLICY_FIELD("File", "s", file, 0),
    VMF_POLICY_FIELD("Wishes", "b", wishes, 0),
    VMF_POLICY_FIELD("Problem", "s", problem, 0),
    VMF_POLICY_FIELD("Bandwidth", "t", policy.bandwidth, 0),
    VMF_POLICY_FIELD("Downtime", "u", policy.downtime, G_MAXINT),
    VMF_POLICY_FIELD("DowntimeMax", "u", policy.downtime_max, G_MAXINT),
    VMF_POLICY_FIELD("DowntimeStep", "u", policy.downtime_step, G_MAXINT),
    VMF_POLICY_FIELD("Deadline", "u", policy.deadline, VMF_SECONDS_MOST),
    VMF_POLICY_FIELD("DeadlineGib", "u", policy.deadline_gib, VMF_SECONDS_MOST),
    VMF_POLICY_FIELD("OnDeadline", "u", policy.on_deadline, VMF_DEADLINE_ABORT),
    VMF_POLICY_FIELD("CacheMemory", "t", policy.cache_memory, 0),
    VMF_POLICY_FIELD("CacheShare", "d", policy.cache_share, 1),
    VMF_POLICY_FIELD("CpuShare", "d", policy.cpu_share, 1),
    VMF_POLICY_FIELD("Compression", "u", policy.compression, VMF_COMPRESS_ON),
    VMF_POLICY_FIELD("Engines", "u", policy.engines, VMF_ENGINES_ALL),
    VMF_POLICY_FIELD("Ways", "u", policy.ways, VMF_WAY_ALL),
};

static const VmfField vmf_kept_start[] = {
    VMF_FIELD("Ram", "t", VmfSteerStart, ram, 0),
    VMF_FIELD("Cache", "b", VmfSteerStart, cache, 0),
    VMF_FIELD("Fixed", "b", VmfSteerStart, fixed, 0),
    VMF_FIELD("CacheMost", "t", VmfSteerStart, cache_most, 0),
    VMF_FIELD("Downtime", "u", VmfSteerStart, downtime, G_MAXINT),
    VMF_FIELD("Postcopy", "b", VmfSteerStart, postcopy, 0),
    VMF_FIELD("Started", "x", VmfSteerStart, started, 0),
};

/* ---- keeping ---- */

static GVariant *
vmf_working_set_save(const VmfWorkingSet *written)
{
    GVariantBuilder points;

    g_variant_builder_init(&points, G_VARIANT_TYPE("a(dd)"));
    for (guint i = 0; i < written->n; i++)
        g_variant_builder_add(&points, "(dd)", written->seconds[i], written->bytes[i]);
    return g_variant_builder_end(&points);
}

void
vmf_steering_keep(const VmfSteeringSetup *setup, gint64 started)
{
    VmfSteerStart start = setup->start;
    g_autoptr(GVariant) values = NULL;
    GVariantDict dict;

    start.started = started;
    values =
        g_variant_ref_sink(vmf_fields_save(vmf_kept_start, G_N_ELEMENTS(vmf_kept_start), &start));
    g_variant_dict_init(&dict, values);
    g_variant_dict_insert_value(&dict, "Written", vmf_working_set_save(&start.written));
    vmf_migration_keep(setup->migration, VMF_KEPT_STEERING, g_variant_dict_end(&dict));
    vmf_migration_keep(
        setup->migration, VMF_KEPT_POLICY,
        vmf_fields_save(vmf_kept_policy, G_N_ELEMENTS(vmf_kept_policy), setup->policy));
}

/* ---- going on ---- */

static void
vmf_working_set_load(GVariant *values, VmfWorkingSet *written)
{
    g_autoptr(GVariant) points = g_variant_lookup_value(values, "Written", G_VARIANT_TYPE("a(dd)"));
    GVariantIter iter;
    double seconds, bytes;

    if (!points)
        return;
    g_variant_iter_init(&iter, points);
    while (g_variant_iter_next(&iter, "(dd)", &seconds, &bytes))
        if (seconds > 0 && bytes >= 0)
            vmf_working_set_add(written, seconds, bytes);
}

static VmfChosenPolicy *
vmf_chosen_policy_load(GVariant *sections, GError **error)
{
    g_autoptr(GVariant) values = vmf_record_get_section(sections, VMF_KEPT_POLICY);
    g_autoptr(VmfChosenPolicy) chosen = g_new0(VmfChosenPolicy, 1);

    chosen->policy = *vmf_policy_default();
    if (!vmf_fields_load(vmf_kept_policy, G_N_ELEMENTS(vmf_kept_policy), values, chosen, error))
        return NULL;
    if (!chosen->name) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT, "the policy has no name");
        return NULL;
    }
    chosen->policy.name = chosen->name;
    return g_steal_pointer(&chosen);
}

/* Those that the bus shows. */
static GPtrArray *
vmf_decisions_load(VmfMigration *migration)
{
    gint64 epoch = g_get_real_time() - g_get_monotonic_time();
    g_autoptr(GVariant) shown = vmf_migration_get_decisions(migration);
    GPtrArray *decisions = vmf_decisions_new();
    const char *rule, *what, *numbers;
    GVariantIter iter;
    guint64 time;

    g_variant_iter_init(&iter, shown);
    while (g_variant_iter_next(&iter, "(t&s&s&s)", &time, &rule, &what, &numbers))
        vmf_decisions_add(decisions, (gint64)time - epoch, g_intern_string(rule), g_strdup(what),
                          g_strdup(numbers));
    return decisions;
}

gboolean
vmf_steering_restore(const VmfSteeringSetup *setup, GVariant *sections, GError **error)
{
    g_autoptr(GVariant) values = vmf_record_get_section(sections, VMF_KEPT_STEERING);
    VmfSteeringSetup restored = *setup;
    VmfDelta delta;

    if (g_variant_n_children(values) == 0)
        return TRUE; /* it was not steered */
    if (!vmf_fields_load(vmf_kept_start, G_N_ELEMENTS(vmf_kept_start), values, &restored.start,
                         error))
        return FALSE;
    restored.policy = vmf_chosen_policy_load(sections, error);
    if (!restored.policy)
        return FALSE;
    vmf_working_set_load(values, &restored.start.written);
    vmf_migration_get_granted_delta(setup->migration, &delta);
    restored.start.cache_size = delta.cache; /* as it is by now */
    if (restored.start.downtime)
        restored.start.downtime = vmf_migration_get_downtime_allowed(setup->migration);
    restored.decisions = vmf_decisions_load(setup->migration);
    vmf_steering_attach_told(&restored, restored.decisions->len);
    return TRUE;
}
