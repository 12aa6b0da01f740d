/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/loadable.h"

#include "base/error.h"

struct VmfLoadable {
    GHashTable *states; /* name -> set of names of subsections */
};

VmfLoadable *
vmf_loadable_new(void)
{
    VmfLoadable *self = g_new0(VmfLoadable, 1);

    self->states =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_hash_table_unref);
    return self;
}

void
vmf_loadable_free(VmfLoadable *self)
{
    if (!self)
        return;
    g_hash_table_unref(self->states);
    g_free(self);
}

void
vmf_loadable_add(VmfLoadable *self, const char *state, const char *subsection)
{
    GHashTable *known = g_hash_table_lookup(self->states, state);

    if (!known) {
        known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_hash_table_insert(self->states, g_strdup(state), known);
    }
    if (subsection)
        g_hash_table_add(known, g_strdup(subsection));
}

static void
add_state(VmfLoadable *self, const VmfVmstate *state)
{
    vmf_loadable_add(self, state->name, NULL);
    for (guint i = 0; i < state->subsections->len; i++) {
        const VmfVmstate *subsection = state->subsections->pdata[i];

        vmf_loadable_add(self, state->name, subsection->name);
        add_state(self, subsection);
    }
    for (guint i = 0; i < state->fields->len; i++) {
        const VmfVmstateField *field = state->fields->pdata[i];

        if (field->inner)
            add_state(self, field->inner);
    }
}

void
vmf_loadable_add_set(VmfLoadable *self, const VmfVmstateSet *destination)
{
    for (guint i = 0; i < destination->devices->len; i++) {
        const VmfVmstateDevice *device = destination->devices->pdata[i];

        if (device->state)
            add_state(self, device->state);
    }
}

void
vmf_loadable_allow(VmfLoadable *self, const char *subsection)
{
    GHashTableIter iter;
    gpointer known;

    g_hash_table_iter_init(&iter, self->states);
    while (g_hash_table_iter_next(&iter, NULL, &known))
        g_hash_table_add(known, g_strdup(subsection));
}

GVariant *
vmf_loadable_to_variant(const VmfLoadable *self)
{
    GVariantBuilder builder;
    GHashTableIter iter;
    gpointer state, known;

    g_variant_builder_init(&builder, G_VARIANT_TYPE(VMF_LOADABLE_FORMAT));
    g_hash_table_iter_init(&iter, self->states);
    while (g_hash_table_iter_next(&iter, &state, &known)) {
        g_autofree const char **names = (const char **)g_hash_table_get_keys_as_array(known, NULL);

        g_variant_builder_add(&builder, "{s^as}", state, names);
    }
    return g_variant_builder_end(&builder);
}

VmfLoadable *
vmf_loadable_from_variant(GVariant *variant)
{
    VmfLoadable *self = vmf_loadable_new();
    GVariantIter iter;
    GVariantIter *names;
    const char *state, *name;

    g_variant_iter_init(&iter, variant);
    while (g_variant_iter_next(&iter, "{&sas}", &state, &names)) {
        vmf_loadable_add(self, state, NULL);
        while (g_variant_iter_next(names, "&s", &name))
            vmf_loadable_add(self, state, name);
        g_variant_iter_free(names);
    }
    return self;
}

static gboolean
check_struct(const VmfLoadable *self, const char *device, const VmfStruct *state, GError **error)
{
    GHashTable *known = state->name ? g_hash_table_lookup(self->states, state->name) : NULL;

    for (guint i = 0; i < state->subsections->len; i++) {
        const VmfStruct *subsection = state->subsections->pdata[i];

        if (known && subsection->name && !g_hash_table_contains(known, subsection->name)) {
            g_set_error(
                error, VMF_ERROR, VMF_ERROR_INCOMPATIBLE,
                "QEMU sends subsection %s of %s, which the destination's QEMU does not know",
                subsection->name, device);
            return FALSE;
        }
        if (!check_struct(self, device, subsection, error))
            return FALSE;
    }
    for (guint i = 0; i < state->fields->len; i++) {
        const VmfField *field = state->fields->pdata[i];

        if (field->inner && !check_struct(self, device, field->inner, error))
            return FALSE;
    }
    return TRUE;
}

gboolean
vmf_loadable_check(const VmfLoadable *self, const VmfDescription *description, GError **error)
{
    for (guint i = 0; i < vmf_description_devices(description); i++) {
        const VmfDevice *device = vmf_description_device(description, i);

        if (device->state && !check_struct(self, device->name, device->state, error))
            return FALSE;
    }
    return TRUE;
}
