/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/admission.h"

#include <string.h>

#include "base/error.h"

#define VMF_MIB (1024 * 1024)

void
vmf_admission_facts(VmfAdmissionFacts *facts)
{
    g_autofree char *text = NULL;
    const char *line;

    facts->memory_available = 0;
    if (g_file_get_contents("/proc/meminfo", &text, NULL, NULL) &&
        (line = strstr(text, "MemAvailable:")))
        facts->memory_available =
            g_ascii_strtoull(line + strlen("MemAvailable:"), NULL, 10) * 1024; /* kB */
}

static gboolean
vmf_admission_check_memory(const VmfDomainXml *guest, const VmfAdmissionFacts *facts,
                           GError **error)
{
    guint64 free = facts->memory_available > facts->memory_reserve
                       ? facts->memory_available - facts->memory_reserve
                       : 0;

    if (facts->memory_available == 0 || guest->memory <= free)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_LIMIT_REACHED,
                "vmferry: guest '%s' needs %" G_GUINT64_FORMAT " MiB of memory, and the "
                "destination has %" G_GUINT64_FORMAT " MiB for guests that arrive "
                "(MemoryReserve in its vmferryd.conf)",
                guest->name, guest->memory / VMF_MIB, free / VMF_MIB);
    return FALSE;
}

gboolean
vmf_admission_check(const char *name, const VmfDomainXml *guest, const VmfAdmissionFacts *facts,
                    GError **error)
{
    if (!g_str_equal(guest->name, name)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                    "vmferry: the XML is of guest '%s', not of '%s'", guest->name, name);
        return FALSE;
    }
    if (facts->maintenance && !facts->expected) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PEER_REFUSED,
                    "vmferry: the destination is in maintenance and takes no guests");
        return FALSE;
    }
    if (facts->require_us && !facts->expected) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PEER_REFUSED,
                    "vmferry: the destination takes guests by 'vmferry migrate' only "
                    "(RequireVmferry in its vmferryd.conf)");
        return FALSE;
    }
    if (facts->closed_policy && !facts->expected) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PEER_REFUSED,
                    "vmferry: policy '%s' of the destination takes guest '%s' by 'vmferry migrate' "
                    "only (failure mode closed)",
                    facts->closed_policy, name);
        return FALSE;
    }
    if (!facts->expected && facts->migrations >= facts->migrations_max) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_LIMIT_REACHED,
                    "vmferry: %u migrations run already, which is the limit of the destination "
                    "(Migrations in its vmferryd.conf); try again when one is over",
                    facts->migrations);
        return FALSE;
    }
    return vmf_admission_check_memory(guest, facts, error);
}
