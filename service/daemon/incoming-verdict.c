/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a migration to this host ended: by the source's word, or, where that is not enough,
 * libvirt's. */
#include "daemon/incoming-private.h"

#include <libvirt/virterror.h>

#include "base/error.h"

#define VMF_VERDICT_PATIENCE 30 /* s: from the pump's end to the source's word */
#define VMF_PUMP_PATIENCE 5     /* s: from the source's word to the pump's end */

static gboolean
vmf_incoming_on_pump_late(gpointer data)
{
    VmfIncoming *self = data;

    self->timer = 0;
    if (self->pump)
        vmf_pump_stop(self->pump, self->verdict);
    return G_SOURCE_REMOVE;
}

/* ---- when the source says that it went well, and the stream did not ---- */

/* The guest is there, or libvirt cannot be asked; an error, if it is not. */
static void
vmf_incoming_verify_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    const char *uuid = vmf_migration_get_uuid(source);
    g_autoptr(virConnect) connection = vmf_libvirt_open(data, NULL);
    g_autoptr(virDomain) domain = connection ? virDomainLookupByUUIDString(connection, uuid) : NULL;
    gboolean absent = domain ? virDomainIsActive(domain) == 0
                             : connection && virGetLastErrorCode() == VIR_ERR_NO_DOMAIN;

    if (absent)
        g_task_return_new_error(task, VMF_ERROR, VMF_ERROR_LINK_BROKEN,
                                "the guest has not come to the destination");
    else
        g_task_return_boolean(task, TRUE);
}

/* What libvirt said, in ret_error; NULL if the migration is gone meanwhile. */
static VmfIncoming *
vmf_incoming_take_answer(GObject *source, GAsyncResult *result, VmfDaemon *daemon,
                         GError **ret_error)
{
    (void)g_task_propagate_boolean(G_TASK(result), ret_error);
    return vmf_daemon_find_incoming(daemon, vmf_migration_get_id(VMF_MIGRATION(source)));
}

static void
vmf_incoming_verified(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GError) error = NULL;
    VmfIncoming *self = vmf_incoming_take_answer(source, result, data, &error);

    if (self)
        vmf_incoming_decide(self, error);
}

static void
vmf_incoming_ask(VmfIncoming *self, GTaskThreadFunc ask, GAsyncReadyCallback asked)
{
    g_autoptr(GTask) task = g_task_new(self->migration, NULL, asked, self->daemon);

    vmf_incoming_set_timer(self, 0, NULL);
    g_task_set_task_data(task, g_strdup(vmf_daemon_get_config(self->daemon)->libvirt_uri), g_free);
    vmf_workers_run(vmf_daemon_get_workers(self->daemon), task, ask);
}

static void
vmf_incoming_doubt(VmfIncoming *self)
{
    self->doubted = TRUE;
    vmf_incoming_ask(self, vmf_incoming_verify_thread, vmf_incoming_verified);
}

void
vmf_incoming_finish(VmfIncoming *self, const char *name, const char *message, VmfBusLink *skeleton,
                    GDBusMethodInvocation *invocation)
{
    g_autoptr(GError) verdict = NULL;

    if (self->decided || self->finishing) {
        g_dbus_method_invocation_return_error(invocation, VMF_ERROR, VMF_ERROR_NO_SUCH_MIGRATION,
                                              "the migration is over already");
        return;
    }
    self->finishing = invocation;
    g_set_object(&self->skeleton, skeleton);
    if (!*name && self->pump_error) {
        vmf_incoming_doubt(self);
        return;
    }
    if (*name)
        verdict = g_error_new_literal(VMF_ERROR, (int)vmf_error_from_name(name), message);
    vmf_incoming_set_timer(self, VMF_PUMP_PATIENCE, vmf_incoming_on_pump_late);
    vmf_incoming_decide(self, verdict);
}

/* ---- when the source does not say how it ended ---- */

static void
vmf_incoming_ask_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    VmfMigration *migration = source;
    g_autoptr(virConnect) connection = NULL;
    g_autoptr(virDomain) domain = NULL;
    GError *error = NULL;
    int state = 0;
    int reason = 0;

    connection = vmf_libvirt_open(data, &error);
    if (connection)
        domain = virDomainLookupByUUIDString(connection, vmf_migration_get_uuid(migration));
    if (error)
        g_task_return_error(task, error);
    else if (domain && virDomainGetState(domain, &state, &reason, 0) == 0 &&
             state == VIR_DOMAIN_RUNNING && reason != VIR_DOMAIN_RUNNING_POSTCOPY &&
             reason != VIR_DOMAIN_RUNNING_POSTCOPY_FAILED)
        g_task_return_boolean(task, TRUE);
    else if (state == VIR_DOMAIN_RUNNING)
        g_task_return_new_error(task, VMF_ERROR, VMF_ERROR_LINK_BROKEN,
                                "%s fell silent, and a part of the guest's memory is still there; "
                                "go on from there with vmferry migrate --postcopy-resume",
                                vmf_migration_get_peer(migration));
    else
        g_task_return_new_error(task, VMF_ERROR, VMF_ERROR_LINK_BROKEN,
                                "%s fell silent before the guest ran here",
                                vmf_migration_get_peer(migration));
}

static void
vmf_incoming_asked(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GError) error = NULL;
    VmfIncoming *self = vmf_incoming_take_answer(source, result, data, &error);

    if (self)
        vmf_incoming_decide(self, self->pump_error && error ? self->pump_error : error);
}

static gboolean
vmf_incoming_on_silence(gpointer data)
{
    VmfIncoming *self = data;

    self->timer = 0;
    vmf_incoming_ask(self, vmf_incoming_ask_thread, vmf_incoming_asked);
    return G_SOURCE_REMOVE;
}

void
vmf_incoming_expect_verdict(VmfIncoming *self)
{
    vmf_incoming_set_timer(self, VMF_VERDICT_PATIENCE, vmf_incoming_on_silence);
}
