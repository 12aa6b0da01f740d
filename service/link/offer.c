/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/offer.h"

#include "base/error.h"

#define VMF_NEEDS_MAX 16
#define VMF_PARAMETERS_MAX 16
#define VMF_STRINGS_MAX 32
#define VMF_WHY_MAX 256 /* bytes */

struct VmfOffer {
    GPtrArray *rows; /* of VmfOfferRow, by name */
};

static void
vmf_offer_row_free(gpointer data)
{
    VmfOfferRow *row = data;

    g_free(row->name);
    g_free(row->why);
    g_strfreev(row->needs);
    g_clear_pointer(&row->parameters, g_variant_unref);
    g_free(row);
}

static int
vmf_offer_row_compare(gconstpointer a, gconstpointer b)
{
    const VmfOfferRow *const *one = a;
    const VmfOfferRow *const *other = b;

    return strcmp((*one)->name, (*other)->name);
}

static VmfOffer *
vmf_offer_alloc(void)
{
    VmfOffer *offer = g_new0(VmfOffer, 1);

    offer->rows = g_ptr_array_new_with_free_func(vmf_offer_row_free);
    return offer;
}

void
vmf_offer_free(VmfOffer *offer)
{
    g_ptr_array_unref(offer->rows);
    g_free(offer);
}

/* ---- of this side ---- */

/* Dictionaries in order of keys, so that the same offer is the same bytes. Owned by the caller. */
static int
vmf_name_compare(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static GVariant *
vmf_parameters_sorted(GVariant *parameters)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    GVariantBuilder builder;
    GVariantIter iter;
    const char *name;

    g_variant_iter_init(&iter, parameters);
    while (g_variant_iter_next(&iter, "{&sv}", &name, NULL))
        g_ptr_array_add(names, (gpointer)name);
    g_ptr_array_sort(names, vmf_name_compare);
    g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
    for (guint i = 0; i < names->len; i++) {
        g_autoptr(GVariant) value = g_variant_lookup_value(parameters, names->pdata[i], NULL);

        g_variant_builder_add(&builder, "{sv}", names->pdata[i], value);
    }
    return g_variant_ref_sink(g_variant_builder_end(&builder));
}

static GVariant *
vmf_offer_default_parameters(const VmfFeature *feature)
{
    g_autoptr(GVariant) unsorted = NULL;
    GVariantDict dict;

    g_variant_dict_init(&dict, NULL);
    for (const VmfFeatureParameter *p = feature->parameters; p->name; p++)
        if (p->combine != VMF_COMBINE_COMMON)
            g_variant_dict_insert(&dict, p->name, "t", p->number);
    unsorted = g_variant_ref_sink(g_variant_dict_end(&dict));
    return vmf_parameters_sorted(unsorted);
}

VmfOffer *
vmf_offer_new(const VmfFeatureTable *table)
{
    VmfOffer *offer = vmf_offer_alloc();

    for (gsize i = 0; i < table->n; i++) {
        const VmfFeature *feature = &table->rows[i];
        VmfOfferRow *row = g_new0(VmfOfferRow, 1);

        row->name = g_strdup(feature->name);
        row->oldest = feature->oldest;
        row->newest = feature->newest;
        row->stand = feature->stand;
        row->why = g_strdup(feature->why ? feature->why : "");
        row->needs = g_strdupv((char **)feature->needs);
        row->parameters = vmf_offer_default_parameters(feature);
        g_ptr_array_add(offer->rows, row);
    }
    g_ptr_array_sort(offer->rows, vmf_offer_row_compare);
    return offer;
}

static VmfOfferRow *
vmf_offer_lookup(const VmfOffer *offer, const char *feature)
{
    for (guint i = 0; i < offer->rows->len; i++) {
        VmfOfferRow *row = offer->rows->pdata[i];

        if (g_str_equal(row->name, feature))
            return row;
    }
    return NULL;
}

static void
vmf_offer_set_stand(VmfOffer *offer, const char *feature, VmfStand stand, const char *why)
{
    VmfOfferRow *row = vmf_offer_lookup(offer, feature);

    g_return_if_fail(row != NULL);
    if (row->stand == VMF_STAND_OFF)
        return;
    row->stand = stand;
    g_free(row->why);
    row->why = g_strdup(why);
}

void
vmf_offer_refuse(VmfOffer *offer, const char *feature, const char *why)
{
    vmf_offer_set_stand(offer, feature, VMF_STAND_OFF, why);
}

void
vmf_offer_require(VmfOffer *offer, const char *feature, const char *why)
{
    vmf_offer_set_stand(offer, feature, VMF_STAND_REQUIRED, why);
}

static void
vmf_offer_set_parameter(VmfOffer *offer, const char *feature, const char *parameter,
                        GVariant *value)
{
    VmfOfferRow *row = vmf_offer_lookup(offer, feature);
    g_autoptr(GVariant) unsorted = NULL;
    GVariantDict dict;

    g_return_if_fail(row != NULL);
    g_variant_dict_init(&dict, row->parameters);
    g_variant_dict_insert_value(&dict, parameter, value);
    unsorted = g_variant_ref_sink(g_variant_dict_end(&dict));
    g_variant_unref(row->parameters);
    row->parameters = vmf_parameters_sorted(unsorted);
}

void
vmf_offer_set_number(VmfOffer *offer, const char *feature, const char *parameter, guint64 value)
{
    vmf_offer_set_parameter(offer, feature, parameter, g_variant_new_uint64(value));
}

void
vmf_offer_set_strings(VmfOffer *offer, const char *feature, const char *parameter,
                      const char *const *value)
{
    vmf_offer_set_parameter(offer, feature, parameter, g_variant_new_strv(value, -1));
}

guint
vmf_offer_get_size(const VmfOffer *offer)
{
    return offer->rows->len;
}

const VmfOfferRow *
vmf_offer_get(const VmfOffer *offer, guint i)
{
    return offer->rows->pdata[i];
}

const VmfOfferRow *
vmf_offer_find(const VmfOffer *offer, const char *feature)
{
    return vmf_offer_lookup(offer, feature);
}

/* ---- on the control link ---- */

GVariant *
vmf_offer_encode(const VmfOffer *offer)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, VMF_OFFER_TYPE);
    for (guint i = 0; i < offer->rows->len; i++) {
        const VmfOfferRow *row = offer->rows->pdata[i];

        g_variant_builder_add(&builder, "(suuss^as@a{sv})", row->name, row->oldest, row->newest,
                              vmf_stand_name(row->stand), row->why, row->needs, row->parameters);
    }
    return g_variant_ref_sink(g_variant_builder_end(&builder));
}

/* It ends up in messages and on terminals. */
static gboolean
vmf_reason_is_valid(const char *why)
{
    if (strlen(why) > VMF_WHY_MAX)
        return FALSE;
    for (; *why; why++)
        if (g_ascii_iscntrl(*why))
            return FALSE;
    return TRUE;
}

static gboolean
vmf_names_are_valid(const char *const *names, gsize max)
{
    if (g_strv_length((char **)names) > max)
        return FALSE;
    for (; *names; names++)
        if (!vmf_feature_name_is_valid(*names))
            return FALSE;
    return TRUE;
}

/* Values of types that this program does not know may be there; they are not looked into. */
static const char *
vmf_parameters_find_problem(GVariant *parameters)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    GVariantIter iter;
    const char *name;
    GVariant *value;

    if (g_variant_n_children(parameters) > VMF_PARAMETERS_MAX)
        return "has too many parameters";
    g_variant_iter_init(&iter, parameters);
    while (g_variant_iter_next(&iter, "{&sv}", &name, &value)) {
        gboolean long_list = g_variant_is_of_type(value, G_VARIANT_TYPE_ARRAY) &&
                             g_variant_n_children(value) > VMF_STRINGS_MAX;

        g_variant_unref(value);
        if (!vmf_feature_name_is_valid(name))
            return "has a parameter whose name is not valid";
        if (!g_hash_table_add(seen, (gpointer)name))
            return "has a parameter twice";
        if (long_list)
            return "has a parameter with too many values";
    }
    return NULL;
}

/* NULL when the row is fine. `stand`: its name. */
static const char *
vmf_offer_row_find_problem(const VmfOffer *offer, VmfOfferRow *row, const char *stand)
{
    if (!vmf_feature_name_is_valid(row->name))
        return "has a name that is not valid";
    if (vmf_offer_lookup(offer, row->name))
        return "is there twice";
    if (row->oldest < 1 || row->newest < row->oldest)
        return "has versions that make no sense";
    if (!vmf_stand_from_name(stand, &row->stand))
        return "has a stand that is not known";
    if (!vmf_reason_is_valid(row->why))
        return "has a reason that is too long, or not text";
    if (!vmf_names_are_valid((const char *const *)row->needs, VMF_NEEDS_MAX))
        return "needs what cannot be a feature";
    return vmf_parameters_find_problem(row->parameters);
}

static gboolean
vmf_offer_decode_row(VmfOffer *offer, GVariant *child, GError **error)
{
    VmfOfferRow *row = g_new0(VmfOfferRow, 1);
    g_autoptr(GVariant) unsorted = NULL;
    const char *stand;
    const char *problem;

    g_variant_get(child, "(suu&ss^as@a{sv})", &row->name, &row->oldest, &row->newest, &stand,
                  &row->why, &row->needs, &unsorted);
    row->parameters = vmf_parameters_sorted(unsorted);
    problem = vmf_offer_row_find_problem(offer, row, stand);
    if (problem) {
        g_autofree char *name = vmf_text_clean(row->name);

        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "the offer is not valid: '%s' %s", name,
                    problem);
        vmf_offer_row_free(row);
        return FALSE;
    }
    g_ptr_array_add(offer->rows, row);
    return TRUE;
}

VmfOffer *
vmf_offer_decode(GVariant *variant, GError **error)
{
    g_autoptr(VmfOffer) offer = NULL;

    if (!g_variant_is_of_type(variant, VMF_OFFER_TYPE) ||
        g_variant_get_size(variant) > VMF_OFFER_BYTES_MAX ||
        g_variant_n_children(variant) > VMF_OFFER_ROWS_MAX || !g_variant_is_normal_form(variant)) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                            "the offer is not valid: it is not an offer, or too large");
        return NULL;
    }
    offer = vmf_offer_alloc();
    for (gsize i = 0; i < g_variant_n_children(variant); i++) {
        g_autoptr(GVariant) child = g_variant_get_child_value(variant, i);

        if (!vmf_offer_decode_row(offer, child, error))
            return NULL;
    }
    g_ptr_array_sort(offer->rows, vmf_offer_row_compare);
    return g_steal_pointer(&offer);
}
