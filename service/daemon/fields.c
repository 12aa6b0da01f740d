/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/fields.h"

#include "base/error.h"

static GVariant *
vmf_field_save(const VmfField *field, gconstpointer data)
{
    gconstpointer member = (const char *)data + field->offset;

    switch (*field->type) {
    case 'b':
        return g_variant_new_boolean(*(const gboolean *)member);
    case 'u':
        return g_variant_new_uint32(*(const guint *)member);
    case 't':
        return g_variant_new_uint64(*(const guint64 *)member);
    case 'i':
        return g_variant_new_int32(*(const gint32 *)member);
    case 'x':
        return g_variant_new_int64(*(const gint64 *)member);
    case 'd':
        return g_variant_new_double(*(const double *)member);
    default:
        return *(char *const *)member ? g_variant_new_string(*(char *const *)member) : NULL;
    }
}

GVariant *
vmf_fields_save(const VmfField *fields, gsize n, gconstpointer data)
{
    GVariantBuilder values;

    g_variant_builder_init(&values, G_VARIANT_TYPE_VARDICT);
    for (gsize i = 0; i < n; i++) {
        GVariant *value = vmf_field_save(&fields[i], data);

        if (value)
            g_variant_builder_add(&values, "{sv}", fields[i].name, value);
    }
    return g_variant_builder_end(&values);
}

static void
vmf_field_load(const VmfField *field, GVariant *value, gpointer data)
{
    gpointer member = (char *)data + field->offset;

    switch (*field->type) {
    case 'b':
        *(gboolean *)member = g_variant_get_boolean(value);
        break;
    case 'u':
        *(guint *)member = g_variant_get_uint32(value);
        break;
    case 't':
        *(guint64 *)member = g_variant_get_uint64(value);
        break;
    case 'i':
        *(gint32 *)member = g_variant_get_int32(value);
        break;
    case 'x':
        *(gint64 *)member = g_variant_get_int64(value);
        break;
    case 'd':
        *(double *)member = g_variant_get_double(value);
        break;
    default:
        g_free(*(char **)member);
        *(char **)member = g_variant_dup_string(value, NULL);
    }
}

static gboolean
vmf_field_is_sensible(const VmfField *field, GVariant *value)
{
    if (!g_variant_is_of_type(value, G_VARIANT_TYPE(field->type)))
        return FALSE;
    if (*field->type == 'u')
        return field->most == 0 || g_variant_get_uint32(value) <= field->most;
    if (*field->type == 't')
        return field->most == 0 || g_variant_get_uint64(value) <= field->most;
    if (*field->type == 'd') /* nor is what is no number */
        return g_variant_get_double(value) >= 0 &&
               (field->most == 0 || g_variant_get_double(value) <= (double)field->most);
    return TRUE;
}

gboolean
vmf_fields_load(const VmfField *fields, gsize n, GVariant *values, gpointer data, GError **error)
{
    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) value = g_variant_lookup_value(values, fields[i].name, NULL);

        if (value && !vmf_field_is_sensible(&fields[i], value)) {
            g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT, "%s is not sensible",
                        fields[i].name);
            return FALSE;
        }
        if (value)
            vmf_field_load(&fields[i], value, data);
    }
    return TRUE;
}
