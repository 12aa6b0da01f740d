/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/agreement-private.h"

#include "base/error.h"

static void
vmf_agreed_free(gpointer data)
{
    VmfAgreed *agreed = data;

    g_free(agreed->name);
    g_free(agreed->why);
    g_clear_pointer(&agreed->parameters, g_variant_unref);
    g_free(agreed);
}

VmfAgreement *
vmf_agreement_alloc(const VmfAgreementTerms *terms)
{
    VmfAgreement *agreement = g_new0(VmfAgreement, 1);

    g_atomic_ref_count_init(&agreement->refs);
    agreement->migration = g_strdup(terms->migration);
    agreement->source = g_strdup(terms->source);
    agreement->destination = g_strdup(terms->destination);
    agreement->time = terms->time;
    agreement->rows = g_ptr_array_new_with_free_func(vmf_agreed_free);
    return agreement;
}

VmfAgreement *
vmf_agreement_ref(VmfAgreement *agreement)
{
    g_atomic_ref_count_inc(&agreement->refs);
    return agreement;
}

void
vmf_agreement_unref(VmfAgreement *agreement)
{
    if (!g_atomic_ref_count_dec(&agreement->refs))
        return;
    g_free(agreement->migration);
    g_free(agreement->source);
    g_free(agreement->destination);
    g_ptr_array_unref(agreement->rows);
    g_free(agreement);
}

VmfAgreed *
vmf_agreement_lookup(const VmfAgreement *agreement, const char *feature)
{
    for (guint i = 0; i < agreement->rows->len; i++) {
        VmfAgreed *agreed = agreement->rows->pdata[i];

        if (g_str_equal(agreed->name, feature))
            return agreed;
    }
    return NULL;
}

/* ---- what it says ---- */

guint
vmf_agreement_get_version(const VmfAgreement *agreement, const char *feature)
{
    const VmfAgreed *agreed = vmf_agreement_lookup(agreement, feature);

    return agreed ? agreed->version : 0;
}

static GVariant *
vmf_agreement_get_value(const VmfAgreement *agreement, const char *feature, const char *parameter,
                        const GVariantType *type)
{
    const VmfAgreed *agreed = vmf_agreement_lookup(agreement, feature);

    if (!agreed || agreed->version == 0)
        return NULL;
    return g_variant_lookup_value(agreed->parameters, parameter, type);
}

guint64
vmf_agreement_get_number(const VmfAgreement *agreement, const char *feature, const char *parameter)
{
    g_autoptr(GVariant) value =
        vmf_agreement_get_value(agreement, feature, parameter, G_VARIANT_TYPE_UINT64);

    return value ? g_variant_get_uint64(value) : 0;
}

GStrv
vmf_agreement_get_strings(const VmfAgreement *agreement, const char *feature, const char *parameter)
{
    g_autoptr(GVariant) value =
        vmf_agreement_get_value(agreement, feature, parameter, G_VARIANT_TYPE_STRING_ARRAY);

    return value ? g_variant_dup_strv(value, NULL) : NULL;
}

const char *
vmf_agreement_why_off(const VmfAgreement *agreement, const char *feature)
{
    const VmfAgreed *agreed = vmf_agreement_lookup(agreement, feature);

    return agreed && agreed->version == 0 ? agreed->why : NULL;
}

const char *
vmf_agreement_get_migration(const VmfAgreement *agreement)
{
    return agreement->migration;
}

const char *
vmf_agreement_get_source(const VmfAgreement *agreement)
{
    return agreement->source;
}

const char *
vmf_agreement_get_destination(const VmfAgreement *agreement)
{
    return agreement->destination;
}

gint64
vmf_agreement_get_time(const VmfAgreement *agreement)
{
    return agreement->time;
}

const guint8 *
vmf_agreement_get_digest(const VmfAgreement *agreement)
{
    return agreement->digest;
}

GVariant *
vmf_agreement_describe(const VmfAgreement *agreement)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a(susa{sv})"));
    for (guint i = 0; i < agreement->rows->len; i++) {
        const VmfAgreed *agreed = agreement->rows->pdata[i];

        g_variant_builder_add(&builder, "(sus@a{sv})", agreed->name, agreed->version,
                              agreed->version > 0 ? "" : agreed->why,
                              agreed->version > 0
                                  ? agreed->parameters
                                  : g_variant_new_array(G_VARIANT_TYPE("{sv}"), NULL, 0));
    }
    return g_variant_ref_sink(g_variant_builder_end(&builder));
}

GVariant *
vmf_agreement_encode(const VmfAgreement *agreement)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a(sua{sv})"));
    for (guint i = 0; i < agreement->rows->len; i++) {
        const VmfAgreed *agreed = agreement->rows->pdata[i];

        if (agreed->version > 0)
            g_variant_builder_add(&builder, "(su@a{sv})", agreed->name, agreed->version,
                                  agreed->parameters);
    }
    return g_variant_ref_sink(g_variant_builder_end(&builder));
}

VmfAgreement *
vmf_agreement_restore(const VmfAgreementTerms *terms, GVariant *described, GError **error)
{
    VmfAgreement *agreement;
    GVariantIter iter;
    const char *name, *why;
    guint version;
    GVariant *parameters;

    if (!g_variant_is_of_type(described, G_VARIANT_TYPE("a(susa{sv})")) ||
        g_variant_n_children(described) > VMF_OFFER_ROWS_MAX) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "not a list of features");
        return NULL;
    }
    agreement = vmf_agreement_alloc(terms);
    g_variant_iter_init(&iter, described);
    while (g_variant_iter_next(&iter, "(&su&s@a{sv})", &name, &version, &why, &parameters)) {
        VmfAgreed *agreed = g_new0(VmfAgreed, 1);

        agreed->name = g_strdup(name);
        agreed->version = version;
        agreed->why = version > 0 ? NULL : g_strdup(why);
        agreed->parameters = parameters;
        g_ptr_array_add(agreement->rows, agreed);
    }
    return agreement;
}
