/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/migrate-options.h"

#include <string.h>

#include "base/error.h"

GOptionEntry *
vmf_migrate_options_entries(VmfMigrateOptions *options)
{
    const GOptionEntry entries[] = {
        {"json", 'j', 0, G_OPTION_ARG_NONE, &options->json, "Print the result as JSON", NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &options->quiet, "Show no progress", NULL},
        {"engine", 0, 0, G_OPTION_ARG_STRING, &options->engine,
         "What carries it: auto (default), pump, one-sided, native or plain", "ENGINE"},
        {"unencrypted", 0, 0, G_OPTION_ARG_NONE, &options->unencrypted,
         "Carry the stream without TLS; both hosts must allow it", NULL},
        {"verify", 0, 0, G_OPTION_ARG_NONE, &options->verify,
         "Compare what went in with what came out before the guest is let go on there", NULL},
        {"parallel", 0, 0, G_OPTION_ARG_INT, &options->parallel, "Let QEMU send over N connections",
         "N"},
        {"postcopy", 0, 0, G_OPTION_ARG_NONE, &options->postcopy,
         "Allow vmferry postcopy, and --on-timeout postcopy", NULL},
        {"postcopy-after-precopy", 0, 0, G_OPTION_ARG_NONE, &options->postcopy_after_precopy,
         "Switch to post-copy after the first pass", NULL},
        {"postcopy-resume", 0, 0, G_OPTION_ARG_NONE, &options->postcopy_resume,
         "Go on with a post-copy that failed", NULL},
        {"persistent", 0, 0, G_OPTION_ARG_NONE, &options->persistent,
         "Define the guest at the destination", NULL},
        {"undefine-source", 0, 0, G_OPTION_ARG_NONE, &options->undefine_source,
         "Undefine it here when it has moved", NULL},
        {"copy-storage", 0, 0, G_OPTION_ARG_STRING, &options->copy_storage,
         "Take disks along: all, or inc for changes to a backing file", "all|inc"},
        {"bandwidth", 0, 0, G_OPTION_ARG_INT, &options->bandwidth,
         "Put at most MIBS MiB/s on the wire; see vmferry bandwidth", "MIBS"},
        {"downtime", 0, 0, G_OPTION_ARG_INT, &options->downtime,
         "Let the guest stand still for at most MS milliseconds at the end", "MS"},
        {"cache", 0, 0, G_OPTION_ARG_STRING, &options->cache,
         "Keep SIZE bytes of old pages to send what changed; K, M, G", "SIZE"},
        {"no-delta", 0, 0, G_OPTION_ARG_NONE, &options->no_delta,
         "Send pages as they are, changed or not", NULL},
        {"zstd", 0, 0, G_OPTION_ARG_STRING, &options->zstd,
         "Compress: auto (default), off, or a level", "auto|off|N"},
        {"native-compression", 0, 0, G_OPTION_ARG_STRING, &options->native_compression,
         "With --engine native: auto (default), none, xbzrle, zlib or zstd", "METHOD"},
        {"timeout", 0, 0, G_OPTION_ARG_INT, &options->timeout,
         "If it is not over in S seconds, do what --on-timeout says", "S"},
        {"on-timeout", 0, 0, G_OPTION_ARG_STRING, &options->on_timeout,
         "suspend the guest (default), switch to postcopy, or abort", "ACTION"},
        {"dname", 0, 0, G_OPTION_ARG_STRING, &options->dname,
         "Another name for the guest at the destination", "NAME"},
        {"xml", 0, 0, G_OPTION_ARG_FILENAME, &options->xml,
         "Another domain XML for the destination", "FILE"},
        {"force", 0, 0, G_OPTION_ARG_STRING_ARRAY, &options->force,
         "Though the check before the move found NAME; may be given more than once", "NAME"},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };

    return g_memdup2(entries, sizeof entries);
}

static gboolean
vmf_migrate_options_add_number(GVariantDict *dict, const char *name, int value, GError **error)
{
    if (value < 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT, "--%s must not be negative",
                    name);
        return FALSE;
    }
    if (value > 0)
        g_variant_dict_insert(dict, name, "u", (guint)value);
    return TRUE;
}

/* Bytes, or with K, M, G: powers of 1024. */
static gboolean
vmf_migrate_options_add_size(GVariantDict *dict, const char *text, GError **error)
{
    static const char units[] = "KMG";
    char *end = NULL;
    guint64 value;
    guint shift = 0;

    if (!text)
        return TRUE;
    value = g_ascii_strtoull(text, &end, 10);
    if (*end && strchr(units, g_ascii_toupper(*end)))
        shift = 10 * (guint)(strchr(units, g_ascii_toupper(*end++)) - units + 1);
    if (!g_ascii_isdigit(*text) || *end || value > (guint64)G_MAXINT64 >> shift) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                    "--cache: expected a size like 256M, not '%s'", text);
        return FALSE;
    }
    g_variant_dict_insert(dict, "cache", "t", value << shift);
    return TRUE;
}

static gboolean
vmf_migrate_options_add_zstd(GVariantDict *dict, const char *text, GError **error)
{
    gint64 level = -1;

    if (!text)
        return TRUE;
    if (g_str_equal(text, "off"))
        level = 0;
    else if (!g_str_equal(text, "auto") &&
             !g_ascii_string_to_signed(text, 10, 1, 19, &level, NULL)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                    "--zstd: expected auto, off or a level of 1 to 19, not '%s'", text);
        return FALSE;
    }
    g_variant_dict_insert(dict, "compression", "i", (gint32)level);
    return TRUE;
}

gboolean
vmf_migrate_options_add_file(GVariantDict *dict, const char *path, GError **error)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) problem = NULL;

    if (!path)
        return TRUE;
    if (!g_file_get_contents(path, &text, NULL, &problem) || !g_utf8_validate(text, -1, NULL)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT, "--xml: %s",
                    problem ? problem->message : "the file is not UTF-8 text");
        return FALSE;
    }
    g_variant_dict_insert(dict, "xml", "s", text);
    return TRUE;
}

GVariant *
vmf_migrate_options_to_dict(const VmfMigrateOptions *options, GError **error)
{
    const struct {
        const char *name;
        gboolean value;
    } flags[] = {{"unencrypted", options->unencrypted},
                 {"verify", options->verify},
                 {"postcopy", options->postcopy},
                 {"postcopy-after-precopy", options->postcopy_after_precopy},
                 {"postcopy-resume", options->postcopy_resume},
                 {"persistent", options->persistent},
                 {"undefine-source", options->undefine_source}};
    const struct {
        const char *name;
        const char *value;
    } strings[] = {{"engine", options->engine},
                   {"native-compression", options->native_compression},
                   {"copy-storage", options->copy_storage},
                   {"on-timeout", options->on_timeout},
                   {"dname", options->dname}};
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(flags); i++)
        if (flags[i].value)
            g_variant_dict_insert(&dict, flags[i].name, "b", TRUE);
    if (options->no_delta)
        g_variant_dict_insert(&dict, "delta", "b", FALSE);
    for (gsize i = 0; i < G_N_ELEMENTS(strings); i++)
        if (strings[i].value)
            g_variant_dict_insert(&dict, strings[i].name, "s", strings[i].value);
    if (options->force)
        g_variant_dict_insert(&dict, "force", "^as", options->force);
    if (!vmf_migrate_options_add_number(&dict, "parallel", options->parallel, error) ||
        !vmf_migrate_options_add_number(&dict, "bandwidth", options->bandwidth, error) ||
        !vmf_migrate_options_add_number(&dict, "downtime", options->downtime, error) ||
        !vmf_migrate_options_add_size(&dict, options->cache, error) ||
        !vmf_migrate_options_add_zstd(&dict, options->zstd, error) ||
        !vmf_migrate_options_add_number(&dict, "timeout", options->timeout, error) ||
        !vmf_migrate_options_add_file(&dict, options->xml, error))
        return NULL;
    return g_variant_dict_end(&dict);
}

void
vmf_migrate_options_clear(VmfMigrateOptions *options)
{
    g_free(options->engine);
    g_free(options->copy_storage);
    g_free(options->on_timeout);
    g_free(options->cache);
    g_free(options->zstd);
    g_free(options->native_compression);
    g_free(options->dname);
    g_free(options->xml);
    g_strfreev(options->force);
}
