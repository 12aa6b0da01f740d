/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How two offers become one agreement: feature by feature, then needs, then what is required. */
#include "base/error.h"
#include "link/agreement-private.h"

/* What the judgement of one agreement needs. */
typedef struct {
    const VmfFeatureTable *table;
    const VmfAgreementTerms *terms;
    const VmfOffer *source;
    const VmfOffer *destination;
    VmfAgreement *agreement;
} VmfTalk;

/* ---- one feature ---- */

static void
vmf_agreed_turn_off(VmfAgreed *agreed, char *why)
{
    agreed->version = 0;
    agreed->why = why;
    g_clear_pointer(&agreed->parameters, g_variant_unref);
}

static char *
vmf_row_versions(const VmfOfferRow *row)
{
    if (!row)
        return g_strdup("no version");
    if (row->oldest == row->newest)
        return g_strdup_printf("version %u", row->newest);
    return g_strdup_printf("versions %u to %u", row->oldest, row->newest);
}

/* Why it cannot be on before parameters and needs are looked at, or NULL. */
static char *
vmf_talk_find_obstacle(const VmfTalk *talk, const VmfOfferRow *source, const VmfOfferRow *there)
{
    g_autofree char *ours = vmf_row_versions(source);
    g_autofree char *theirs = vmf_row_versions(there);

    if (!source || !there)
        return g_strdup_printf("%s does not know it",
                               source ? talk->terms->destination : talk->terms->source);
    if (source->stand == VMF_STAND_OFF)
        return g_strdup_printf("%s refuses it: %s", talk->terms->source, source->why);
    if (there->stand == VMF_STAND_OFF)
        return g_strdup_printf("%s refuses it: %s", talk->terms->destination, there->why);
    if (MIN(source->newest, there->newest) < MAX(source->oldest, there->oldest))
        return g_strdup_printf("%s speaks %s of it, %s %s", talk->terms->source, ours,
                               talk->terms->destination, theirs);
    return NULL;
}

static GVariant *
vmf_combine_common(GVariant *source, GVariant *destination)
{
    g_autofree const char **ours = g_variant_get_strv(source, NULL);
    g_autofree const char **theirs = g_variant_get_strv(destination, NULL);
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE_STRING_ARRAY);
    for (const char **value = ours; *value; value++)
        if (g_strv_contains(theirs, *value))
            g_variant_builder_add(&builder, "s", *value);
    return g_variant_builder_end(&builder);
}

static GVariant *
vmf_combine(VmfCombine combine, GVariant *source, GVariant *destination)
{
    switch (combine) {
    case VMF_COMBINE_SMALLER:
        return g_variant_new_uint64(
            MIN(g_variant_get_uint64(source), g_variant_get_uint64(destination)));
    case VMF_COMBINE_SOURCE:
        return g_variant_new_uint64(g_variant_get_uint64(source));
    case VMF_COMBINE_DESTINATION:
        return g_variant_new_uint64(g_variant_get_uint64(destination));
    case VMF_COMBINE_COMMON:
    default:
        return vmf_combine_common(source, destination);
    }
}

static gboolean
vmf_value_is_nothing(GVariant *value)
{
    return g_variant_is_of_type(value, G_VARIANT_TYPE_UINT64) ? g_variant_get_uint64(value) == 0
                                                              : g_variant_n_children(value) == 0;
}

static gboolean
vmf_value_check_type(const char *feature, const VmfFeatureParameter *parameter, GVariant *value,
                     GError **error)
{
    const GVariantType *type = vmf_combine_get_type(parameter->combine);

    if (!value || g_variant_is_of_type(value, type))
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                "the offer is not valid: '%s' of '%s' is not of type %.*s", parameter->name,
                feature, (int)g_variant_type_get_string_length(type),
                g_variant_type_peek_string(type));
    return FALSE;
}

/* One parameter into `builder`; the feature is off afterwards if it cannot be without. */
static gboolean
vmf_agreed_combine(VmfAgreed *agreed, const VmfFeatureParameter *parameter,
                   const VmfOfferRow *source, const VmfOfferRow *destination,
                   GVariantBuilder *builder, GError **error)
{
    g_autoptr(GVariant) ours = g_variant_lookup_value(source->parameters, parameter->name, NULL);
    g_autoptr(GVariant) theirs =
        g_variant_lookup_value(destination->parameters, parameter->name, NULL);
    g_autoptr(GVariant) value = NULL;

    if (!vmf_value_check_type(agreed->name, parameter, ours, error) ||
        !vmf_value_check_type(agreed->name, parameter, theirs, error))
        return FALSE;
    if (ours && theirs)
        value = g_variant_ref_sink(vmf_combine(parameter->combine, ours, theirs));
    if (parameter->vital && (!value || vmf_value_is_nothing(value)) && agreed->version > 0)
        vmf_agreed_turn_off(agreed, g_strdup_printf("no common value of '%s'", parameter->name));
    if (value)
        g_variant_builder_add(builder, "{sv}", parameter->name, value);
    return TRUE;
}

static gboolean
vmf_agreed_combine_all(VmfAgreed *agreed, const VmfFeature *feature, const VmfOfferRow *source,
                       const VmfOfferRow *destination, GError **error)
{
    const guint version = agreed->version;
    const VmfFeatureParameter *sorted[VMF_FEATURE_PARAMETERS_MAX];
    guint n = 0;
    gboolean ok = TRUE;
    GVariantBuilder builder;
    g_autoptr(GVariant) parameters = NULL;

    /* by name, so that the order of the table leaves no trace in the digest */
    for (const VmfFeatureParameter *p = feature->parameters; p->name; p++) {
        guint at = n++;

        for (; at > 0 && strcmp(p->name, sorted[at - 1]->name) < 0; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = p;
    }
    g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
    for (guint i = 0; i < n && ok; i++)
        if (sorted[i]->since <= version)
            ok = vmf_agreed_combine(agreed, sorted[i], source, destination, &builder, error);
    parameters = g_variant_ref_sink(g_variant_builder_end(&builder));
    if (agreed->version > 0)
        agreed->parameters = g_steal_pointer(&parameters);
    return ok;
}

static gboolean
vmf_talk_judge(VmfTalk *talk, const char *name, GError **error)
{
    const VmfOfferRow *source = vmf_offer_find(talk->source, name);
    const VmfOfferRow *destination = vmf_offer_find(talk->destination, name);
    const VmfFeature *feature = vmf_feature_find(talk->table, name);
    VmfAgreed *agreed = g_new0(VmfAgreed, 1);

    g_ptr_array_add(talk->agreement->rows, agreed);
    agreed->name = g_strdup(name);
    agreed->why = vmf_talk_find_obstacle(talk, source, destination);
    if (agreed->why)
        return TRUE;
    if (!feature) { /* in both offers, so one of them is not this program's */
        agreed->why = g_strdup("this program does not know it");
        return TRUE;
    }
    agreed->version = MIN(source->newest, destination->newest);
    return vmf_agreed_combine_all(agreed, feature, source, destination, error);
}

/* ---- needs and requirements ---- */

/* The first of what `row` needs and is off; NULL when all is well. */
static const char *
vmf_talk_find_lack(const VmfTalk *talk, const VmfOfferRow *row)
{
    for (char **need = row->needs; *need; need++) {
        const VmfAgreed *needed = vmf_agreement_lookup(talk->agreement, *need);

        if (!needed || needed->version == 0)
            return *need;
    }
    return NULL;
}

static void
vmf_talk_turn_off(VmfTalk *talk, VmfAgreed *agreed, const char *lack)
{
    const VmfAgreed *needed = vmf_agreement_lookup(talk->agreement, lack);
    const char *because = needed && needed->because ? needed->because : lack;
    const char *why = vmf_agreement_why_off(talk->agreement, because);

    if (!why)
        why = "neither side knows it";
    if (because == lack)
        vmf_agreed_turn_off(agreed, g_strdup_printf("it needs '%s', which is off: %s", lack, why));
    else
        vmf_agreed_turn_off(
            agreed,
            g_strdup_printf("it needs '%s', and that '%s', which is off: %s", lack, because, why));
    agreed->because = because;
}

/* Off is what needs something that is off, until nothing changes; a circle that is on stays on. */
static void
vmf_talk_apply_needs(VmfTalk *talk)
{
    gboolean changed = TRUE;

    while (changed) {
        changed = FALSE;
        for (guint i = 0; i < talk->agreement->rows->len; i++) {
            VmfAgreed *agreed = talk->agreement->rows->pdata[i];
            const char *lack = NULL;

            if (agreed->version > 0)
                lack = vmf_talk_find_lack(talk, vmf_offer_find(talk->source, agreed->name));
            if (agreed->version > 0 && !lack)
                lack = vmf_talk_find_lack(talk, vmf_offer_find(talk->destination, agreed->name));
            if (lack) {
                vmf_talk_turn_off(talk, agreed, lack);
                changed = TRUE;
            }
        }
    }
}

static gboolean
vmf_talk_check_required(const VmfTalk *talk, const VmfAgreed *agreed, GError **error)
{
    const VmfOfferRow *source = vmf_offer_find(talk->source, agreed->name);
    const VmfOfferRow *destination = vmf_offer_find(talk->destination, agreed->name);
    gboolean by_source = source && source->stand == VMF_STAND_REQUIRED;
    gboolean by_destination = destination && destination->stand == VMF_STAND_REQUIRED;
    const VmfOfferRow *row = by_source ? source : destination;
    g_autofree char *ours = vmf_row_versions(source);
    g_autofree char *theirs = vmf_row_versions(destination);

    if (agreed->version > 0 || !(by_source || by_destination))
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_FEATURE_MISSING,
                "feature '%s' is required by %s%s%s%s, but %s (%s speaks %s, %s %s)", agreed->name,
                by_source ? talk->terms->source : talk->terms->destination, *row->why ? " (" : "",
                row->why, *row->why ? ")" : "", agreed->why, talk->terms->source, ours,
                talk->terms->destination, theirs);
    return FALSE;
}

/* ---- the whole ---- */

static void
vmf_talk_seal(const VmfTalk *talk)
{
    VmfAgreement *agreement = talk->agreement;
    g_autoptr(GVariant) ours = vmf_offer_encode(talk->source);
    g_autoptr(GVariant) theirs = vmf_offer_encode(talk->destination);
    g_autoptr(GVariant) agreed = vmf_agreement_encode(agreement);
    g_autoptr(GVariant) all = g_variant_ref_sink(g_variant_new(
        "(sssx@a(suussasa{sv})@a(suussasa{sv})@a(sua{sv}))", agreement->migration,
        agreement->source, agreement->destination, agreement->time, ours, theirs, agreed));
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize size = sizeof agreement->digest;

#if G_BYTE_ORDER == G_BIG_ENDIAN
    g_autoptr(GVariant) little = g_variant_byteswap(all);
#else
    g_autoptr(GVariant) little = g_variant_ref(all);
#endif
    g_checksum_update(checksum, g_variant_get_data(little), (gssize)g_variant_get_size(little));
    g_checksum_get_digest(checksum, agreement->digest, &size);
}

/* The names of both offers, each once and in order. */
static GPtrArray *
vmf_talk_list_names(const VmfTalk *talk)
{
    GPtrArray *names = g_ptr_array_new();
    guint i = 0;
    guint j = 0;

    while (i < vmf_offer_get_size(talk->source) || j < vmf_offer_get_size(talk->destination)) {
        const char *ours =
            i < vmf_offer_get_size(talk->source) ? vmf_offer_get(talk->source, i)->name : NULL;
        const char *theirs = j < vmf_offer_get_size(talk->destination)
                                 ? vmf_offer_get(talk->destination, j)->name
                                 : NULL;
        int order = !ours ? 1 : !theirs ? -1 : strcmp(ours, theirs);

        g_ptr_array_add(names, (gpointer)(order <= 0 ? ours : theirs));
        i += order <= 0;
        j += order >= 0;
    }
    return names;
}

VmfAgreement *
vmf_agreement_new(const VmfFeatureTable *table, const VmfAgreementTerms *terms,
                  const VmfOffer *source, const VmfOffer *destination, GError **error)
{
    g_autoptr(VmfAgreement) agreement = vmf_agreement_alloc(terms);
    VmfTalk talk = {table, terms, source, destination, agreement};
    g_autoptr(GPtrArray) names = vmf_talk_list_names(&talk);

    for (guint i = 0; i < names->len; i++)
        if (!vmf_talk_judge(&talk, names->pdata[i], error))
            return NULL;
    vmf_talk_apply_needs(&talk);
    for (guint i = 0; i < agreement->rows->len; i++)
        if (!vmf_talk_check_required(&talk, agreement->rows->pdata[i], error))
            return NULL;
    vmf_talk_seal(&talk);
    return g_steal_pointer(&agreement);
}
