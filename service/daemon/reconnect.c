/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/reconnect.h"

#include "base/error.h"
#include "base/log.h"
#include "daemon/add-link.h"

struct VmfReconnect {
    VmfMigration *migration;
    VmfPeer *peer;
    VmfPump *pump;
    VmfWorkers *workers;
    GCancellable *cancellable; /* goes with us; who is dialling must not come back */
    GVariant *lost;            /* au */
    gboolean dialling;
    guint timer;
    guint delay; /* ms, before the next attempt; 0: none failed */
};

/* ---- one attempt (a thread of its own) ---- */

typedef struct {
    VmfPeer *peer;
    VmfPump *pump;
    char *id;
    guint number;
} VmfAttempt;

static void
vmf_attempt_free(gpointer data)
{
    VmfAttempt *attempt = data;

    g_object_unref(attempt->peer);
    g_object_unref(attempt->pump);
    g_free(attempt->id);
    g_free(attempt);
}

static gpointer
vmf_reconnect_thread(gpointer data)
{
    g_autoptr(GTask) task = data;
    VmfAttempt *attempt = g_task_get_task_data(task);
    GCancellable *cancellable = g_task_get_cancellable(task);
    VmfAddLink add = {.id = attempt->id, .pump = attempt->pump, .number = attempt->number};
    g_autoptr(GDBusConnection) link = NULL;
    g_autoptr(GSocketAddress) remote = NULL;
    GError *error = NULL;

    link = vmf_peer_get_link(attempt->peer, cancellable, &remote, &error);
    add.link = link;
    add.remote = remote;
    if (link && vmf_add_link(&add, cancellable, &error))
        g_task_return_boolean(task, TRUE);
    else
        g_task_return_error(task, vmf_error_normalize(error));
    return NULL;
}

/* ---- again and again ---- */

static void vmf_reconnect_try(VmfReconnect *self);

static gboolean
vmf_reconnect_on_time(gpointer data)
{
    VmfReconnect *self = data;

    self->timer = 0;
    vmf_reconnect_try(self);
    return G_SOURCE_REMOVE;
}

static void
vmf_reconnect_plan(VmfReconnect *self)
{
    self->delay = CLAMP(2 * self->delay, VMF_RECONNECT_FIRST, VMF_RECONNECT_MAX);
    self->timer = g_timeout_add((guint)(self->delay * g_random_double_range(0.75, 1.25)),
                                vmf_reconnect_on_time, self);
}

/* Whether the destination will never say anything else. */
static gboolean
vmf_reconnect_is_refused(const GError *error)
{
    return g_error_matches(error, VMF_ERROR, VMF_ERROR_NO_SUCH_MIGRATION) ||
           g_error_matches(error, VMF_ERROR, VMF_ERROR_AGREEMENT_REFUSED);
}

static void
vmf_reconnect_give_up(VmfReconnect *self, const GError *error)
{
    g_autoptr(GError) why =
        g_error_new(VMF_ERROR, VMF_ERROR_LINK_BROKEN,
                    "the data link broke, and %s does not carry the migration any more: %s",
                    vmf_migration_get_peer(self->migration), error->message);

    vmf_pump_stop(self->pump, why);
}

static void
vmf_reconnect_tried(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfReconnect *self = data;
    g_autoptr(GError) error = NULL;
    gboolean linked = g_task_propagate_boolean(G_TASK(result), &error);

    if (g_cancellable_is_cancelled(g_task_get_cancellable(G_TASK(result))))
        return; /* and `self` is gone */
    self->dialling = FALSE;
    if (vmf_pump_has_ended(self->pump))
        return;
    if (linked) {
        self->delay = 0;
        vmf_reconnect_try(self); /* if another one is lost, or this one again */
    } else if (vmf_reconnect_is_refused(error)) {
        vmf_reconnect_give_up(self, error);
    } else {
        vmf_info(vmf_migration_get_id(self->migration), "the data link does not come back yet: %s",
                 error->message);
        vmf_reconnect_plan(self);
    }
}

static void
vmf_reconnect_try(VmfReconnect *self)
{
    g_autoptr(GTask) task = NULL;
    VmfAttempt *attempt;

    if (self->dialling || self->timer > 0 || vmf_pump_has_ended(self->pump) ||
        g_variant_n_children(self->lost) == 0)
        return;
    self->dialling = TRUE;
    vmf_migration_note_try(self->migration);
    attempt = g_new0(VmfAttempt, 1);
    attempt->peer = g_object_ref(self->peer);
    attempt->pump = g_object_ref(self->pump);
    attempt->id = g_strdup(vmf_migration_get_id(self->migration));
    g_variant_get_child(self->lost, 0, "u", &attempt->number);
    task = g_task_new(NULL, self->cancellable, vmf_reconnect_tried, self);
    g_task_set_task_data(task, attempt, vmf_attempt_free);
    /* not one of the pool's threads: a host that is away takes its time */
    vmf_workers_add(self->workers, task);
    g_thread_unref(g_thread_new("reconnect", vmf_reconnect_thread, g_object_ref(task)));
}

void
vmf_reconnect_note(VmfReconnect *self, GVariant *lost)
{
    g_clear_pointer(&self->lost, g_variant_unref);
    self->lost = g_variant_ref(lost);
    vmf_migration_set_stalled(self->migration, g_variant_n_children(lost) > 0);
    vmf_reconnect_try(self);
}

VmfReconnect *
vmf_reconnect_new(const VmfReconnectSetup *setup)
{
    VmfReconnect *self = g_new0(VmfReconnect, 1);

    self->migration = g_object_ref(setup->migration);
    self->peer = g_object_ref(setup->peer);
    self->pump = g_object_ref(setup->pump);
    self->workers = vmf_workers_ref(setup->workers);
    self->cancellable = g_cancellable_new();
    return self;
}

void
vmf_reconnect_free(VmfReconnect *self)
{
    g_cancellable_cancel(self->cancellable);
    g_object_unref(self->cancellable);
    g_clear_handle_id(&self->timer, g_source_remove);
    g_clear_pointer(&self->lost, g_variant_unref);
    vmf_workers_unref(self->workers);
    g_object_unref(self->pump);
    g_object_unref(self->peer);
    g_object_unref(self->migration);
    g_free(self);
}
