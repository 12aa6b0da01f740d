/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "ctl/look.h"

static gint
vmf_compare_started(gconstpointer a, gconstpointer b)
{
    guint64 first = vmf_bus_migration_get_started(*(VmfBusMigration *const *)a);
    guint64 second = vmf_bus_migration_get_started(*(VmfBusMigration *const *)b);

    return first < second ? -1 : first > second;
}

/* Every migration that was seen, or the one with `id`; oldest first. They belong to the look. */
static GPtrArray *
vmf_status_collect(const VmfLook *look, const char *id)
{
    GPtrArray *found = g_ptr_array_new();

    for (guint i = 0; i < look->migrations->len; i++) {
        VmfBusMigration *migration = look->migrations->pdata[i];

        if (!id || g_strcmp0(id, vmf_bus_migration_get_id(migration)) == 0)
            g_ptr_array_add(found, migration);
    }
    g_ptr_array_sort(found, vmf_compare_started);
    return found;
}

/* What went wrong, or is wrong now; the caller's. */
static char *
vmf_status_format_trouble(VmfBusMigration *migration)
{
    guint64 since = vmf_bus_migration_get_stalled_since(migration);
    const char *message = "";

    g_variant_get_child(vmf_bus_migration_get_error(migration), 1, "&s", &message);
    if (since == 0)
        return g_strdup(message);
    return g_strdup_printf("the data link broke %.0f s ago; tried %u times to bring it back",
                           MAX((double)g_get_real_time() - (double)since, 0) / G_USEC_PER_SEC,
                           vmf_bus_migration_get_tries(migration));
}

static void
vmf_status_print_line(VmfBusMigration *migration)
{
    g_autofree char *wire = vmf_ctl_format_bytes(vmf_bus_migration_get_bytes_on_wire(migration));
    gboolean out = g_strcmp0(vmf_bus_migration_get_direction(migration), "out") == 0;
    guint limit = vmf_bus_migration_get_bandwidth(migration);
    g_autofree char *bound = limit ? g_strdup_printf("%u MiB/s", limit) : g_strdup("-");
    g_autofree char *percent =
        out ? g_strdup_printf("%3d %%", (int)(vmf_bus_migration_get_progress(migration) * 100))
            : g_strdup("-");
    g_autofree char *message = vmf_status_format_trouble(migration);

    printf("%-8s  %-20s  %-3s  %-20s  %-10s  %5s  %10s  %10s%s%s\n",
           vmf_bus_migration_get_id(migration), vmf_bus_migration_get_domain(migration),
           vmf_bus_migration_get_direction(migration), vmf_bus_migration_get_peer(migration),
           vmf_bus_migration_get_state(migration), percent, wire, bound, *message ? "  " : "",
           message);
}

/* What the policy did, for one migration that was asked for by its id. */
static void
vmf_status_print_decisions(VmfBusMigration *migration)
{
    GVariant *decisions = vmf_bus_migration_get_decisions(migration);
    GVariantIter iter;
    guint64 time;
    const char *rule;
    const char *what;
    const char *numbers;

    if (!decisions)
        return;
    g_variant_iter_init(&iter, decisions);
    while (g_variant_iter_next(&iter, "(t&s&s&s)", &time, &rule, &what, &numbers)) {
        double after =
            ((double)time - (double)vmf_bus_migration_get_started(migration)) / G_USEC_PER_SEC;

        printf("  after %.1f s  %s: %s (%s)\n", MAX(after, 0), rule, what, numbers);
    }
}

static void
vmf_status_print_memory(VmfBusManager *manager)
{
    g_autofree char *part = vmf_ctl_format_bytes(vmf_bus_manager_get_memory_granted(manager));
    g_autofree char *all = vmf_ctl_format_bytes(vmf_bus_manager_get_memory_budget(manager));

    printf("memory for pumps: %s of %s granted\n", part, all);
}

static void
vmf_status_print_memory_json(VmfBusManager *manager)
{
    GVariantDict memory;

    g_variant_dict_init(&memory, NULL);
    g_variant_dict_insert(&memory, "MemoryBudget", "t", vmf_bus_manager_get_memory_budget(manager));
    g_variant_dict_insert(&memory, "MemoryGranted", "t",
                          vmf_bus_manager_get_memory_granted(manager));
    vmf_ctl_print_json(g_variant_dict_end(&memory));
}

/* What all pumps of this host have of its memory, and no migrations. */
static int
vmf_status_show_memory(gboolean json)
{
    g_autoptr(VmfBusManager) manager = vmf_ctl_connect();

    if (!manager)
        return VMF_EXIT_NO_DAEMON;
    if (json)
        vmf_status_print_memory_json(manager);
    else
        vmf_status_print_memory(manager);
    return VMF_EXIT_OK;
}

static void
vmf_status_print_json(GPtrArray *migrations)
{
    GVariantBuilder list;

    g_variant_builder_init(&list, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < migrations->len; i++)
        g_variant_builder_add_value(&list, vmf_ctl_get_properties(migrations->pdata[i]));
    vmf_ctl_print_json(g_variant_builder_end(&list));
}

static void
vmf_status_print_table(GPtrArray *migrations)
{
    printf("%-8s  %-20s  %-3s  %-20s  %-10s  %5s  %10s  %10s\n", "ID", "GUEST", "DIR", "PEER",
           "STATE", "DONE", "ON WIRE", "AT MOST");
    for (guint i = 0; i < migrations->len; i++)
        vmf_status_print_line(migrations->pdata[i]);
}

int
vmf_ctl_status(int argc, char **argv)
{
    gboolean memory = FALSE;
    gboolean json = FALSE;
    const GOptionEntry entries[] = {
        {"memory", 'm', 0, G_OPTION_ARG_NONE, &memory,
         "Show what all pumps have of this host's memory instead", NULL},
        {"json", 'j', 0, G_OPTION_ARG_NONE, &json, "Print JSON", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autoptr(VmfLook) look = NULL;
    g_autoptr(GPtrArray) migrations = NULL;

    if (!vmf_ctl_parse(&argc, &argv, entries, "[ID]",
                       "Shows migrations that run, or ended a short while ago.", 0, 1))
        return VMF_EXIT_USAGE;
    if (memory && argc > 1) {
        fprintf(stderr, "vmferry: status: --memory is about all migrations, not about one\n");
        return VMF_EXIT_USAGE;
    }
    if (memory)
        return vmf_status_show_memory(json);
    look = vmf_ctl_look();
    if (!look)
        return VMF_EXIT_NO_DAEMON;
    migrations = vmf_status_collect(look, argc > 1 ? argv[1] : NULL);
    if (argc > 1 && migrations->len == 0) {
        fprintf(stderr, "vmferry: no migration has the id '%s'; see vmferry status\n", argv[1]);
        return VMF_EXIT_FAILED;
    }
    if (json) {
        vmf_status_print_json(migrations);
        return VMF_EXIT_OK;
    }
    vmf_status_print_table(migrations);
    if (argc > 1)
        vmf_status_print_decisions(migrations->pdata[0]);
    else if (vmf_bus_manager_get_memory_granted(look->manager) > 0)
        vmf_status_print_memory(look->manager);
    return VMF_EXIT_OK;
}
