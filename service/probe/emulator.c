/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The facts about an emulator, and their way to and from GVariant. emulator-ask.c asks for them. */
#include "probe/emulator.h"

#include <string.h>

#define LIST_MAX 4096 /* machines, types; QEMU 10.0 for x86 has 450 */

void
vmf_emulator_free(VmfEmulator *self)
{
    if (!self)
        return;
    g_free(self->path);
    g_free(self->problem);
    g_free(self->message);
    g_free(self->package);
    g_strfreev(self->capabilities);
    g_strfreev(self->parameters);
    g_strfreev(self->compressions);
    g_clear_pointer(&self->machines, g_ptr_array_unref);
    g_strfreev(self->types);
    g_free(self);
}

const VmfMachine *
vmf_emulator_find_machine(const VmfEmulator *self, const char *name)
{
    for (guint i = 0; i < self->machines->len; i++) {
        const VmfMachine *machine = self->machines->pdata[i];

        if (g_str_equal(machine->name, name) || g_str_equal(machine->alias, name))
            return machine;
    }
    return NULL;
}

gboolean
vmf_emulator_has_type(const VmfEmulator *self, const char *type)
{
    return g_strv_contains((const char *const *)self->types, type);
}

static GVariant *
machines_to_variant(const GPtrArray *machines)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a(ssb)"));
    for (guint i = 0; i < machines->len; i++) {
        const VmfMachine *machine = machines->pdata[i];

        g_variant_builder_add(&builder, "(ssb)", machine->name, machine->alias,
                              machine->deprecated);
    }
    return g_variant_builder_end(&builder);
}

GVariant *
vmf_emulator_to_variant(const VmfEmulator *self, gboolean with_types)
{
    GVariantDict dict;

    g_variant_dict_init(&dict, NULL);
    g_variant_dict_insert(&dict, "path", "s", self->path);
    g_variant_dict_insert(&dict, "size", "t", self->size);
    g_variant_dict_insert(&dict, "mtime", "x", self->mtime);
    if (self->problem) {
        g_variant_dict_insert(&dict, "problem", "s", self->problem);
        g_variant_dict_insert(&dict, "message", "s", self->message);
        return g_variant_dict_end(&dict);
    }
    g_variant_dict_insert(&dict, "version", "u", self->version);
    g_variant_dict_insert(&dict, "package", "s", self->package);
    g_variant_dict_insert(&dict, "capabilities", "^as", self->capabilities);
    g_variant_dict_insert(&dict, "parameters", "^as", self->parameters);
    g_variant_dict_insert(&dict, "compressions", "^as", self->compressions);
    g_variant_dict_insert_value(&dict, "machines", machines_to_variant(self->machines));
    if (with_types)
        g_variant_dict_insert(&dict, "types", "^as", self->types);
    return g_variant_dict_end(&dict);
}

static void
machine_free(gpointer data)
{
    VmfMachine *machine = data;

    g_free(machine->name);
    g_free(machine->alias);
    g_free(machine);
}

static GPtrArray *
machines_from_variant(GVariant *variant)
{
    GPtrArray *machines = g_ptr_array_new_with_free_func(machine_free);
    g_autoptr(GVariant) list =
        g_variant_lookup_value(variant, "machines", G_VARIANT_TYPE("a(ssb)"));

    for (gsize i = 0; list && i < MIN(g_variant_n_children(list), LIST_MAX); i++) {
        VmfMachine *machine = g_new0(VmfMachine, 1);

        g_variant_get_child(list, i, "(ssb)", &machine->name, &machine->alias,
                            &machine->deprecated);
        g_ptr_array_add(machines, machine);
    }
    return machines;
}

static char *
string_from_variant(GVariant *variant, const char *key)
{
    char *string = NULL;

    g_variant_lookup(variant, key, "s", &string);
    return string;
}

static char **
strings_from_variant(GVariant *variant, const char *key)
{
    g_autoptr(GVariant) list = g_variant_lookup_value(variant, key, G_VARIANT_TYPE("as"));

    if (!list || g_variant_n_children(list) > LIST_MAX)
        return g_new0(char *, 1);
    return g_variant_dup_strv(list, NULL);
}

VmfEmulator *
vmf_emulator_from_variant(GVariant *variant)
{
    VmfEmulator *self;
    g_autofree char *path = string_from_variant(variant, "path");

    if (!path)
        return NULL;
    self = g_new0(VmfEmulator, 1);
    self->path = g_steal_pointer(&path);
    g_variant_lookup(variant, "size", "t", &self->size);
    g_variant_lookup(variant, "mtime", "x", &self->mtime);
    g_variant_lookup(variant, "version", "u", &self->version);
    self->problem = string_from_variant(variant, "problem");
    self->message = string_from_variant(variant, "message");
    self->package = string_from_variant(variant, "package");
    if (!self->package)
        self->package = g_strdup("");
    if (self->problem && !self->message)
        self->message = g_strdup("");
    self->capabilities = strings_from_variant(variant, "capabilities");
    self->parameters = strings_from_variant(variant, "parameters");
    self->compressions = strings_from_variant(variant, "compressions");
    self->machines = machines_from_variant(variant);
    self->types = strings_from_variant(variant, "types");
    return self;
}
