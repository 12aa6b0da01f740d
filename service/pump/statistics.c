/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pump/statistics.h"

#include <sys/resource.h>

#define MIB (1024.0 * 1024.0)

void
vmf_statistics_moved(VmfStatistics *statistics, gsize from_socket, gsize to_socket)
{
    statistics->from_sockets += from_socket;
    statistics->to_sockets += to_socket;
    statistics->last = g_get_monotonic_time();
    if (statistics->first == 0)
        statistics->first = statistics->last;
}

/* User and system time of this process, µs. */
static guint64
vmf_statistics_cpu(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) < 0)
        return 0;
    return (guint64)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * G_USEC_PER_SEC +
           (guint64)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static GVariant *
vmf_statistics_pages(const VmfRewriteFigures *figures)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{st}"));
    g_variant_builder_add(&builder, "{st}", "zero", figures->zero);
    g_variant_builder_add(&builder, "{st}", "unchanged", figures->unchanged);
    g_variant_builder_add(&builder, "{st}", "delta", figures->delta);
    g_variant_builder_add(&builder, "{st}", "whole", figures->whole);
    return g_variant_builder_end(&builder);
}

static GVariant *
vmf_statistics_curve(const VmfStagesFigures *stages)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a(td)"));
    for (guint i = 0; i < stages->curve_points; i++)
        g_variant_builder_add(&builder, "(td)", stages->curve[i].bytes,
                              stages->curve[i].miss_ratio);
    return g_variant_builder_end(&builder);
}

static void
vmf_statistics_add_stages(GVariantDict *dict, const VmfStagesFigures *stages)
{
    const VmfRewriteFigures *rewrite = &stages->rewrite;
    const VmfPackerFigures *packer = &stages->packer;
    const struct {
        const char *name;
        guint64 value;
    } numbers[] = {
        {"stages-in", rewrite->in},
        {"stages-out", packer->out + packer->raw},
        {"stages-wait", stages->waiting},
        {"stages-wait-out", stages->waiting_out},
        {"delta-from", rewrite->delta_from},
        {"delta-bytes", rewrite->delta_bytes},
        {"cache-hits", rewrite->bases.hits},
        {"cache-misses", rewrite->bases.misses},
        {"cache-used", rewrite->bases.cache_used},
        {"cache-size", rewrite->bases.cache_limit},
        {"tables", rewrite->bases.tables},
        {"repeats", stages->repeats},
        {"zstd-in", packer->in},
        {"zstd-out", packer->out},
        {"zstd-further", packer->further},
        {"proofs", packer->proofs},
        {"disproved", rewrite->bases.disproved},
        {"cpu-delta-us", (guint64)stages->rewrite_cpu},
        {"cpu-zstd-us", (guint64)packer->cpu},
    };

    g_variant_dict_insert_value(dict, "pages", vmf_statistics_pages(rewrite));
    g_variant_dict_insert_value(dict, "reuse-curve", vmf_statistics_curve(stages));
    for (gsize i = 0; i < G_N_ELEMENTS(numbers); i++)
        g_variant_dict_insert(dict, numbers[i].name, "t", numbers[i].value);
    g_variant_dict_insert(dict, "zstd-level", "i", packer->way.raw ? 0 : packer->way.level);
    g_variant_dict_insert(dict, "untouched", "s", stages->why);
}

GVariant *
vmf_statistics_variant(const VmfStatistics *statistics, const VmfMuxFigures *figures,
                       VmfChunkPool *pool, guint channels, const VmfStagesFigures *stages)
{
    GVariantDict dict;

    g_variant_dict_init(&dict, NULL);
    g_variant_dict_insert(&dict, "bytes-from-qemu", "t", statistics->from_sockets);
    g_variant_dict_insert(&dict, "bytes-to-qemu", "t", statistics->to_sockets);
    g_variant_dict_insert(&dict, "bytes-wire-out", "t", figures->wire_out);
    g_variant_dict_insert(&dict, "bytes-wire-in", "t", figures->wire_in);
    g_variant_dict_insert(&dict, "bytes-taken", "t", figures->taken);
    g_variant_dict_insert(&dict, "bytes-kept", "t", figures->kept);
    g_variant_dict_insert(&dict, "link-rate", "t", figures->rate);
    g_variant_dict_insert(&dict, "rtt-us", "t", (guint64)figures->rtt);
    g_variant_dict_insert(&dict, "in-flight", "t", (guint64)figures->in_flight);
    g_variant_dict_insert(&dict, "in-flight-limit", "t", (guint64)figures->limit);
    g_variant_dict_insert(&dict, "buffered", "t", (guint64)vmf_chunk_pool_held(pool));
    g_variant_dict_insert(&dict, "channels", "u", channels);
    g_variant_dict_insert(&dict, "links", "u", figures->links);
    g_variant_dict_insert(&dict, "cpu-us", "t", vmf_statistics_cpu());
    vmf_statistics_add_stages(&dict, stages);
    return g_variant_dict_end(&dict);
}

char *
vmf_statistics_summary(const VmfStatistics *statistics, const VmfMuxFigures *figures)
{
    double bytes = (double)(statistics->from_sockets + statistics->to_sockets);
    double seconds = (double)(statistics->last - statistics->first) / G_USEC_PER_SEC;

    return g_strdup_printf(
        "%" G_GUINT64_FORMAT " bytes from and %" G_GUINT64_FORMAT
        " to QEMU in %.3f s (%.1f MiB/s), %" G_GUINT64_FORMAT " on the wire, CPU %.3f s",
        statistics->from_sockets, statistics->to_sockets, seconds,
        seconds > 0 ? bytes / MIB / seconds : 0.0, figures->wire_out + figures->wire_in,
        (double)vmf_statistics_cpu() / G_USEC_PER_SEC);
}
