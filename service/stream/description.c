/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/description.h"

#include <string.h>
#define ELEMENT_SIZE 5 /* 0x06 and the length of the text */
#define SIZE_MAX_SANE (G_GUINT64_CONSTANT(1) << 40)

struct VmfDescription {
    uint64_t page_size;
    GPtrArray *devices; /* VmfDevice */
};

static VmfStruct *parse_struct(JsonObject *object, GError **error);

static void
struct_free(gpointer data)
{
    VmfStruct *state = data;

    if (!state)
        return;
    g_free(state->name);
    g_ptr_array_unref(state->fields);
    g_ptr_array_unref(state->subsections);
    g_free(state);
}

static void
field_free(gpointer data)
{
    VmfField *field = data;

    g_free(field->name);
    g_free(field->type);
    struct_free(field->inner);
    g_free(field);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfStruct, struct_free)

static void
device_free(gpointer data)
{
    VmfDevice *device = data;

    g_free(device->name);
    struct_free(device->state);
    g_free(device);
}

/* The struct inside a field: in `struct`, or (type tmp) in the field itself. */
static gboolean
parse_inner(VmfField *field, JsonObject *object, GError **error)
{
    JsonNode *node = json_object_get_member(object, "struct");

    if (node && !JSON_NODE_HOLDS_OBJECT(node))
        return vmf_json_broken(error, "an object \"struct\"");
    if (!node && !json_object_has_member(object, "fields"))
        return TRUE;
    field->inner = parse_struct(node ? json_node_get_object(node) : object, error);
    if (!field->inner)
        return FALSE;
    if (field->inner->size != field->size)
        return vmf_json_broken(
            error, "%" G_GUINT64_FORMAT " bytes of struct in field \"%s\" of %" G_GUINT64_FORMAT,
            field->inner->size, field->name, field->size);
    return TRUE;
}

static gboolean
parse_field(JsonObject *object, VmfField *field, GError **error)
{
    const char *text = NULL;

    if (!vmf_json_string(object, "name", &text, error))
        return FALSE;
    field->name = g_strdup(text);
    if (!vmf_json_string(object, "type", &text, error))
        return FALSE;
    field->type = g_strdup(text);
    if (!vmf_json_number(object, "size", &field->size, error))
        return FALSE;
    field->count = 1;
    field->is_array = json_object_has_member(object, "array_len");
    if (field->is_array && !vmf_json_number(object, "array_len", &field->count, error))
        return FALSE;
    field->is_element = json_object_has_member(object, "index");
    if (field->is_element && !vmf_json_number(object, "index", &field->index, error))
        return FALSE;
    if (field->size > SIZE_MAX_SANE || field->count > SIZE_MAX_SANE ||
        (field->count > 0 && field->size > SIZE_MAX_SANE / field->count))
        return vmf_json_broken(error, "a size that can be in field \"%s\"", field->name);
    return parse_inner(field, object, error);
}

static gboolean
add_size(VmfStruct *state, uint64_t size, GError **error)
{
    state->size += size;
    return state->size <= SIZE_MAX_SANE || vmf_json_broken(error, "a size that can be");
}

static gboolean
parse_fields(JsonObject *object, VmfStruct *state, GError **error)
{
    JsonArray *fields;

    if (!vmf_json_objects(object, "fields", &fields, error))
        return FALSE;
    if (fields && json_array_get_length(fields) > VMF_DESCRIPTION_FIELDS_MAX)
        return vmf_json_broken(error, "at most %d fields in a struct", VMF_DESCRIPTION_FIELDS_MAX);
    for (guint i = 0; fields && i < json_array_get_length(fields); i++) {
        VmfField *field = g_new0(VmfField, 1);

        g_ptr_array_add(state->fields, field);
        if (!parse_field(json_array_get_object_element(fields, i), field, error) ||
            !add_size(state, field->size * field->count, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
parse_subsections(JsonObject *object, VmfStruct *state, GError **error)
{
    JsonArray *subsections;

    if (!vmf_json_objects(object, "subsections", &subsections, error))
        return FALSE;
    for (guint i = 0; subsections && i < json_array_get_length(subsections); i++) {
        VmfStruct *inner = parse_struct(json_array_get_object_element(subsections, i), error);

        if (!inner)
            return FALSE;
        g_ptr_array_add(state->subsections, inner);
        if (!add_size(state, inner->size + vmf_subsection_overhead(inner), error))
            return FALSE;
    }
    return TRUE;
}

static VmfStruct *
parse_struct(JsonObject *object, GError **error)
{
    g_autoptr(VmfStruct) state = g_new0(VmfStruct, 1);
    const char *name = NULL;

    state->fields = g_ptr_array_new_with_free_func(field_free);
    state->subsections = g_ptr_array_new_with_free_func(struct_free);
    if (!vmf_json_string(object, "vmsd_name", &name, error) ||
        !vmf_json_number(object, "version", &state->version, error))
        return NULL;
    state->name = g_strdup(name);
    if (!parse_fields(object, state, error) || !parse_subsections(object, state, error))
        return NULL;
    return g_steal_pointer(&state);
}

/* Devices saved by code instead of tables have a size, and one field that is all of it. */
static VmfStruct *
parse_old_style(JsonObject *object, GError **error)
{
    g_autoptr(VmfStruct) state = g_new0(VmfStruct, 1);
    uint64_t size = 0;

    state->fields = g_ptr_array_new_with_free_func(field_free);
    state->subsections = g_ptr_array_new_with_free_func(struct_free);
    if (!vmf_json_number(object, "size", &size, error) || !parse_fields(object, state, error))
        return NULL;
    if (size != state->size) {
        vmf_json_broken(error, "fields of %" G_GUINT64_FORMAT " bytes, as the device has", size);
        return NULL;
    }
    return g_steal_pointer(&state);
}

static gboolean
parse_device(JsonObject *object, VmfDevice *device, GError **error)
{
    const char *name = NULL;
    uint64_t instance = 0;

    if (!vmf_json_string(object, "name", &name, error) ||
        !vmf_json_number(object, "instance_id", &instance, error))
        return FALSE;
    device->name = g_strdup(name);
    device->instance = (uint32_t)instance;
    if (json_object_has_member(object, "vmsd_name"))
        device->state = parse_struct(object, error);
    else
        device->state = parse_old_style(object, error);
    if (!device->state)
        g_prefix_error(error, "device \"%s\": ", name);
    return device->state != NULL;
}

static gboolean
parse_root(JsonNode *root, VmfDescription *description, GError **error)
{
    JsonObject *object;
    JsonArray *devices;

    if (!root || !JSON_NODE_HOLDS_OBJECT(root))
        return vmf_json_broken(error, "an object");
    object = json_node_get_object(root);
    if (!vmf_json_number(object, "page_size", &description->page_size, error) ||
        !vmf_json_objects(object, "devices", &devices, error))
        return FALSE;
    for (guint i = 0; devices && i < json_array_get_length(devices); i++) {
        VmfDevice *device = g_new0(VmfDevice, 1);

        g_ptr_array_add(description->devices, device);
        if (!parse_device(json_array_get_object_element(devices, i), device, error))
            return FALSE;
    }
    return TRUE;
}

VmfDescription *
vmf_description_parse(const char *json, gsize length, GError **error)
{
    g_autoptr(VmfDescription) description = g_new0(VmfDescription, 1);
    g_autoptr(JsonParser) parser = vmf_json_parse(json, length, VMF_DESCRIPTION_MAX, error);

    description->devices = g_ptr_array_new_with_free_func(device_free);
    if (!parser || !parse_root(json_parser_get_root(parser), description, error)) {
        g_prefix_error(error, "vmdescription: ");
        return NULL;
    }
    return g_steal_pointer(&description);
}

void
vmf_description_free(VmfDescription *description)
{
    if (!description)
        return;
    g_ptr_array_unref(description->devices);
    g_free(description);
}

gboolean
vmf_description_find(const uint8_t *tail, gsize length, gsize *ret_at, gsize *ret_length)
{
    static const uint8_t start[] = {0x00, 0x06}; /* end of stream, description */

    for (gsize at = 0; at + 1 + ELEMENT_SIZE < length; at++) {
        const uint8_t *found = memmem(tail + at, length - at, start, sizeof start);
        uint32_t size;

        if (!found || (gsize)(found - tail) + 1 + ELEMENT_SIZE >= length)
            return FALSE;
        at = (gsize)(found - tail);
        memcpy(&size, found + sizeof start, sizeof size);
        size = GUINT32_FROM_BE(size);
        found += 1 + ELEMENT_SIZE;
        if (size < 2 || size > length - at - 1 - ELEMENT_SIZE || memcmp(found, "{\"", 2) != 0 ||
            found[size - 1] != '}')
            continue;
        *ret_at = at + 1 + ELEMENT_SIZE;
        *ret_length = size;
        return TRUE;
    }
    return FALSE;
}

uint64_t
vmf_description_page_size(const VmfDescription *description)
{
    return description->page_size;
}

guint
vmf_description_devices(const VmfDescription *description)
{
    return description->devices->len;
}

const VmfDevice *
vmf_description_device(const VmfDescription *description, guint index)
{
    g_return_val_if_fail(index < description->devices->len, NULL);
    return description->devices->pdata[index];
}

VmfLayout *
vmf_description_layout(const VmfDescription *description)
{
    VmfLayout *layout = vmf_layout_new();

    for (guint i = 0; i < description->devices->len; i++) {
        const VmfDevice *device = description->devices->pdata[i];

        vmf_layout_add(layout, device->name, device->instance, device->state->size);
    }
    return layout;
}

guint
vmf_struct_elements(const VmfStruct *state, guint first)
{
    const VmfField *start = state->fields->pdata[first];
    guint count = 1;

    while (start->is_element && first + count < state->fields->len) {
        const VmfField *field = state->fields->pdata[first + count];

        if (strcmp(field->name, start->name) != 0 || (field->is_element && field->index == 0))
            break;
        count++;
        /* QEMU 10.0 writes the last element of some arrays without its index. */
        if (!field->is_element)
            break;
    }
    return count;
}

/* Type byte, length byte, name, version. */
uint64_t
vmf_subsection_overhead(const VmfStruct *subsection)
{
    return 6 + strlen(subsection->name);
}
