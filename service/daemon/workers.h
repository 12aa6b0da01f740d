/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The threads that block on behalf of the daemon: on libvirt, on a peer, on a pump. They are
 * counted, so that the end of the daemon knows whether one still uses what would be freed.
 *
 * Reference counted. Any thread.
 */
#pragma once

#include <gio/gio.h>

typedef struct VmfWorkers VmfWorkers;

VmfWorkers *vmf_workers_new(void);
VmfWorkers *vmf_workers_ref(VmfWorkers *workers);
void vmf_workers_unref(VmfWorkers *workers);

/* As g_task_run_in_thread(). A task counts until its callback has run and it is freed. */
void vmf_workers_run(VmfWorkers *workers, GTask *task, GTaskThreadFunc function);

/* Counts a task that has a thread of its own. */
void vmf_workers_add(VmfWorkers *workers, GTask *task);

/* The default main context is woken up when this becomes TRUE. */
gboolean vmf_workers_are_idle(VmfWorkers *workers);
