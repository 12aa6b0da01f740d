/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/vmstate.h"

#include <string.h>

#define MACHINE_MEMBER "vmschkmachine"

static VmfVmstate *parse_state(JsonObject *object, GError **error);

static void
state_free(gpointer data)
{
    VmfVmstate *state = data;

    if (!state)
        return;
    g_free(state->name);
    g_ptr_array_unref(state->fields);
    g_ptr_array_unref(state->subsections);
    g_free(state);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfVmstate, state_free)

static void
field_free(gpointer data)
{
    VmfVmstateField *field = data;

    g_free(field->name);
    state_free(field->inner);
    g_free(field);
}

static void
device_free(gpointer data)
{
    VmfVmstateDevice *device = data;

    g_free(device->name);
    state_free(device->state);
    g_free(device);
}

static VmfVmstate *
state_new(const char *name)
{
    VmfVmstate *state = g_new0(VmfVmstate, 1);

    state->name = g_strdup(name);
    state->fields = g_ptr_array_new_with_free_func(field_free);
    state->subsections = g_ptr_array_new_with_free_func(state_free);
    return state;
}

static VmfVmstateSet *
set_new(void)
{
    VmfVmstateSet *set = g_new0(VmfVmstateSet, 1);

    set->devices = g_ptr_array_new_with_free_func(device_free);
    set->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    set->by_state = g_hash_table_new(g_str_hash, g_str_equal);
    return set;
}

void
vmf_vmstate_set_free(VmfVmstateSet *set)
{
    if (!set)
        return;
    g_free(set->machine);
    g_hash_table_unref(set->by_name);
    g_hash_table_unref(set->by_state);
    g_ptr_array_unref(set->devices);
    g_free(set);
}

/* Takes `state`, which may be NULL. */
static void
add_device(VmfVmstateSet *set, const char *name, VmfVmstate *state)
{
    VmfVmstateDevice *device = g_new0(VmfVmstateDevice, 1);

    device->name = g_strdup(name);
    device->state = state;
    g_ptr_array_add(set->devices, device);
    if (!g_hash_table_contains(set->by_name, device->name))
        g_hash_table_insert(set->by_name, device->name, device);
    if (state && !g_hash_table_contains(set->by_state, state->name))
        g_hash_table_insert(set->by_state, state->name, device);
}

static gboolean
get_object(JsonObject *object, const char *name, JsonObject **ret_object, GError **error)
{
    JsonNode *node = json_object_get_member(object, name);

    *ret_object = NULL;
    if (node && !JSON_NODE_HOLDS_OBJECT(node))
        return vmf_json_broken(error, "an object \"%s\"", name);
    if (node)
        *ret_object = json_node_get_object(node);
    return TRUE;
}

static gboolean
parse_field(JsonObject *object, VmfVmstateField *field, GError **error)
{
    const char *name = NULL;
    JsonNode *optional = json_object_get_member(object, "field_exists");
    JsonObject *inner;

    if (!vmf_json_string(object, "field", &name, error) ||
        !vmf_json_number(object, "version_id", &field->version, error) ||
        !vmf_json_number(object, "size", &field->size, error) ||
        !get_object(object, "Description", &inner, error))
        return FALSE;
    field->name = g_strdup(name);
    field->optional = optional && json_node_get_value_type(optional) == G_TYPE_BOOLEAN &&
                      json_node_get_boolean(optional);
    if (inner)
        field->inner = parse_state(inner, error);
    return !inner || field->inner;
}

static VmfVmstate *
parse_state(JsonObject *object, GError **error)
{
    g_autoptr(VmfVmstate) state = NULL;
    const char *name = NULL;
    JsonArray *fields, *subsections;

    if (!vmf_json_string(object, "name", &name, error))
        return NULL;
    state = state_new(name);
    if (!vmf_json_number(object, "version_id", &state->version, error) ||
        !vmf_json_number(object, "minimum_version_id", &state->minimum, error) ||
        !vmf_json_objects(object, "Fields", &fields, error) ||
        !vmf_json_objects(object, "Subsections", &subsections, error))
        return NULL;
    if (fields && json_array_get_length(fields) > VMF_VMSTATE_FIELDS_MAX) {
        vmf_json_broken(error, "at most %d fields in \"%s\"", VMF_VMSTATE_FIELDS_MAX, name);
        return NULL;
    }
    for (guint i = 0; fields && i < json_array_get_length(fields); i++) {
        VmfVmstateField *field = g_new0(VmfVmstateField, 1);

        g_ptr_array_add(state->fields, field);
        if (!parse_field(json_array_get_object_element(fields, i), field, error))
            return NULL;
    }
    for (guint i = 0; subsections && i < json_array_get_length(subsections); i++) {
        VmfVmstate *inner = parse_state(json_array_get_object_element(subsections, i), error);

        if (!inner)
            return NULL;
        g_ptr_array_add(state->subsections, inner);
    }
    return g_steal_pointer(&state);
}

static gboolean
parse_device(VmfVmstateSet *set, const char *name, JsonNode *node, GError **error)
{
    JsonObject *description = NULL;
    VmfVmstate *state = NULL;

    if (!JSON_NODE_HOLDS_OBJECT(node))
        return vmf_json_broken(error, "an object \"%s\"", name);
    if (strcmp(name, MACHINE_MEMBER) == 0) {
        const char *machine = NULL;

        if (!vmf_json_string(json_node_get_object(node), "Name", &machine, error))
            return FALSE;
        g_free(set->machine);
        set->machine = g_strdup(machine);
        return TRUE;
    }
    if (!get_object(json_node_get_object(node), "Description", &description, error))
        return FALSE;
    if (description && !(state = parse_state(description, error))) {
        g_prefix_error(error, "device \"%s\": ", name);
        return FALSE;
    }
    add_device(set, name, state);
    return TRUE;
}

VmfVmstateSet *
vmf_vmstate_set_from_dump(const char *json, gsize length, GError **error)
{
    g_autoptr(JsonParser) parser = vmf_json_parse(json, length, VMF_DUMP_MAX, error);
    g_autoptr(VmfVmstateSet) set = NULL;
    JsonNode *root = parser ? json_parser_get_root(parser) : NULL;
    JsonObjectIter iter;
    const char *name;
    JsonNode *node;

    if (!parser)
        return NULL;
    if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
        vmf_json_broken(error, "an object, as -dump-vmstate of QEMU writes it");
        return NULL;
    }
    set = set_new();
    json_object_iter_init_ordered(&iter, json_node_get_object(root));
    while (json_object_iter_next_ordered(&iter, &name, &node))
        if (!parse_device(set, name, node, error))
            return NULL;
    if (!set->machine) {
        vmf_json_broken(error, "a member \"" MACHINE_MEMBER "\", as -dump-vmstate of QEMU writes");
        return NULL;
    }
    return g_steal_pointer(&set);
}

/* Types whose size in memory is their size on the wire, so that both sides can be compared. */
static gboolean
has_fixed_size(const char *type)
{
    return g_str_has_prefix(type, "uint") || g_str_has_prefix(type, "int") ||
           strcmp(type, "bool") == 0 || strcmp(type, "unused_buffer") == 0;
}

static VmfVmstate *
convert(const VmfStruct *from)
{
    VmfVmstate *state = state_new(from->name ? from->name : "");

    state->version = from->version;
    /* The elements of an array are one field in the code. */
    for (guint i = 0; i < from->fields->len; i += vmf_struct_elements(from, i)) {
        const VmfField *field = from->fields->pdata[i];
        VmfVmstateField *to = g_new0(VmfVmstateField, 1);

        to->name = g_strdup(field->name);
        to->size = has_fixed_size(field->type) ? field->size : 0;
        to->inner = field->inner ? convert(field->inner) : NULL;
        g_ptr_array_add(state->fields, to);
    }
    for (guint i = 0; i < from->subsections->len; i++)
        g_ptr_array_add(state->subsections, convert(from->subsections->pdata[i]));
    return state;
}

VmfVmstateSet *
vmf_vmstate_set_from_stream(const char *machine, const VmfDescription *description)
{
    VmfVmstateSet *set = set_new();

    set->machine = g_strdup(machine);
    set->sent = TRUE;
    for (guint i = 0; i < vmf_description_devices(description); i++) {
        const VmfDevice *device = vmf_description_device(description, i);

        add_device(set, device->name, device->state->name ? convert(device->state) : NULL);
    }
    return set;
}
