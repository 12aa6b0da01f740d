/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/compat-private.h"

#include <string.h>

const char *
vmf_compat_name(VmfCompat compat)
{
    static const char *const names[] = {"fine", "unknown", "loses state", "fails to load"};

    return names[compat];
}

static void
finding_free(gpointer data)
{
    VmfFinding *finding = data;

    g_free(finding->device);
    g_free(finding->state);
    g_free(finding->field);
    g_free(finding->subsection);
    g_free(finding->what);
    g_free(finding);
}

void
vmf_findings_free(VmfFindings *findings)
{
    if (!findings)
        return;
    g_ptr_array_unref(findings->findings);
    g_free(findings);
}

void
vmf_check_find(VmfCheck *check, VmfCompat compat, const char *field, const char *format, ...)
{
    VmfFinding *finding = g_new0(VmfFinding, 1);
    va_list args;

    va_start(args, format);
    finding->what = g_strdup_vprintf(format, args);
    va_end(args);
    finding->compat = compat;
    finding->if_sent = check->if_sent;
    finding->device = g_strdup(check->device);
    finding->state = g_strdup(check->state);
    finding->field = g_strdup(field);
    finding->subsection = g_strdup(check->subsection);
    g_ptr_array_add(check->findings->findings, finding);
}

static const VmfVmstate *
find_subsection(const VmfVmstate *state, const char *name)
{
    for (guint i = 0; i < state->subsections->len; i++) {
        const VmfVmstate *subsection = state->subsections->pdata[i];

        if (strcmp(subsection->name, name) == 0)
            return subsection;
    }
    return NULL;
}

static void
compare_subsections(VmfCheck *check, const VmfVmstate *source, const VmfVmstate *destination)
{
    VmfCheck outer = *check;

    for (guint i = 0; i < source->subsections->len; i++) {
        const VmfVmstate *subsection = source->subsections->pdata[i];
        const VmfVmstate *other = find_subsection(destination, subsection->name);

        check->subsection = subsection->name;
        check->if_sent = outer.if_sent || !check->sent;
        if (other)
            vmf_check_states(check, subsection, other, TRUE);
        else
            vmf_check_find(check, VMF_COMPAT_FAILS, NULL, "is not known at the destination");
        *check = outer;
    }
}

static void
compare_versions(VmfCheck *check, const VmfVmstate *source, const VmfVmstate *destination)
{
    if (source->version > destination->version)
        vmf_check_find(check, VMF_COMPAT_FAILS, NULL,
                       "has version %" G_GUINT64_FORMAT
                       ", the destination loads up to %" G_GUINT64_FORMAT,
                       source->version, destination->version);
    else if (source->version < destination->minimum)
        vmf_check_find(check, VMF_COMPAT_FAILS, NULL,
                       "has version %" G_GUINT64_FORMAT
                       ", the destination loads from %" G_GUINT64_FORMAT " on",
                       source->version, destination->minimum);
}

void
vmf_check_states(VmfCheck *check, const VmfVmstate *source, const VmfVmstate *destination,
                 gboolean versioned)
{
    const char *outer = check->state;

    check->state = source->name;
    if (versioned)
        compare_versions(check, source, destination);
    vmf_check_fields(check, source, destination,
                     versioned ? source->version : destination->version);
    compare_subsections(check, source, destination);
    check->state = outer;
}

/*
 * A dump knows devices by their type, a stream by the name of their state; types that share a
 * state have it alike. Types are renamed between releases, states hardly ever.
 */
static const VmfVmstateDevice *
counterpart(const VmfVmstateSet *source, const VmfVmstateDevice *device,
            const VmfVmstateSet *destination)
{
    const VmfVmstateDevice *other = NULL;

    if (!source->sent)
        other = g_hash_table_lookup(destination->by_name, device->name);
    if ((!other || !other->state) && device->state)
        other = g_hash_table_lookup(destination->by_state, device->state->name);
    return other && other->state ? other : NULL;
}

/* Devices that refuse to be migrated are in a dump with nothing in them. */
static gboolean
can_be_saved(const VmfVmstate *state)
{
    return state && (state->fields->len > 0 || state->subsections->len > 0);
}

VmfFindings *
vmf_compat_check(const VmfVmstateSet *source, const VmfVmstateSet *destination)
{
    VmfFindings *findings = g_new0(VmfFindings, 1);
    VmfCheck check = {.findings = findings, .sent = source->sent};

    findings->findings = g_ptr_array_new_with_free_func(finding_free);
    for (guint i = 0; i < source->devices->len; i++) {
        const VmfVmstateDevice *device = source->devices->pdata[i];
        const VmfVmstateDevice *other = counterpart(source, device, destination);

        check.device = device->name;
        check.state = NULL;
        check.if_sent = FALSE;
        if (!source->sent && !can_be_saved(device->state))
            continue;
        if (other && device->state) {
            findings->compared++;
            if (!source->sent && strcmp(other->name, device->name) != 0)
                vmf_check_find(&check, VMF_COMPAT_UNKNOWN, NULL,
                               "is not known at the destination by this name, or not at all; "
                               "compared with %s, which has the same state",
                               other->name);
            vmf_check_states(&check, device->state, other->state, TRUE);
        } else if (source->sent) {
            /* Dumps have devices only: not clocks, CPUs and other parts of the machine. */
            vmf_check_find(&check, VMF_COMPAT_UNKNOWN, NULL, "is not in the destination's dump");
        } else {
            check.if_sent = TRUE;
            vmf_check_find(&check, VMF_COMPAT_FAILS, NULL, "is not known at the destination");
        }
    }
    return findings;
}

VmfCompat
vmf_findings_verdict(const VmfFindings *findings)
{
    VmfCompat worst = VMF_COMPAT_FINE;

    for (guint i = 0; i < findings->findings->len; i++) {
        const VmfFinding *finding = findings->findings->pdata[i];

        if (finding->compat != VMF_COMPAT_UNKNOWN)
            worst = MAX(worst, finding->compat);
    }
    return worst;
}
