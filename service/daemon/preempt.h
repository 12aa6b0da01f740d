/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The source's part in QEMU's preempt channel: the second connection of a post-copy migration, on
 * which single pages pass that a processor at the destination waits for. Nothing shows what it is:
 * it is silent until the first of them.
 *
 * It gets a data link of its own, so that it does not wait behind what is on its way on the first
 * one: a ticket is asked for over the control link, the destination dialled, the pumps introduced.
 * If that cannot be done it goes over the first link, and that is logged.
 *
 * Threads: the main loop; the rest is done in a worker. Reference counted.
 */
#pragma once

#include <gio/gio.h>

#include "daemon/pump-process.h"
#include "daemon/workers.h"

typedef struct VmfPreempt VmfPreempt;

/*
 * `id`: of the migration. `link`: to the destination's daemon, which is reached at `remote`.
 * `cancellable` ends what it does.
 */
typedef struct {
    const char *id;
    GDBusConnection *link;
    GSocketAddress *remote;
    VmfPump *pump;
    VmfWorkers *workers;
    GCancellable *cancellable;
} VmfPreemptSetup;

VmfPreempt *vmf_preempt_new(const VmfPreemptSetup *setup);
VmfPreempt *vmf_preempt_ref(VmfPreempt *preempt);
void vmf_preempt_unref(VmfPreempt *preempt);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfPreempt, vmf_preempt_unref)

/* QEMU connected: it becomes a channel, at once, or when its data link is there. */
void vmf_preempt_take(VmfPreempt *preempt, GSocket *connection);
