/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QEMU's monitor protocol with an emulator that was started for it, on its standard input and
 * output. Answers are bounded in size and depth before they are parsed; events are skipped.
 *
 * Blocks; one thread. Errors: VMF_PROBE_ERROR (child.h); REFUSED is QEMU's own "error" answer.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "probe/child.h"

#define VMF_QMP_LINE_MAX (4u << 20)

/* One answer of a monitor: what it returned; NULL without an error: an event or the greeting. */
JsonNode *vmf_qmp_parse(const char *line, gsize length, GError **error);

/* Reads the greeting and leaves the negotiation mode. `child` must be running with -qmp stdio. */
gboolean vmf_qmp_greet(VmfChild *child, GError **error);

/* One command. `arguments` is taken; NULL: none. What it returned: json_node_unref(). */
JsonNode *vmf_qmp_call(VmfChild *child, const char *command, JsonObject *arguments, GError **error);
