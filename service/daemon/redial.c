/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/redial.h"

#include "daemon/peer.h"

struct VmfRedial {
    VmfPeer *peer;
    VmfWorkers *workers;
    GCancellable *cancellable; /* goes with us; who is dialling must not come back */
    guint timer;
    guint delay; /* s, before the next attempt; 0: none failed */
    gboolean dialling;
    gboolean lost; /* again, before we heard of the success */
    gboolean keep; /* what fails is tried again */
};

static gpointer
vmf_redial_thread(gpointer data)
{
    g_autoptr(GTask) task = data;
    GError *error = NULL;
    g_autoptr(GSocketAddress) remote = NULL;
    g_autoptr(GDBusConnection) link = vmf_peer_get_link(
        g_task_get_source_object(task), g_task_get_cancellable(task), &remote, &error);

    if (link)
        g_task_return_boolean(task, TRUE);
    else
        g_task_return_error(task, error);
    return NULL;
}

static gboolean vmf_redial_on_time(gpointer data);

static void
vmf_redial_plan(VmfRedial *self)
{
    double ms;

    self->delay = CLAMP(2 * self->delay, VMF_REDIAL_FIRST, VMF_REDIAL_MAX);
    ms = 1000 * self->delay * g_random_double_range(0.75, 1.25);
    g_clear_handle_id(&self->timer, g_source_remove);
    self->timer = g_timeout_add((guint)ms, vmf_redial_on_time, self);
}

static void
vmf_redial_done(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfRedial *self = data;
    g_autoptr(GError) error = NULL;
    gboolean connected = g_task_propagate_boolean(G_TASK(result), &error);

    if (g_cancellable_is_cancelled(g_task_get_cancellable(G_TASK(result))))
        return; /* and `self` is gone */
    self->dialling = FALSE;
    self->keep |= connected;
    if (connected)
        self->delay = 0;
    if (self->keep && (!connected || self->lost))
        vmf_redial_plan(self);
}

/* A thread of its own: a host that is away takes its time, and GTask's pool is everybody's. */
static void
vmf_redial_dial(VmfRedial *self)
{
    g_autoptr(GTask) task = NULL;

    if (self->dialling)
        return;
    g_clear_handle_id(&self->timer, g_source_remove);
    self->dialling = TRUE;
    self->lost = FALSE;
    task = g_task_new(self->peer, self->cancellable, vmf_redial_done, self);
    vmf_workers_add(self->workers, task);
    g_thread_unref(g_thread_new("redial", vmf_redial_thread, g_object_ref(task)));
}

static gboolean
vmf_redial_on_time(gpointer data)
{
    VmfRedial *self = data;

    self->timer = 0;
    vmf_redial_dial(self);
    return G_SOURCE_REMOVE;
}

void
vmf_redial_lost(VmfRedial *self)
{
    self->keep = TRUE;
    self->lost = TRUE;
    if (!self->dialling && self->timer == 0)
        vmf_redial_plan(self);
}

void
vmf_redial_now(VmfRedial *self)
{
    self->delay = 0;
    vmf_redial_dial(self);
}

VmfRedial *
vmf_redial_new(VmfPeer *peer, VmfWorkers *workers)
{
    VmfRedial *self = g_new0(VmfRedial, 1);

    self->peer = peer;
    self->workers = vmf_workers_ref(workers);
    self->cancellable = g_cancellable_new();
    return self;
}

void
vmf_redial_free(VmfRedial *self)
{
    g_cancellable_cancel(self->cancellable);
    g_object_unref(self->cancellable);
    g_clear_handle_id(&self->timer, g_source_remove);
    vmf_workers_unref(self->workers);
    g_free(self);
}
