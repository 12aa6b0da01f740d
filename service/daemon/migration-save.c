/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What of a migration outlives the vmferryd that began it. */
#include "base/error.h"
#include "daemon/migration-private.h"

#define VMF_MIGRATION_SECTION "Migration"
/* What is no property: */
#define VMF_MIGRATION_MAY_POSTCOPY "PostcopyAllowed"
#define VMF_MIGRATION_ASKED "DeltaAsked" /* (btiu): a VmfDelta */
#define VMF_GUEST_NAME_MAX 255

/* ---- saving ---- */

void
vmf_migration_keep(VmfMigration *self, const char *section, GVariant *values)
{
    g_mutex_lock(&self->lock);
    g_hash_table_replace(self->kept, g_strdup(section), g_variant_ref_sink(values));
    g_mutex_unlock(&self->lock);
    g_signal_emit_by_name(self, "kept");
}

static GVariant *
vmf_migration_save_properties(VmfMigration *self)
{
    g_autoptr(GVariant) properties =
        g_dbus_interface_skeleton_get_properties(G_DBUS_INTERFACE_SKELETON(self->bus));
    GVariantDict dict;
    VmfDelta asked;

    vmf_migration_get_delta(self, &asked);
    g_variant_dict_init(&dict, properties);
    g_variant_dict_insert(&dict, VMF_MIGRATION_MAY_POSTCOPY, "b", self->postcopy);
    g_variant_dict_insert(&dict, VMF_MIGRATION_ASKED, "(btiu)", asked.on, asked.cache,
                          asked.compression, asked.expected);
    return g_variant_dict_end(&dict);
}

GVariant *
vmf_migration_save(VmfMigration *self)
{
    GVariantBuilder sections;
    GHashTableIter iter;
    gpointer name, values;

    g_variant_builder_init(&sections, G_VARIANT_TYPE("a{sa{sv}}"));
    g_variant_builder_add(&sections, "{s@a{sv}}", VMF_MIGRATION_SECTION,
                          vmf_migration_save_properties(self));
    g_mutex_lock(&self->lock);
    g_hash_table_iter_init(&iter, self->kept);
    while (g_hash_table_iter_next(&iter, &name, &values))
        g_variant_builder_add(&sections, "{s@a{sv}}", name, values);
    g_mutex_unlock(&self->lock);
    return g_variant_builder_end(&sections);
}

/* ---- restoring ---- */

/* As gdbus-codegen names them: BytesOnWire is bytes-on-wire. */
static char *
vmf_property_name(const char *bus_name)
{
    GString *name = g_string_new(NULL);

    for (const char *c = bus_name; *c; c++) {
        if (g_ascii_isupper(*c) && c > bus_name)
            g_string_append_c(name, '-');
        g_string_append_c(name, g_ascii_tolower(*c));
    }
    return g_string_free(name, FALSE);
}

static void
vmf_migration_set_property(VmfMigration *self, const char *bus_name, GVariant *value)
{
    g_autofree char *name = vmf_property_name(bus_name);
    GValue converted = G_VALUE_INIT;

    g_dbus_gvariant_to_gvalue(value, &converted);
    g_object_set_property(G_OBJECT(self->bus), name, &converted);
    g_value_unset(&converted);
}

/* What was shown is shown again; what another version had more is left alone. */
static gboolean
vmf_migration_load_properties(VmfMigration *self, GVariant *values, GError **error)
{
    const GDBusInterfaceInfo *info =
        g_dbus_interface_skeleton_get_info(G_DBUS_INTERFACE_SKELETON(self->bus));

    for (GDBusPropertyInfo **property = info->properties; *property; property++) {
        g_autoptr(GVariant) value = g_variant_lookup_value(values, (*property)->name, NULL);

        if (value && !g_variant_is_of_type(value, G_VARIANT_TYPE((*property)->signature))) {
            g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT, "%s is not sensible",
                        (*property)->name);
            return FALSE;
        }
        if (value)
            vmf_migration_set_property(self, (*property)->name, value);
    }
    return TRUE;
}

/* Strings without which it is nothing; borrowed from `values`. */
static const char *
vmf_migration_read_init(GVariant *values, VmfMigrationInit *init)
{
    const char *direction = NULL;
    gsize length;

    g_variant_lookup(values, "Id", "&s", &init->id);
    g_variant_lookup(values, "Domain", "&s", &init->domain);
    g_variant_lookup(values, "Uuid", "&s", &init->uuid);
    g_variant_lookup(values, "Peer", "&s", &init->peer);
    g_variant_lookup(values, "Engine", "&s", &init->engine);
    g_variant_lookup(values, "Direction", "&s", &direction);
    g_variant_lookup(values, VMF_MIGRATION_MAY_POSTCOPY, "b", &init->postcopy);
    init->outgoing = g_strcmp0(direction, "out") == 0;
    length = init->domain ? strlen(init->domain) : 0;
    if (!init->id || !vmf_migration_id_is_valid(init->id))
        return "Id";
    if (length == 0 || length > VMF_GUEST_NAME_MAX || strchr(init->domain, '/'))
        return "Domain";
    if (!init->uuid || !g_uuid_string_is_valid(init->uuid))
        return "Uuid";
    if (!init->peer)
        return "Peer";
    return init->outgoing || g_strcmp0(direction, "in") == 0 ? NULL : "Direction";
}

/* Where that was not kept, or is not sensible, it is what was granted. */
static void
vmf_migration_load_asked(VmfMigration *self, GVariant *values)
{
    VmfDelta *asked = &self->asked;

    if (!g_variant_lookup(values, VMF_MIGRATION_ASKED, "(btiu)", &asked->on, &asked->cache,
                          &asked->compression, &asked->expected) ||
        !vmf_delta_check_compression(asked->compression, NULL))
        vmf_migration_get_granted_delta(self, asked);
}

static void
vmf_migration_restore_kept(VmfMigration *self, GVariant *sections)
{
    GVariantIter iter;
    const char *name;
    GVariant *values;

    g_variant_iter_init(&iter, sections);
    while (g_variant_iter_loop(&iter, "{&s@a{sv}}", &name, &values))
        if (!g_str_equal(name, VMF_MIGRATION_SECTION))
            vmf_migration_keep(self, name, values);
}

VmfMigration *
vmf_migration_restore(GVariant *sections, GError **error)
{
    g_autoptr(GVariant) values =
        g_variant_lookup_value(sections, VMF_MIGRATION_SECTION, G_VARIANT_TYPE_VARDICT);
    VmfMigrationInit init = {0};
    g_autoptr(VmfMigration) self = NULL;
    const char *name = NULL;
    const char *problem = values ? vmf_migration_read_init(values, &init) : VMF_MIGRATION_SECTION;

    if (!problem && (!g_variant_lookup(values, "State", "&s", &name)))
        problem = "State";
    if (problem) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT, "%s is missing or not sensible",
                    problem);
        return NULL;
    }
    self = vmf_migration_new(&init);
    if (!vmf_migration_parse_state(name, &self->state)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT, "State '%s' is not one that runs",
                    name);
        return NULL;
    }
    if (!vmf_migration_load_properties(self, values, error))
        return NULL;
    self->progress = CLAMP(vmf_bus_migration_get_progress(self->bus), 0, 1);
    self->stalled = g_str_equal(name, "stalled");
    vmf_migration_load_asked(self, values);
    vmf_migration_restore_kept(self, sections);
    return g_steal_pointer(&self);
}
