/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe/concern.h"

#include <string.h>

#include "base/error.h"

static const char *const severity_names[] = {"info", "warn", "block"};

static void
concern_free(gpointer data)
{
    VmfConcern *concern = data;

    g_free(concern->name);
    g_free(concern->message);
    g_free(concern);
}

const char *
vmf_severity_name(VmfSeverity severity)
{
    return severity_names[severity];
}

GPtrArray *
vmf_concerns_new(void)
{
    return g_ptr_array_new_with_free_func(concern_free);
}

/* Both hosts may see the same; the graver view stays. */
static gboolean
is_known(GPtrArray *concerns, const char *name, VmfSeverity severity)
{
    for (guint i = 0; i < concerns->len; i++) {
        const VmfConcern *concern = concerns->pdata[i];

        if (!g_str_equal(concern->name, name))
            continue;
        if (concern->severity >= severity)
            return TRUE;
        g_ptr_array_remove_index(concerns, i);
        return FALSE;
    }
    return FALSE;
}

/* Both strings are taken. */
static void
add(GPtrArray *concerns, VmfSeverity severity, int code, char *name, char *message)
{
    VmfConcern *concern = g_new0(VmfConcern, 1);
    gboolean known = is_known(concerns, name, severity);

    concern->severity = severity;
    concern->code = code;
    concern->name = name;
    concern->message = message;
    if (!known && concerns->len < VMF_CONCERNS_MAX)
        g_ptr_array_add(concerns, concern);
    else
        concern_free(concern);
}

void
vmf_concerns_add(GPtrArray *concerns, VmfSeverity severity, int code, const char *name,
                 const char *format, ...)
{
    va_list args;
    char *message;

    va_start(args, format);
    message = g_strdup_vprintf(format, args);
    va_end(args);
    add(concerns, severity, code, g_strdup(name), message);
}

static gint
gravest_first(gconstpointer a, gconstpointer b)
{
    const VmfConcern *left = *(const VmfConcern *const *)a;
    const VmfConcern *right = *(const VmfConcern *const *)b;

    if (left->severity != right->severity)
        return (gint)right->severity - (gint)left->severity;
    return strcmp(left->name, right->name);
}

void
vmf_concerns_sort(GPtrArray *concerns)
{
    g_ptr_array_sort(concerns, gravest_first);
}

gboolean
vmf_concern_can_be_forced(const VmfConcern *concern)
{
    return concern->severity == VMF_SEVERITY_BLOCK && concern->code != VMF_ERROR_DOMAIN_EXISTS &&
           concern->code != VMF_ERROR_DOMAIN_UNSAFE;
}

void
vmf_concerns_force(GPtrArray *concerns, const char *const *names)
{
    for (guint i = 0; names && i < concerns->len; i++) {
        VmfConcern *concern = concerns->pdata[i];

        concern->forced |=
            vmf_concern_can_be_forced(concern) && g_strv_contains(names, concern->name);
    }
}

const VmfConcern *
vmf_concerns_find_block(GPtrArray *concerns)
{
    for (guint i = 0; i < concerns->len; i++) {
        const VmfConcern *concern = concerns->pdata[i];

        if (concern->severity == VMF_SEVERITY_BLOCK && !concern->forced)
            return concern;
    }
    return NULL;
}

GVariant *
vmf_concerns_to_variant(GPtrArray *concerns)
{
    GVariantBuilder list;

    g_variant_builder_init(&list, G_VARIANT_TYPE(VMF_CONCERNS_FORMAT));
    for (guint i = 0; i < concerns->len; i++) {
        const VmfConcern *concern = concerns->pdata[i];
        GVariantDict dict;

        g_variant_dict_init(&dict, NULL);
        g_variant_dict_insert(&dict, "Name", "s", concern->name);
        g_variant_dict_insert(&dict, "Severity", "s", vmf_severity_name(concern->severity));
        g_variant_dict_insert(&dict, "Message", "s", concern->message);
        g_variant_dict_insert(&dict, "Error", "s", vmf_error_name((VmfError)concern->code));
        g_variant_dict_insert(&dict, "Forced", "b", concern->forced);
        g_variant_builder_add_value(&list, g_variant_dict_end(&dict));
    }
    return g_variant_builder_end(&list);
}

static void
add_one(GPtrArray *concerns, GVariant *dict)
{
    const char *name = NULL;
    const char *severity = "";
    const char *message = "";
    const char *error = "";

    g_variant_lookup(dict, "Name", "&s", &name);
    g_variant_lookup(dict, "Severity", "&s", &severity);
    g_variant_lookup(dict, "Message", "&s", &message);
    g_variant_lookup(dict, "Error", "&s", &error);
    for (guint i = 0; name && *name && i < G_N_ELEMENTS(severity_names); i++)
        if (g_str_equal(severity, severity_names[i]))
            add(concerns, (VmfSeverity)i, (int)vmf_error_from_name(error), vmf_text_clean(name),
                vmf_text_clean(message));
}

void
vmf_concerns_add_variant(GPtrArray *concerns, GVariant *variant)
{
    gsize n = MIN(g_variant_n_children(variant), VMF_CONCERNS_MAX);

    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) dict = g_variant_get_child_value(variant, i);

        add_one(concerns, dict);
    }
}
