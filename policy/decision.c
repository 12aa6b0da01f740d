/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/decision.h"

static void
vmf_decision_free(gpointer data)
{
    VmfDecision *decision = data;

    g_free(decision->what);
    g_free(decision->numbers);
    g_free(decision);
}

GPtrArray *
vmf_decisions_new(void)
{
    return g_ptr_array_new_with_free_func(vmf_decision_free);
}

void
vmf_decisions_add(GPtrArray *self, gint64 time, const char *rule, char *what, char *numbers)
{
    VmfDecision *decision = g_new0(VmfDecision, 1);

    decision->time = time;
    decision->rule = rule;
    decision->what = what;
    decision->numbers = numbers;
    if (self->len == VMF_DECISIONS_MAX)
        g_ptr_array_remove_index(self, 1);
    g_ptr_array_add(self, decision);
}

char *
vmf_decision_format_bytes(double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    guint unit = 0;

    while (bytes >= 1024 && unit + 1 < G_N_ELEMENTS(units)) {
        bytes /= 1024;
        unit++;
    }
    return g_strdup_printf(unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}
