/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe/qmp.h"

#include <string.h>

#include "stream/json.h"

/* An emulator that is asked one thing at a time says little besides. */
#define EVENTS_MAX 64

static gboolean
refused(JsonNode *node, GError **error)
{
    JsonObject *object = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    const char *what = NULL;

    if (object && vmf_json_string(object, "desc", &what, NULL))
        g_set_error(error, VMF_PROBE_ERROR, VMF_PROBE_ERROR_REFUSED, "QEMU says: %s", what);
    else
        g_set_error(error, VMF_PROBE_ERROR, VMF_PROBE_ERROR_GARBAGE,
                    "an error without a description");
    return FALSE;
}

JsonNode *
vmf_qmp_parse(const char *line, gsize length, GError **error)
{
    g_autoptr(GError) problem = NULL;
    g_autoptr(JsonParser) parser = vmf_json_parse(line, length, VMF_QMP_LINE_MAX, &problem);
    JsonNode *root = parser ? json_parser_get_root(parser) : NULL;
    JsonObject *object = root && JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
    JsonNode *node;

    if (!object) {
        g_set_error(error, VMF_PROBE_ERROR, VMF_PROBE_ERROR_GARBAGE,
                    "that is no monitor of QEMU's: %s",
                    problem ? problem->message : "expected an object");
        return NULL;
    }
    if ((node = json_object_get_member(object, "error"))) {
        refused(node, error);
        return NULL;
    }
    if ((node = json_object_get_member(object, "return")))
        return json_node_copy(node);
    if (json_object_has_member(object, "event") || json_object_has_member(object, "QMP"))
        return NULL;
    g_set_error(error, VMF_PROBE_ERROR, VMF_PROBE_ERROR_GARBAGE,
                "that is no monitor of QEMU's: expected an answer");
    return NULL;
}

static JsonNode *
read_answer(VmfChild *child, GError **error)
{
    for (guint i = 0; i < EVENTS_MAX; i++) {
        g_autoptr(GError) problem = NULL;
        gsize length = 0;
        const char *line = vmf_child_read_line(child, &length, error);
        JsonNode *answer = line ? vmf_qmp_parse(line, length, &problem) : NULL;

        if (answer || !line)
            return answer;
        if (problem) {
            g_propagate_error(error, g_steal_pointer(&problem));
            return NULL;
        }
    }
    g_set_error(error, VMF_PROBE_ERROR, VMF_PROBE_ERROR_GARBAGE, "only events, and no answer");
    return NULL;
}

JsonNode *
vmf_qmp_call(VmfChild *child, const char *command, JsonObject *arguments, GError **error)
{
    g_autoptr(JsonNode) root = json_node_init_object(json_node_alloc(), NULL);
    JsonObject *object = json_object_new();
    g_autofree char *text = NULL;
    g_autofree char *line = NULL;

    json_node_take_object(root, object);
    json_object_set_string_member(object, "execute", command);
    if (arguments)
        json_object_set_object_member(object, "arguments", arguments);
    text = json_to_string(root, FALSE);
    line = g_strconcat(text, "\n", NULL);
    if (!vmf_child_write(child, line, strlen(line), error))
        return NULL;
    return read_answer(child, error);
}

gboolean
vmf_qmp_greet(VmfChild *child, GError **error)
{
    gsize length = 0;
    const char *line = vmf_child_read_line(child, &length, error);
    g_autoptr(GError) problem = NULL;
    g_autoptr(JsonNode) answer = NULL;

    if (!line)
        return FALSE;
    answer = vmf_qmp_parse(line, length, &problem);
    if (problem) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return FALSE;
    }
    g_clear_pointer(&answer, json_node_unref);
    answer = vmf_qmp_call(child, "qmp_capabilities", NULL, error);
    return answer != NULL;
}
