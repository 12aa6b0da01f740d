/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/preempt.h"

#include "base/error.h"
#include "base/log.h"
#include "daemon/add-link.h"

#define VMF_PREEMPT_LINK 1
#define VMF_PREEMPT_TURN 2 /* which of QEMU's connections it is */

struct VmfPreempt {
    char *id;
    GDBusConnection *link;
    GSocketAddress *remote;
    VmfPump *pump;
    VmfWorkers *workers;
    GCancellable *cancellable;
    guint connections; /* of QEMU's, so far */
};

VmfPreempt *
vmf_preempt_new(const VmfPreemptSetup *setup)
{
    VmfPreempt *self = g_atomic_rc_box_new0(VmfPreempt);

    self->id = g_strdup(setup->id);
    self->link = g_object_ref(setup->link);
    self->remote = g_object_ref(setup->remote);
    self->pump = g_object_ref(setup->pump);
    self->workers = vmf_workers_ref(setup->workers);
    self->cancellable = g_object_ref(setup->cancellable);
    return self;
}

VmfPreempt *
vmf_preempt_ref(VmfPreempt *self)
{
    return g_atomic_rc_box_acquire(self);
}

static void
vmf_preempt_clear(gpointer data)
{
    VmfPreempt *self = data;

    g_object_unref(self->link);
    g_object_unref(self->remote);
    g_object_unref(self->pump);
    vmf_workers_unref(self->workers);
    g_object_unref(self->cancellable);
    g_free(self->id);
}

void
vmf_preempt_unref(VmfPreempt *self)
{
    g_atomic_rc_box_release_full(self, vmf_preempt_clear);
}

/* One connection, and who is to bring it on its way. */
typedef struct {
    VmfPreempt *preempt;
    GSocket *connection;
} VmfPreemptTask;

static void
vmf_preempt_task_free(gpointer data)
{
    VmfPreemptTask *task = data;

    vmf_preempt_unref(task->preempt);
    g_object_unref(task->connection);
    g_free(task);
}

static void
vmf_preempt_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    VmfPreemptTask *work = data;
    VmfPreempt *self = work->preempt;
    const VmfAddLink add = {.id = self->id,
                            .link = self->link,
                            .remote = self->remote,
                            .pump = self->pump,
                            .number = VMF_PREEMPT_LINK};
    g_autoptr(GError) error = NULL;
    gboolean linked = vmf_add_link(&add, self->cancellable, &error);

    if (linked)
        vmf_info(self->id, "a data link for the preempt channel is up");
    else if (!g_cancellable_is_cancelled(self->cancellable))
        vmf_warn(self->id, "no data link for the preempt channel, it shares the first: %s",
                 error->message);
    vmf_pump_attach_channel(self->pump, "qemu", linked ? VMF_PREEMPT_LINK : 0, work->connection);
    g_task_return_boolean(task, linked);
}

void
vmf_preempt_take(VmfPreempt *self, GSocket *connection)
{
    g_autoptr(GTask) task = NULL;
    VmfPreemptTask *work;

    if (++self->connections != VMF_PREEMPT_TURN) {
        vmf_pump_attach_channel(self->pump, "qemu", 0, connection);
        return;
    }
    work = g_new0(VmfPreemptTask, 1);
    work->preempt = vmf_preempt_ref(self);
    work->connection = g_object_ref(connection);
    task = g_task_new(NULL, NULL, NULL, NULL);
    g_task_set_task_data(task, work, vmf_preempt_task_free);
    vmf_workers_run(self->workers, task, vmf_preempt_thread);
}
