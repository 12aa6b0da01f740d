/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two dumps, one behind the other with a NUL between, compared both ways. */
#include "fuzz.h"

#include <string.h>

#include "stream/compat.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    const uint8_t *nul = length > 0 ? memchr(data, 0, length) : NULL;
    size_t first = nul ? (size_t)(nul - data) : length;
    g_autoptr(VmfVmstateSet) a = vmf_vmstate_set_from_dump((const char *)data, first, NULL);
    g_autoptr(VmfVmstateSet) b = NULL;
    g_autoptr(VmfFindings) there = NULL;
    g_autoptr(VmfFindings) back = NULL;

    if (!a || !nul)
        return 0;
    b = vmf_vmstate_set_from_dump((const char *)nul + 1, length - first - 1, NULL);
    if (!b)
        return 0;
    there = vmf_compat_check(a, b);
    back = vmf_compat_check(b, a);
    vmf_findings_verdict(there);
    vmf_findings_verdict(back);
    return 0;
}
