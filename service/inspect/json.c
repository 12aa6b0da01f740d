/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inspect/json.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "stream/values.h"

/* A group being filled: an object or an array. */
typedef struct {
    JsonNode *node;
    GHashTable *again; /* name -> number of the next field of that name; NULL: none came twice */
} Level;

/* Innermost last. */
typedef struct {
    GArray *stack; /* Level */
} Builder;

static JsonNode *
number_node(uint64_t number)
{
    JsonNode *node = json_node_alloc();

    if (number <= G_MAXINT64) {
        json_node_init_int(node, (gint64)number);
    } else {
        g_autofree char *text = g_strdup_printf("0x%" G_GINT64_MODIFIER "x", number);

        json_node_init_string(node, text);
    }
    return node;
}

/* JSON is UTF-8; names of a stream are whatever they are. */
static JsonNode *
string_node(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);

    return json_node_init_string(json_node_alloc(), valid);
}

static void
set_number(JsonObject *object, const char *name, uint64_t number)
{
    json_object_set_member(object, name, number_node(number));
}

static void
set_string(JsonObject *object, const char *name, const char *text)
{
    if (text)
        json_object_set_member(object, name, string_node(text));
    else
        json_object_set_null_member(object, name);
}

static JsonNode *
hex_node(const uint8_t *bytes, uint64_t length)
{
    g_autoptr(GString) text = g_string_sized_new(2 * length + 1);

    for (uint64_t i = 0; i < length; i++)
        g_string_append_printf(text, "%02x", bytes[i]);
    return json_node_init_string(json_node_alloc(), text->str);
}

static JsonNode *
value_node(const VmfValue *value)
{
    JsonNode *node;

    switch (value->kind) {
    case VMF_VALUE_BOOL:
        return json_node_init_boolean(json_node_alloc(), value->number != 0);
    case VMF_VALUE_UNSIGNED:
        return number_node(value->number);
    case VMF_VALUE_SIGNED:
        node = json_node_alloc();
        return json_node_init_int(node, (gint64)value->number);
    default:
        return hex_node(value->bytes, value->length);
    }
}

static void
push(Builder *builder, JsonNode *node)
{
    Level level = {.node = node};

    g_array_append_val(builder->stack, level);
}

static void
pop(Builder *builder)
{
    Level *level = &g_array_index(builder->stack, Level, builder->stack->len - 1);

    g_clear_pointer(&level->again, g_hash_table_unref);
    g_array_set_size(builder->stack, builder->stack->len - 1);
}

/* The name, or the name with the first number that is free. */
static char *
free_name(Level *level, JsonObject *object, const char *name)
{
    char *key = g_utf8_make_valid(name, -1);
    g_autofree char *base = NULL;
    guint number;

    if (!json_object_has_member(object, key))
        return key;
    if (!level->again)
        level->again = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    base = key;
    number = GPOINTER_TO_UINT(g_hash_table_lookup(level->again, base));
    number = MAX(number, 2);
    key = g_strdup_printf("%s#%u", base, number);
    g_hash_table_insert(level->again, g_strdup(base), GUINT_TO_POINTER(number + 1));
    return key;
}

/* Takes `node`. */
static void
add_node(Builder *builder, const char *name, JsonNode *node)
{
    Level *level = &g_array_index(builder->stack, Level, builder->stack->len - 1);
    g_autofree char *key = NULL;
    JsonObject *object;

    if (JSON_NODE_HOLDS_ARRAY(level->node)) {
        json_array_add_element(json_node_get_array(level->node), node);
        return;
    }
    object = json_node_get_object(level->node);
    key = free_name(level, object, name);
    json_object_set_member(object, key, node);
}

static void
on_begin(VmfGroup group, const char *name, const uint8_t *bytes, uint64_t length,
         gpointer user_data)
{
    Builder *builder = user_data;
    JsonNode *node;

    if (group == VMF_GROUP_ARRAY) {
        node = json_node_init_array(json_node_alloc(), NULL);
        json_node_take_array(node, json_array_new());
    } else {
        node = json_node_init_object(json_node_alloc(), NULL);
        json_node_take_object(node, json_object_new());
    }
    add_node(builder, name, node);
    push(builder, node);
}

static void
on_end(VmfGroup group, gpointer user_data)
{
    pop(user_data);
}

static void
on_value(const char *name, const VmfValue *value, gpointer user_data)
{
    add_node(user_data, name, value_node(value));
}

static gboolean
walk_state(const VmfSurvey *survey, const VmfSurveySection *section, const VmfValueVisitor *visitor,
           Builder *builder, GError **error) /* never NULL */
{
    g_autoptr(GBytes) bytes = vmf_survey_state(survey, section, error);
    gsize length;
    const uint8_t *state;

    if (!bytes)
        return *error == NULL;
    state = g_bytes_get_data(bytes, &length);
    return vmf_values_walk(section->device->state, state, length, visitor, builder, error);
}

static JsonNode *
device_node(const VmfSurvey *survey, const VmfSurveySection *section)
{
    static const VmfValueVisitor visitor = {on_begin, on_end, on_value};
    Builder builder = {.stack = g_array_new(FALSE, FALSE, sizeof(Level))};
    JsonNode *state = json_node_init_object(json_node_alloc(), NULL);
    JsonNode *node = json_node_init_object(json_node_alloc(), NULL);
    JsonObject *object = json_object_new();
    g_autoptr(GError) error = NULL;

    json_node_take_object(state, json_object_new());
    push(&builder, state);
    set_string(object, "name", section->what.name);
    set_number(object, "instance", section->what.instance);
    set_number(object, "version", section->what.version);
    set_number(object, "section", section->what.id);
    if (!walk_state(survey, section, &visitor, &builder, &error))
        set_string(object, "error", error->message);
    json_object_set_member(object, "state", state);
    pop(&builder);
    g_array_unref(builder.stack);
    json_node_take_object(node, object);
    return node;
}

static gboolean
add_devices(JsonObject *root, const VmfSurvey *survey, const char *name)
{
    const VmfSurveyFacts *facts = vmf_survey_facts(survey);
    JsonArray *devices = json_array_new();
    gboolean found = name == NULL;

    for (guint i = 0; i < facts->sections->len; i++) {
        const VmfSurveySection *section = facts->sections->pdata[i];

        if (!section->device || (name && strcmp(section->what.name, name) != 0))
            continue;
        json_array_add_element(devices, device_node(survey, section));
        found = TRUE;
    }
    json_object_set_array_member(root, "devices", devices);
    return found;
}

static void
add_ram(JsonObject *root, const VmfSurveyFacts *facts)
{
    JsonArray *blocks = json_array_new();

    for (guint i = 0; i < facts->blocks->len; i++) {
        const VmfSurveyBlock *block = facts->blocks->pdata[i];
        JsonObject *object = json_object_new();
        JsonObject *pages = json_object_new();

        set_string(object, "name", block->block->name);
        set_number(object, "size", block->block->length);
        if (block->block->page_size)
            set_number(object, "page-size", block->block->page_size);
        if (block->block->has_guest_address)
            set_number(object, "guest-address", block->block->guest_address);
        set_number(object, "bytes", block->bytes);
        for (int kind = 0; kind < VMF_PAGE_KINDS; kind++)
            set_number(pages, vmf_page_kind_name((VmfPageKind)kind), block->pages[kind]);
        json_object_set_object_member(object, "pages", pages);
        json_array_add_object_element(blocks, object);
    }
    json_object_set_array_member(root, "ram", blocks);
}

static void
add_sections(JsonObject *root, const VmfSurveyFacts *facts)
{
    JsonArray *sections = json_array_new();

    for (guint i = 0; i < facts->sections->len; i++) {
        const VmfSurveySection *section = facts->sections->pdata[i];
        JsonObject *object = json_object_new();

        set_number(object, "id", section->what.id);
        set_string(object, "name", section->what.name);
        set_number(object, "instance", section->what.instance);
        set_number(object, "version", section->what.version);
        json_object_set_boolean_member(object, "live", section->live);
        json_object_set_boolean_member(object, "packaged", section->in_package);
        set_number(object, "offset", section->offset);
        set_number(object, "size", section->size);
        set_number(object, "parts", section->parts);
        set_string(object, "end-known-by", vmf_inspect_extent_name(section->extent));
        json_array_add_object_element(sections, object);
    }
    json_object_set_array_member(root, "sections", sections);
}

static void
add_image(JsonObject *root, const VmfImage *image)
{
    JsonObject *object = json_object_new();

    set_number(object, "version", image->version);
    json_object_set_boolean_member(object, "complete", !image->partial);
    json_object_set_boolean_member(object, "was-running", image->was_running);
    set_string(object, "compression", vmf_image_compression_name(image->compression));
    json_object_set_object_member(root, "image", object);
}

static void
add_head(JsonObject *root, const VmfSurveyFacts *facts)
{
    JsonArray *capabilities = json_array_new();
    JsonObject *commands = json_object_new();

    set_string(root, "connection", vmf_inspect_connection_name(facts->connection));
    set_number(root, "version", facts->version);
    set_number(root, "size", facts->size);
    set_string(root, "machine", facts->machine);
    set_number(root, "page-size", facts->page_size);
    json_object_set_boolean_member(root, "footers", facts->footers);
    for (guint i = 0; i < facts->capabilities->len; i++)
        json_array_add_element(capabilities, string_node(facts->capabilities->pdata[i]));
    json_object_set_array_member(root, "capabilities", capabilities);
    if (facts->has_uuid)
        json_object_set_member(root, "uuid", hex_node(facts->uuid, sizeof facts->uuid));
    for (guint i = 1; i < G_N_ELEMENTS(facts->commands); i++)
        if (facts->commands[i] > 0)
            set_number(commands, vmf_command_name((VmfCommand)i), facts->commands[i]);
    json_object_set_object_member(root, "commands", commands);
    set_number(root, "bitmap-chunks", facts->bitmap_chunks);
    set_number(root, "disk-chunks", facts->block_chunks);
    set_number(root, "multifd-flushes", facts->flushes);
    json_object_set_boolean_member(root, "described", facts->description != NULL);
    json_object_set_boolean_member(root, "state-dropped", facts->state_dropped);
}

static void
add_survey(JsonObject *root, const VmfSurvey *survey, const VmfInspectParts *parts,
           gboolean *ret_found)
{
    const VmfSurveyFacts *facts = vmf_survey_facts(survey);
    gboolean all = !parts->ram && !parts->sections && !parts->device;

    *ret_found = TRUE;
    if (all || !parts->device)
        add_head(root, facts);
    if (all || parts->ram)
        add_ram(root, facts);
    if (all || parts->sections)
        add_sections(root, facts);
    if (all || parts->device)
        *ret_found = add_devices(root, survey, parts->device);
}

static void
add_channel(JsonObject *root, const VmfChannelFacts *facts)
{
    JsonObject *methods = json_object_new();
    JsonArray *blocks = json_array_new();

    set_string(root, "connection", vmf_inspect_connection_name(VMF_CONNECTION_MULTIFD));
    set_number(root, "size", facts->size);
    if (facts->named) {
        set_number(root, "channel", facts->channel);
        json_object_set_member(root, "uuid", hex_node(facts->uuid, sizeof facts->uuid));
    }
    set_number(root, "packets", facts->packets);
    set_number(root, "syncs", facts->syncs);
    set_number(root, "payload", facts->payload);
    set_number(root, "device-packets", facts->device_packets);
    set_number(root, "device-bytes", facts->device_bytes);
    for (int method = 0; method < VMF_MULTIFD_METHODS; method++)
        if (facts->methods[method] > 0)
            set_number(methods, vmf_multifd_method_name((VmfMultifdMethod)method),
                       facts->methods[method]);
    json_object_set_object_member(root, "methods", methods);
    json_object_set_boolean_member(root, "decoded", !facts->undecoded);
    for (guint i = 0; i < facts->blocks->len; i++) {
        const VmfChannelBlock *block = facts->blocks->pdata[i];
        JsonObject *object = json_object_new();

        set_string(object, "name", block->name);
        set_number(object, "normal", block->normal);
        set_number(object, "zero", block->zero);
        json_array_add_object_element(blocks, object);
    }
    json_object_set_array_member(root, "ram", blocks);
}

char *
vmf_inspect_to_json(const VmfInspection *inspection, const VmfInspectParts *parts,
                    gboolean *ret_found)
{
    g_autoptr(JsonGenerator) generator = json_generator_new();
    g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), NULL);
    const VmfImage *image = vmf_source_image(inspection->source);
    JsonObject *root = json_object_new();

    json_node_take_object(node, root);
    if (image)
        add_image(root, image);
    if (inspection->channel) {
        add_channel(root, vmf_channel_survey_facts(inspection->channel));
        *ret_found = parts->device == NULL;
    } else {
        add_survey(root, inspection->survey, parts, ret_found);
    }
    json_generator_set_root(generator, node);
    json_generator_set_pretty(generator, TRUE);
    return json_generator_to_data(generator, NULL);
}
