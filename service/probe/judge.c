/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe/judge.h"

#include <string.h>

#include "base/error.h"
#include "stream/compat.h"

#define MIB (1024 * 1024)

/* "esp, subsection esp/pdma, field x", as far as it goes. */
static char *
place_of(const VmfFinding *finding)
{
    GString *place = g_string_new(finding->device);

    if (finding->state && strcmp(finding->state, finding->device) != 0)
        g_string_append_printf(place, ", %s", finding->state);
    if (finding->subsection)
        g_string_append_printf(place, ", subsection %s", finding->subsection);
    if (finding->field)
        g_string_append_printf(place, ", field %s", finding->field);
    return g_string_free(place, FALSE);
}

static char *
name_of(const VmfFinding *finding)
{
    if (finding->compat == VMF_COMPAT_LOSES)
        return g_strdup_printf("loses:%s.%s", finding->device,
                               finding->field ? finding->field : "");
    if (!finding->if_sent)
        return g_strdup_printf("state:%s", finding->device);
    if (finding->subsection)
        return g_strconcat(VMF_CONCERN_SUBSECTION, finding->subsection, NULL);
    return g_strdup_printf("field:%s.%s", finding->device, finding->field ? finding->field : "");
}

/* The state of that name in a device, or inside one of its fields. */
static const VmfVmstate *
find_state(const VmfVmstate *state, const char *name)
{
    const VmfVmstate *found = strcmp(state->name, name) == 0 ? state : NULL;

    for (guint i = 0; !found && i < state->fields->len; i++) {
        const VmfVmstateField *field = state->fields->pdata[i];

        if (field->inner)
            found = find_state(field->inner, name);
    }
    for (guint i = 0; !found && i < state->subsections->len; i++)
        found = find_state(state->subsections->pdata[i], name);
    return found;
}

static gboolean
has_optional_fields(const VmfVmstateSet *set, const VmfFinding *finding)
{
    const VmfVmstateDevice *device = g_hash_table_lookup(set->by_name, finding->device);
    const VmfVmstate *state =
        device && device->state ? find_state(device->state, finding->state) : NULL;

    for (guint i = 0; state && i < state->fields->len; i++)
        if (((const VmfVmstateField *)state->fields->pdata[i])->optional)
            return TRUE;
    return !state; /* under another name: not known */
}

/*
 * A field that one side lacks shifts what comes behind it, unless an optional field beside it makes
 * up for that; QEMU has such pairs. A version that is refused is refused.
 */
static gboolean
is_certain(const VmfFinding *finding, const VmfVmstateSet *source, const VmfVmstateSet *destination)
{
    if (finding->if_sent)
        return FALSE;
    return !finding->field ||
           (!has_optional_fields(source, finding) && !has_optional_fields(destination, finding));
}

static void
judge_finding(GPtrArray *concerns, const VmfFinding *finding, gboolean certain)
{
    g_autofree char *place = place_of(finding);
    g_autofree char *name = name_of(finding);

    if (finding->compat == VMF_COMPAT_LOSES)
        vmf_concerns_add(concerns, VMF_SEVERITY_WARN, VMF_ERROR_INCOMPATIBLE, name, "%s: %s", place,
                         finding->what);
    else if (finding->if_sent)
        vmf_concerns_add(concerns, VMF_SEVERITY_WARN, VMF_ERROR_INCOMPATIBLE, name,
                         "if QEMU sends it, the move fails: %s: %s", place, finding->what);
    else if (!certain)
        vmf_concerns_add(concerns, VMF_SEVERITY_WARN, VMF_ERROR_INCOMPATIBLE, name,
                         "unless optional fields make up for it, the move fails: %s: %s", place,
                         finding->what);
    else
        vmf_concerns_add(concerns, VMF_SEVERITY_BLOCK, VMF_ERROR_INCOMPATIBLE, name,
                         "the destination cannot load the guest's state: %s: %s", place,
                         finding->what);
}

/* A part of the machine that the destination's does not know under that name, nor its state. */
static void
judge_unknown(GPtrArray *concerns, const char *type, const char *const *missing)
{
    g_autofree char *name = g_strconcat("device:", type, NULL);

    /* Made there, only not described: its state is loaded by code. */
    if (missing && g_strv_contains(missing, type))
        vmf_concerns_add(
            concerns, VMF_SEVERITY_WARN, VMF_ERROR_INCOMPATIBLE, name,
            "the destination's QEMU has no %s; if QEMU sends its state, the move fails", type);
}

void
vmf_judge_state(GPtrArray *concerns, const VmfVmstateSet *source, const VmfVmstateSet *destination,
                GHashTable *types, const char *const *missing)
{
    g_autoptr(VmfFindings) findings = vmf_compat_check(source, destination);

    for (guint i = 0; i < findings->findings->len; i++) {
        const VmfFinding *finding = findings->findings->pdata[i];

        if (finding->compat < VMF_COMPAT_LOSES || !g_hash_table_contains(types, finding->device))
            continue;
        if (finding->state)
            judge_finding(concerns, finding, is_certain(finding, source, destination));
        else
            judge_unknown(concerns, finding->device, missing);
    }
}

void
vmf_judge_emulator(GPtrArray *concerns, const VmfEmulator *destination, const char *machine,
                   guint32 source_version)
{
    if (destination->problem && g_str_equal(destination->problem, "missing")) {
        vmf_concerns_add(concerns, VMF_SEVERITY_BLOCK, VMF_ERROR_INCOMPATIBLE, "emulator",
                         "the destination has no %s; install it there, or give another domain XML",
                         destination->path);
        return;
    }
    if (destination->problem) {
        vmf_concerns_add(concerns, VMF_SEVERITY_WARN, VMF_ERROR_INCOMPATIBLE, "emulator",
                         "what the destination's emulator can load is not known: %s (%s)",
                         destination->message, destination->problem);
        return;
    }
    if (machine && !vmf_emulator_find_machine(destination, machine))
        vmf_concerns_add(concerns, VMF_SEVERITY_BLOCK, VMF_ERROR_INCOMPATIBLE, "machine-type",
                         "the destination's QEMU %u.%u.%u has no machine type %s; it needs a newer "
                         "QEMU",
                         destination->version / 1000000, destination->version / 1000 % 1000,
                         destination->version % 1000, machine);
    if (source_version / 1000 > destination->version / 1000)
        vmf_concerns_add(concerns, VMF_SEVERITY_INFO, VMF_ERROR_INCOMPATIBLE, "emulator-older",
                         "the destination's QEMU %u.%u is older than the source's %u.%u",
                         destination->version / 1000000, destination->version / 1000 % 1000,
                         source_version / 1000000, source_version / 1000 % 1000);
}

void
vmf_judge_postcopy(GPtrArray *concerns, const VmfEmulator *destination, gboolean userfaultfd,
                   const char *source)
{
    const char *const *capabilities = (const char *const *)destination->capabilities;

    if (capabilities && !g_strv_contains(capabilities, "postcopy-ram"))
        vmf_concerns_add(concerns, VMF_SEVERITY_BLOCK, VMF_ERROR_NOT_SUPPORTED, "postcopy",
                         "the destination's QEMU has no post-copy");
    else if (!userfaultfd)
        vmf_concerns_add(concerns, VMF_SEVERITY_BLOCK, VMF_ERROR_NOT_SUPPORTED, "postcopy",
                         "the destination's kernel does not let QEMU's user do post-copy: set "
                         "vm.unprivileged_userfaultfd to 1 there, or give it /dev/userfaultfd");
    if (g_strcmp0(source, "file") == 0)
        vmf_concerns_add(concerns, VMF_SEVERITY_WARN, VMF_ERROR_NOT_SUPPORTED, "postcopy-memory",
                         "the guest's memory comes from a file, and QEMU does post-copy only where "
                         "that is on tmpfs or hugetlbfs");
}

void
vmf_judge_page_size(GPtrArray *concerns, guint64 source, guint64 destination)
{
    if (source && destination && source != destination)
        vmf_concerns_add(concerns, VMF_SEVERITY_BLOCK, VMF_ERROR_NOT_SUPPORTED,
                         "postcopy-page-size",
                         "the destination has pages of %" G_GUINT64_FORMAT
                         " bytes and the source of %" G_GUINT64_FORMAT
                         ", between which QEMU does no post-copy; move the guest without it",
                         destination, source);
}

void
vmf_judge_native(GPtrArray *concerns, const VmfNative *source, const VmfNative *destination)
{
    VmfNative both = *source;
    g_autofree char *how = NULL;

    vmf_native_narrow(&both, destination);
    how = vmf_native_format(&both);
    vmf_concerns_add(concerns, VMF_SEVERITY_INFO, VMF_ERROR_INCOMPATIBLE, "native",
                     "without a pump (engine native), QEMU can send it %s",
                     how ? how : "only as it is");
}

void
vmf_judge_keepalive(GPtrArray *concerns, guint interval, guint count, guint patience)
{
    guint64 away = (guint64)interval * (count + 1ull);

    if (interval == 0 || away >= patience)
        return;
    vmf_concerns_add(concerns, VMF_SEVERITY_INFO, VMF_ERROR_TIMED_OUT, "keepalive",
                     "libvirt ends a migration when its connection to the destination is away for "
                     "%u s, though a broken link is waited for %u s (Patience in vmferryd.conf); "
                     "to wait as long, set keepalive_count = %u in qemu.conf here, and in "
                     "libvirtd.conf or virtqemud.conf there",
                     (guint)away, patience, (patience + interval - 1) / interval);
}

void
vmf_judge_memory(GPtrArray *concerns, guint64 wanted, guint64 available, guint64 swap)
{
    if (available == 0 || wanted <= available)
        return;
    vmf_concerns_add(concerns, wanted > available + swap ? VMF_SEVERITY_BLOCK : VMF_SEVERITY_WARN,
                     VMF_ERROR_LIMIT_REACHED, "memory",
                     "the guest may use %" G_GUINT64_FORMAT
                     " MiB; the destination has %" G_GUINT64_FORMAT
                     " MiB free, and %" G_GUINT64_FORMAT " MiB of swap",
                     wanted / MIB, available / MIB, swap / MIB);
}

void
vmf_judge_backends(GPtrArray *concerns, const VmfArgv *argv)
{
    if (argv->user_networks > 1)
        vmf_concerns_add(concerns, VMF_SEVERITY_WARN, VMF_ERROR_INCOMPATIBLE, "section:slirp",
                         "the guest has %u user networks, and QEMU has not always numbered their "
                         "state as it does now: the destination's may refuse it",
                         argv->user_networks);
}

void
vmf_judge_devices(GPtrArray *concerns, const VmfArgv *argv, const VmfEmulator *destination)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < argv->devices->len; i++) {
        const VmfArgvDevice *device = argv->devices->pdata[i];
        g_autofree char *name = g_strconcat("device:", device->type, NULL);

        if (g_hash_table_add(seen, device->type) &&
            !vmf_emulator_has_type(destination, device->type))
            vmf_concerns_add(concerns, VMF_SEVERITY_BLOCK, VMF_ERROR_INCOMPATIBLE, name,
                             "the destination's QEMU has no %s, and the guest has one (%s)",
                             device->type, device->id);
    }
}

void
vmf_judge_properties(GPtrArray *concerns, const VmfArgv *argv, GHashTable *known)
{
    for (guint i = 0; i < argv->devices->len; i++) {
        const VmfArgvDevice *device = argv->devices->pdata[i];
        const char *const *properties = g_hash_table_lookup(known, device->type);

        for (char **property = device->properties; properties && *property; property++) {
            g_autofree char *name = g_strdup_printf("property:%s.%s", device->type, *property);

            if (!g_strv_contains(properties, *property))
                vmf_concerns_add(concerns, VMF_SEVERITY_BLOCK, VMF_ERROR_INCOMPATIBLE, name,
                                 "%s of the destination's QEMU has no property %s, and the "
                                 "guest's (%s) sets it",
                                 device->type, *property, device->id);
        }
    }
}
