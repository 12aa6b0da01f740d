/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON from outside: bounded in size and depth before a recursive parser sees it, and getters that
 * say what was expected.
 *
 * Errors: VMF_ERROR_BAD_STREAM. Strings and nodes belong to the parser. Pure; any thread.
 */
#pragma once

#include <json-glib/json-glib.h>
#include <stdint.h>

#define VMF_JSON_DEPTH 64

/* NULL: no JSON, or more than `max` bytes or VMF_JSON_DEPTH levels. Free with g_object_unref(). */
JsonParser *vmf_json_parse(const char *text, gsize length, gsize max, GError **error);

/* Sets "expected ..."; always FALSE. */
gboolean vmf_json_broken(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Members that have to be there; numbers are not negative. */
gboolean vmf_json_string(JsonObject *object, const char *name, const char **ret_value,
                         GError **error);
gboolean vmf_json_number(JsonObject *object, const char *name, uint64_t *ret_value, GError **error);

/* An array of objects that may be missing: NULL then. */
gboolean vmf_json_objects(JsonObject *object, const char *name, JsonArray **ret_array,
                          GError **error);
