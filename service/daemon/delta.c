/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/delta.h"

#include <stdio.h>

#include "base/error.h"

/* What the kernel could give without swapping; bytes, 0 if it does not say. */
static guint64
vmf_memory_available(void)
{
    g_autofree char *text = NULL;
    const char *line;
    unsigned long long kib = 0;

    if (!g_file_get_contents("/proc/meminfo", &text, NULL, NULL))
        return 0;
    line = strstr(text, "MemAvailable:");
    if (!line || sscanf(line, "MemAvailable: %llu kB", &kib) != 1)
        return 0;
    return (guint64)kib * 1024;
}

guint64
vmf_delta_default_cache(guint64 guest_memory)
{
    return MIN(MIN(guest_memory, VMF_CACHE_MOST), vmf_memory_available() / 4);
}

gboolean
vmf_delta_check_compression(int level, GError **error)
{
    if (level >= VMF_COMPRESSION_AUTO && level <= VMF_COMPRESSION_MOST)
        return TRUE;
    g_set_error(
        error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
        "compression: expected a level of 1 to %d, 0 for none, or %d for as it pays, not %d",
        VMF_COMPRESSION_MOST, VMF_COMPRESSION_AUTO, level);
    return FALSE;
}

static guint64
vmf_delta_number(GVariant *statistics, const char *name)
{
    guint64 value = 0;

    g_variant_lookup(statistics, name, "t", &value);
    return value;
}

static double
vmf_ratio(guint64 part, guint64 whole)
{
    return whole ? (double)part / (double)whole : 0;
}

static void
vmf_delta_show_cpu(VmfBusMigration *migration, GVariant *statistics)
{
    static const char *const stages[][2] = {
        {"pump", "cpu-us"}, {"delta", "cpu-delta-us"}, {"zstd", "cpu-zstd-us"}};
    GVariantBuilder seconds;

    g_variant_builder_init(&seconds, G_VARIANT_TYPE("a{sd}"));
    for (gsize i = 0; i < G_N_ELEMENTS(stages); i++)
        g_variant_builder_add(&seconds, "{sd}", stages[i][0],
                              (double)vmf_delta_number(statistics, stages[i][1]) / G_USEC_PER_SEC);
    vmf_bus_migration_set_cpu_seconds(migration, g_variant_builder_end(&seconds));
}

void
vmf_delta_show(VmfBusMigration *migration, GVariant *statistics)
{
    g_autoptr(GVariant) pages =
        g_variant_lookup_value(statistics, "pages", G_VARIANT_TYPE("a{st}"));
    g_autoptr(GVariant) curve =
        g_variant_lookup_value(statistics, "reuse-curve", G_VARIANT_TYPE("a(td)"));
    guint64 hits = vmf_delta_number(statistics, "cache-hits");
    guint64 misses = vmf_delta_number(statistics, "cache-misses");
    const char *untouched = "";
    gint32 level = 0;

    if (!pages)
        return;
    g_variant_lookup(statistics, "untouched", "&s", &untouched);
    g_variant_lookup(statistics, "zstd-level", "i", &level);
    vmf_bus_migration_set_pages(migration, pages);
    vmf_bus_migration_set_delta_bytes(migration, vmf_delta_number(statistics, "delta-bytes"));
    vmf_bus_migration_set_encode_rate(migration,
                                      vmf_ratio(vmf_delta_number(statistics, "delta-from"),
                                                vmf_delta_number(statistics, "delta-bytes")));
    if (curve)
        vmf_bus_migration_set_reuse_curve(migration, curve);
    vmf_bus_migration_set_cache_size(migration, vmf_delta_number(statistics, "cache-used"));
    vmf_bus_migration_set_cache_miss_rate(migration, vmf_ratio(misses, hits + misses));
    vmf_bus_migration_set_zstd_ratio(migration,
                                     vmf_ratio(vmf_delta_number(statistics, "zstd-in"),
                                               vmf_delta_number(statistics, "zstd-out")));
    vmf_bus_migration_set_zstd_level(migration, level);
    vmf_bus_migration_set_untouched(migration, untouched);
    vmf_bus_migration_set_verified(migration, vmf_delta_number(statistics, "proofs") > 0);
    vmf_delta_show_cpu(migration, statistics);
}
