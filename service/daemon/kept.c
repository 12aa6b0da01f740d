/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kept.h"

#include "base/error.h"
#include "daemon/fields.h"
#include "daemon/record.h"

#define VMF_KEPT_PUMP "Pump"
#define VMF_KEPT_MEMORY "Memory"
#define VMF_KEPT_OUTGOING "Outgoing"
#define VMF_KEPT_INCOMING "Incoming"

#define VMF_MEMORY_MOST (G_GUINT64_CONSTANT(1) << 48) /* bytes */

static const VmfField vmf_kept_pump[] = {
    VMF_FIELD("Pid", "i", VmfProcessId, pid, 0),
    VMF_FIELD("Started", "t", VmfProcessId, started, 0),
};

static const VmfField vmf_kept_memory[] = {
    VMF_FIELD("Own", "t", VmfBudgetAccount, own, VMF_MEMORY_MOST),
    VMF_FIELD("Window", "t", VmfBudgetAccount, share.window, VMF_MEMORY_MOST),
    VMF_FIELD("Kept", "t", VmfBudgetAccount, share.kept, VMF_MEMORY_MOST),
};

static const VmfField vmf_kept_options[] = {
    VMF_FIELD("Postcopy", "b", VmfOptions, postcopy, 0),
    VMF_FIELD("PostcopyAfterPrecopy", "b", VmfOptions, postcopy_after_precopy, 0),
    VMF_FIELD("PostcopyResume", "b", VmfOptions, postcopy_resume, 0),
    VMF_FIELD("CopyStorage", "s", VmfOptions, copy_storage, 0),
    VMF_FIELD("Downtime", "u", VmfOptions, downtime, 0),
    VMF_FIELD("Timeout", "u", VmfOptions, timeout, 0),
    VMF_FIELD("OnTimeout", "u", VmfOptions, on_timeout, VMF_ON_TIMEOUT_ABORT),
};

/* ---- the pump ---- */

void
vmf_kept_set_pump(VmfMigration *migration, VmfPump *pump)
{
    VmfProcessId process;

    vmf_pump_get_process(pump, &process);
    vmf_migration_keep(migration, VMF_KEPT_PUMP,
                       vmf_fields_save(vmf_kept_pump, G_N_ELEMENTS(vmf_kept_pump), &process));
}

gboolean
vmf_kept_get_pump(GVariant *sections, VmfProcessId *ret, GError **error)
{
    g_autoptr(GVariant) values = vmf_record_get_section(sections, VMF_KEPT_PUMP);

    *ret = (VmfProcessId){0, 0};
    return vmf_fields_load(vmf_kept_pump, G_N_ELEMENTS(vmf_kept_pump), values, ret, error);
}

/* ---- memory ---- */

void
vmf_kept_set_account(VmfMigration *migration, VmfBudget *budget)
{
    VmfBudgetAccount account = {0};

    (void)vmf_budget_get_account(budget, vmf_migration_get_id(migration), &account);
    vmf_migration_keep(migration, VMF_KEPT_MEMORY,
                       vmf_fields_save(vmf_kept_memory, G_N_ELEMENTS(vmf_kept_memory), &account));
}

gboolean
vmf_kept_get_account(GVariant *sections, VmfBudgetAccount *ret)
{
    g_autoptr(GVariant) values = vmf_record_get_section(sections, VMF_KEPT_MEMORY);

    *ret = (VmfBudgetAccount){0};
    return vmf_fields_load(vmf_kept_memory, G_N_ELEMENTS(vmf_kept_memory), values, ret, NULL) &&
           ret->own > 0;
}

/* ---- options ---- */

void
vmf_kept_set_options(VmfMigration *migration, const VmfOptions *options)
{
    vmf_migration_keep(migration, VMF_KEPT_OUTGOING,
                       vmf_fields_save(vmf_kept_options, G_N_ELEMENTS(vmf_kept_options), options));
}

VmfOptions *
vmf_kept_get_options(GVariant *sections, GError **error)
{
    g_autoptr(GVariant) values = vmf_record_get_section(sections, VMF_KEPT_OUTGOING);
    g_autoptr(VmfOptions) options = vmf_options_new();

    if (!vmf_fields_load(vmf_kept_options, G_N_ELEMENTS(vmf_kept_options), values, options, error))
        return NULL;
    return g_steal_pointer(&options);
}

/* ---- what arrives ---- */

void
vmf_kept_set_incoming(VmfMigration *migration, const VmfKeptIncoming *kept)
{
    g_autoptr(GVariant) features = vmf_agreement_describe(kept->agreement);
    GVariantDict values;

    g_variant_dict_init(&values, NULL);
    g_variant_dict_insert(&values, "Name", "s", kept->name);
    g_variant_dict_insert(&values, "Resume", "b", kept->resume);
    g_variant_dict_insert(&values, "Source", "s", vmf_agreement_get_source(kept->agreement));
    g_variant_dict_insert(&values, "Destination", "s",
                          vmf_agreement_get_destination(kept->agreement));
    g_variant_dict_insert(&values, "Time", "x", vmf_agreement_get_time(kept->agreement));
    g_variant_dict_insert_value(&values, "Features", features);
    vmf_migration_keep(migration, VMF_KEPT_INCOMING, g_variant_dict_end(&values));
}

VmfKeptIncoming *
vmf_kept_get_incoming(GVariant *sections, const char *id, GError **error)
{
    g_autoptr(GVariant) values = vmf_record_get_section(sections, VMF_KEPT_INCOMING);
    g_autoptr(GVariant) features = g_variant_lookup_value(values, "Features", NULL);
    g_autoptr(VmfKeptIncoming) kept = g_new0(VmfKeptIncoming, 1);
    VmfAgreementTerms terms = {.migration = id};

    if (!features || !g_variant_lookup(values, "Name", "s", &kept->name) ||
        !g_variant_lookup(values, "Resume", "b", &kept->resume) ||
        !g_variant_lookup(values, "Source", "&s", &terms.source) ||
        !g_variant_lookup(values, "Destination", "&s", &terms.destination) ||
        !g_variant_lookup(values, "Time", "x", &terms.time)) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                            "what the source said is missing or not sensible");
        return NULL;
    }
    kept->agreement = vmf_agreement_restore(&terms, features, error);
    return kept->agreement ? g_steal_pointer(&kept) : NULL;
}

void
vmf_kept_incoming_free(VmfKeptIncoming *kept)
{
    g_free(kept->name);
    g_clear_pointer(&kept->agreement, vmf_agreement_unref);
    g_free(kept);
}
