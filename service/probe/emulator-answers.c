/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe/emulator-answers.h"

#include <string.h>

#include "probe/child.h"
#include "stream/json.h"

#define LIST_MAX 4096
#define TEXT_MAX 256
#define CHILD "child<"

static gboolean
garbage(const char *what, GError **error)
{
    g_set_error(error, VMF_PROBE_ERROR, VMF_PROBE_ERROR_GARBAGE,
                "that is no answer of QEMU's: expected %s", what);
    return FALSE;
}

static guint64
number_of(JsonObject *object, const char *name)
{
    uint64_t number = 0;

    return vmf_json_number(object, name, &number, NULL) ? MIN(number, 999) : 0;
}

gboolean
vmf_answer_version(JsonNode *node, GVariantDict *dict, GError **error)
{
    JsonObject *object = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    JsonNode *inner = object ? json_object_get_member(object, "qemu") : NULL;
    JsonObject *version =
        inner && JSON_NODE_HOLDS_OBJECT(inner) ? json_node_get_object(inner) : NULL;
    const char *package = "";
    g_autofree char *cut = NULL;

    if (!version || number_of(version, "major") == 0)
        return garbage("a version", error);
    vmf_json_string(object, "package", &package, NULL);
    cut = g_utf8_substring(package, 0, MIN(g_utf8_strlen(package, -1), TEXT_MAX));
    g_variant_dict_insert(dict, "version", "u",
                          (guint32)(number_of(version, "major") * 1000000 +
                                    number_of(version, "minor") * 1000 +
                                    number_of(version, "micro")));
    g_variant_dict_insert(dict, "package", "s", cut);
    return TRUE;
}

/* An array of objects; its length is bounded. */
static JsonArray *
objects_of(JsonNode *node, const char *what, guint *ret_length, GError **error)
{
    JsonArray *array = JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;

    *ret_length = array ? json_array_get_length(array) : 0;
    if (!array || *ret_length > LIST_MAX) {
        garbage(what, error);
        return NULL;
    }
    for (guint i = 0; i < *ret_length; i++) {
        if (JSON_NODE_HOLDS_OBJECT(json_array_get_element(array, i)))
            continue;
        garbage(what, error);
        return NULL;
    }
    return array;
}

static gboolean
is_short(const char *text)
{
    return *text && strlen(text) <= TEXT_MAX;
}

/* The member `member` of each object of an array, as "as" under `key`. */
static gboolean
collect(JsonNode *node, const char *member, const char *key, GVariantDict *dict, GError **error)
{
    GVariantBuilder builder;
    guint length;
    JsonArray *array = objects_of(node, key, &length, error);

    if (!array)
        return FALSE;
    g_variant_builder_init(&builder, G_VARIANT_TYPE("as"));
    for (guint i = 0; i < length; i++) {
        const char *text;

        if (vmf_json_string(json_array_get_object_element(array, i), member, &text, NULL) &&
            is_short(text))
            g_variant_builder_add(&builder, "s", text);
    }
    g_variant_dict_insert_value(dict, key, g_variant_builder_end(&builder));
    return TRUE;
}

gboolean
vmf_answer_capabilities(JsonNode *node, GVariantDict *dict, GError **error)
{
    return collect(node, "capability", "capabilities", dict, error);
}

gboolean
vmf_answer_types(JsonNode *node, GVariantDict *dict, GError **error)
{
    return collect(node, "name", "types", dict, error);
}

gboolean
vmf_answer_parameters(JsonNode *node, GVariantDict *dict, GError **error)
{
    GVariantBuilder builder;
    JsonObjectIter iter;
    const char *name;
    JsonNode *value;

    if (!JSON_NODE_HOLDS_OBJECT(node) ||
        json_object_get_size(json_node_get_object(node)) > LIST_MAX)
        return garbage("parameters", error);
    g_variant_builder_init(&builder, G_VARIANT_TYPE("as"));
    json_object_iter_init(&iter, json_node_get_object(node));
    while (json_object_iter_next(&iter, &name, &value))
        if (is_short(name))
            g_variant_builder_add(&builder, "s", name);
    g_variant_dict_insert_value(dict, "parameters", g_variant_builder_end(&builder));
    return TRUE;
}

/* The one of that name among objects, or NULL. */
static JsonObject *
object_named(JsonArray *objects, const char *name)
{
    for (guint i = 0; objects && name && i < json_array_get_length(objects); i++) {
        JsonObject *object = json_array_get_object_element(objects, i);
        const char *found = NULL;

        if (vmf_json_string(object, "name", &found, NULL) && g_str_equal(found, name))
            return object;
    }
    return NULL;
}

/* What a type of the schema consists of: an object's members, an enumeration's values. */
static JsonArray *
members_of(JsonArray *schema, JsonObject *user, const char *type)
{
    const char *name = NULL;
    JsonObject *entry;
    JsonArray *members = NULL;

    if (!user || !vmf_json_string(user, type, &name, NULL))
        return NULL;
    entry = object_named(schema, name);
    return entry && vmf_json_objects(entry, "members", &members, NULL) ? members : NULL;
}

gboolean
vmf_answer_schema(JsonNode *node, GVariantDict *dict, GError **error)
{
    GVariantBuilder builder;
    guint length;
    JsonArray *schema = objects_of(node, "a schema", &length, error);
    JsonArray *parameters;
    JsonArray *values;

    if (!schema)
        return FALSE;
    parameters = members_of(schema, object_named(schema, "query-migrate-parameters"), "ret-type");
    values = members_of(schema, object_named(parameters, "multifd-compression"), "type");
    g_variant_builder_init(&builder, G_VARIANT_TYPE("as"));
    for (guint i = 0; values && i < MIN(json_array_get_length(values), LIST_MAX); i++) {
        const char *name;

        if (vmf_json_string(json_array_get_object_element(values, i), "name", &name, NULL) &&
            is_short(name))
            g_variant_builder_add(&builder, "s", name);
    }
    g_variant_dict_insert_value(dict, "compressions", g_variant_builder_end(&builder));
    return TRUE;
}

gboolean
vmf_answer_machines(JsonNode *node, GVariantDict *dict, GError **error)
{
    GVariantBuilder builder;
    guint length;
    JsonArray *array = objects_of(node, "machines", &length, error);

    if (!array)
        return FALSE;
    g_variant_builder_init(&builder, G_VARIANT_TYPE("a(ssb)"));
    for (guint i = 0; i < length; i++) {
        JsonObject *machine = json_array_get_object_element(array, i);
        JsonNode *flag = json_object_get_member(machine, "deprecated");
        const char *name = "";
        const char *alias = "";

        vmf_json_string(machine, "name", &name, NULL);
        vmf_json_string(machine, "alias", &alias, NULL);
        if (is_short(name))
            g_variant_builder_add(&builder, "(ssb)", name, is_short(alias) ? alias : "",
                                  flag && json_node_get_value_type(flag) == G_TYPE_BOOLEAN &&
                                      json_node_get_boolean(flag));
    }
    g_variant_dict_insert_value(dict, "machines", g_variant_builder_end(&builder));
    return TRUE;
}

char **
vmf_answer_properties(JsonNode *node, GError **error)
{
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
    g_autoptr(GVariant) names = NULL;

    if (!collect(node, "name", "properties", &dict, error))
        return NULL;
    names = g_variant_dict_lookup_value(&dict, "properties", G_VARIANT_TYPE("as"));
    return g_variant_dup_strv(names, NULL);
}

/* "child<TYPE>" -> TYPE; NULL: it is something else. */
static char *
child_type(const char *type)
{
    gsize length = strlen(type);

    if (!g_str_has_prefix(type, CHILD) || type[length - 1] != '>' || !is_short(type))
        return NULL;
    return g_strndup(type + strlen(CHILD), length - strlen(CHILD) - 1);
}

GHashTable *
vmf_answer_children(JsonNode *node, GError **error)
{
    guint length;
    JsonArray *array = objects_of(node, "properties", &length, error);
    GHashTable *children;

    if (!array)
        return NULL;
    children = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (guint i = 0; i < length; i++) {
        JsonObject *property = json_array_get_object_element(array, i);
        const char *name = "";
        const char *type = "";
        char *child;

        if (vmf_json_string(property, "name", &name, NULL) && is_short(name) &&
            vmf_json_string(property, "type", &type, NULL) && (child = child_type(type)))
            g_hash_table_replace(children, g_strdup(name), child);
    }
    return children;
}
