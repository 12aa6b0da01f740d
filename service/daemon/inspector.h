/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Streams of strangers, read for the bus: each call runs one vmferry-inspect, which is confined
 * (inspect/helper.h), bounded in memory, CPU and time, and killed when one of these is spent. Only
 * so many run at once; one more is refused.
 *
 * Main loop; nothing blocks. Errors: LIMIT_REACHED (calls at once, memory), TIMED_OUT, CANCELLED,
 * FAILED (it could not be started, or died), and what vmferry-inspect says.
 */
#pragma once

#include <gio/gio.h>

#include "daemon/config.h"
#include "daemon/workers.h"

typedef struct VmfInspector VmfInspector;

/* `config` is borrowed. Calls count as workers until they are answered. */
VmfInspector *vmf_inspector_new(const VmfConfig *config, VmfWorkers *workers);

/* Kills what runs; its callbacks come soon, with CANCELLED. */
void vmf_inspector_stop(VmfInspector *inspector);
void vmf_inspector_free(VmfInspector *inspector);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfInspector, vmf_inspector_free)

/*
 * `arguments`: for vmferry-inspect. `first`, `second`: its descriptors; taken. `seconds`: how long
 * it may take, of time and of CPU.
 */
void vmf_inspector_run(VmfInspector *inspector, const char *const *arguments, int first, int second,
                       guint seconds, GCancellable *cancellable, GAsyncReadyCallback callback,
                       gpointer data);

/* What check found, a{sv}; empty after inspect. The caller's. */
GVariant *vmf_inspector_run_finish(GAsyncResult *result, GError **error);
