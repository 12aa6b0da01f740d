/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What QEMU's monitor returned, put into the facts. A binary can answer anything: what is not of
 * the right form is VMF_PROBE_ERROR_GARBAGE, what is too long is cut off. Pure; any thread.
 */
#pragma once

#include <json-glib/json-glib.h>

/* query-version; `dict` gets "version" and "package". */
gboolean vmf_answer_version(JsonNode *node, GVariantDict *dict, GError **error);

/* query-machines: "machines". */
gboolean vmf_answer_machines(JsonNode *node, GVariantDict *dict, GError **error);

/* query-migrate-capabilities: "capabilities"; query-migrate-parameters: "parameters". */
gboolean vmf_answer_capabilities(JsonNode *node, GVariantDict *dict, GError **error);
gboolean vmf_answer_parameters(JsonNode *node, GVariantDict *dict, GError **error);

/*
 * query-qmp-schema: "compressions", the values that the parameter multifd-compression takes in this
 * build of QEMU. A QEMU without that parameter has none.
 */
gboolean vmf_answer_schema(JsonNode *node, GVariantDict *dict, GError **error);

/* qom-list-types: "types". */
gboolean vmf_answer_types(JsonNode *node, GVariantDict *dict, GError **error);

/* device-list-properties: their names. */
char **vmf_answer_properties(JsonNode *node, GError **error);

/* qom-list: the children of an object, names -> types; links and values are not in it. */
GHashTable *vmf_answer_children(JsonNode *node, GError **error);
