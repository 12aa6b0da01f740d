/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/workers.h"

struct VmfWorkers {
    int busy;
};

VmfWorkers *
vmf_workers_new(void)
{
    return g_atomic_rc_box_new0(VmfWorkers);
}

VmfWorkers *
vmf_workers_ref(VmfWorkers *self)
{
    return g_atomic_rc_box_acquire(self);
}

void
vmf_workers_unref(VmfWorkers *self)
{
    g_atomic_rc_box_release(self);
}

static void
vmf_workers_on_task_freed(gpointer data)
{
    VmfWorkers *self = data;

    if (g_atomic_int_dec_and_test(&self->busy))
        g_main_context_wakeup(NULL);
    vmf_workers_unref(self);
}

void
vmf_workers_add(VmfWorkers *self, GTask *task)
{
    g_atomic_int_inc(&self->busy);
    g_object_set_data_full(G_OBJECT(task), "vmf-workers", vmf_workers_ref(self),
                           vmf_workers_on_task_freed);
}

void
vmf_workers_run(VmfWorkers *self, GTask *task, GTaskThreadFunc function)
{
    vmf_workers_add(self, task);
    g_task_run_in_thread(task, function);
}

gboolean
vmf_workers_are_idle(VmfWorkers *self)
{
    return g_atomic_int_get(&self->busy) == 0;
}
