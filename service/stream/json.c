/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/json.h"

#include "base/error.h"

gboolean
vmf_json_broken(GError **error, const char *format, ...)
{
    g_autofree char *what = NULL;
    va_list args;

    va_start(args, format);
    what = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_STREAM, "expected %s", what);
    return FALSE;
}

/* Depth and balance of brackets. Comments, which the parser would take, could hide some. */
static gboolean
check_depth(const char *text, gsize length, GError **error)
{
    guint depth = 0;
    gboolean in_string = FALSE;

    for (gsize i = 0; i < length; i++) {
        char c = text[i];

        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = FALSE;
        } else if (c == '"') {
            in_string = TRUE;
        } else if (c == '/' || c == '#' || c == '\'') {
            return vmf_json_broken(error, "JSON without comments");
        } else if (c == '{' || c == '[') {
            if (++depth > VMF_JSON_DEPTH)
                return vmf_json_broken(error, "JSON of at most %d levels", VMF_JSON_DEPTH);
        } else if (c == '}' || c == ']') {
            if (depth-- == 0)
                return vmf_json_broken(error, "balanced JSON");
        }
    }
    return TRUE;
}

JsonParser *
vmf_json_parse(const char *text, gsize length, gsize max, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    g_autoptr(GError) local = NULL;

    if (length > max) {
        vmf_json_broken(error, "at most %" G_GSIZE_FORMAT " bytes of JSON, found %" G_GSIZE_FORMAT,
                        max, length);
        return NULL;
    }
    if (!g_utf8_validate(text, (gssize)length, NULL)) {
        vmf_json_broken(error, "JSON in UTF-8");
        return NULL;
    }
    if (!check_depth(text, length, error))
        return NULL;
    if (!json_parser_load_from_data(parser, text, (gssize)length, &local)) {
        vmf_json_broken(error, "JSON; %s", local->message);
        return NULL;
    }
    return g_steal_pointer(&parser);
}

gboolean
vmf_json_string(JsonObject *object, const char *name, const char **ret_value, GError **error)
{
    JsonNode *node = json_object_get_member(object, name);

    if (!node || json_node_get_value_type(node) != G_TYPE_STRING)
        return vmf_json_broken(error, "a string \"%s\"", name);
    *ret_value = json_node_get_string(node);
    return TRUE;
}

gboolean
vmf_json_number(JsonObject *object, const char *name, uint64_t *ret_value, GError **error)
{
    JsonNode *node = json_object_get_member(object, name);

    if (!node || json_node_get_value_type(node) != G_TYPE_INT64 || json_node_get_int(node) < 0)
        return vmf_json_broken(error, "a number \"%s\"", name);
    *ret_value = (uint64_t)json_node_get_int(node);
    return TRUE;
}

gboolean
vmf_json_objects(JsonObject *object, const char *name, JsonArray **ret_array, GError **error)
{
    JsonNode *node = json_object_get_member(object, name);

    *ret_array = NULL;
    if (!node)
        return TRUE;
    if (!JSON_NODE_HOLDS_ARRAY(node))
        return vmf_json_broken(error, "an array \"%s\"", name);
    *ret_array = json_node_get_array(node);
    for (guint i = 0; i < json_array_get_length(*ret_array); i++)
        if (!JSON_NODE_HOLDS_OBJECT(json_array_get_element(*ret_array, i)))
            return vmf_json_broken(error, "objects in \"%s\"", name);
    return TRUE;
}
