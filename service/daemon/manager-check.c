/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/manager-check.h"

#include "base/error.h"
#include "daemon/authority.h"
#include "daemon/manager.h"
#include "daemon/options.h"
#include "daemon/peer.h"
#include "daemon/precheck.h"
#include "probe/concern.h"

typedef struct {
    VmfDaemon *daemon;
    VmfBusManager *skeleton;
    GDBusMethodInvocation *invocation;
    VmfPeer *peer;
    char *domain;
    VmfCheckOptions *options;
    gboolean maintenance; /* what SetMaintenance is to set */
} VmfCheckCall;

static void
vmf_check_call_free(gpointer data)
{
    VmfCheckCall *call = data;

    g_object_unref(call->skeleton);
    g_clear_object(&call->peer);
    g_clear_pointer(&call->options, vmf_check_options_free);
    g_free(call->domain);
    g_free(call);
}

static void
vmf_check_call_fail(VmfCheckCall *call, const GError *error)
{
    g_dbus_method_invocation_return_gerror(call->invocation, error);
    vmf_check_call_free(call);
}

static VmfCheckCall *
vmf_check_call_new(VmfDaemon *daemon, VmfBusManager *skeleton)
{
    VmfCheckCall *call = g_new0(VmfCheckCall, 1);

    call->daemon = daemon;
    call->skeleton = g_object_ref(skeleton);
    return call;
}

/* ---- Check ---- */

static void
vmf_check_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    VmfCheckCall *call = data;
    const VmfPrecheckInit init = {
        .domain = call->domain,
        .dname = call->options->dname,
        .xml = call->options->xml,
        .tls = call->options->tls,
        .postcopy = call->options->postcopy,
        .force = (const char *const *)call->options->force,
    };
    GError *error = NULL;
    GPtrArray *concerns = vmf_precheck_run(call->daemon, call->peer, &init, NULL, NULL, &error);

    if (concerns)
        g_task_return_pointer(task, concerns, (GDestroyNotify)g_ptr_array_unref);
    else
        g_task_return_error(task, vmf_error_normalize(error));
}

static void
vmf_check_done(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfCheckCall *call = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) concerns = g_task_propagate_pointer(G_TASK(result), &error);

    if (!concerns) {
        vmf_check_call_fail(call, error);
        return;
    }
    vmf_bus_manager_complete_check(call->skeleton, call->invocation,
                                   vmf_concerns_to_variant(concerns));
    vmf_check_call_free(call);
}

static void
vmf_check_authorized(GDBusMethodInvocation *invocation, gpointer data)
{
    VmfCheckCall *call = data;
    g_autoptr(GVariant) options = NULL;
    g_autoptr(GTask) task = NULL;
    g_autoptr(GError) error = NULL;
    const char *peer;

    call->invocation = invocation;
    g_variant_get(g_dbus_method_invocation_get_parameters(invocation), "(s&s@a{sv})", &call->domain,
                  &peer, &options);
    call->peer = vmf_manager_find_peer(call->daemon, peer, &error);
    if (call->peer) {
        g_object_ref(call->peer);
        call->options = vmf_check_options_parse(options, &error);
    }
    if (error) {
        vmf_check_call_fail(call, error);
        return;
    }
    task = g_task_new(NULL, NULL, vmf_check_done, call);
    g_task_set_task_data(task, call, NULL);
    vmf_workers_run(vmf_daemon_get_workers(call->daemon), task, vmf_check_thread);
}

static gboolean
vmf_manager_on_check(VmfBusManager *skeleton, GDBusMethodInvocation *invocation, const char *domain,
                     const char *peer, GVariant *options, VmfDaemon *daemon)
{
    vmf_authority_check(invocation, VMF_RIGHT_READ, vmf_check_authorized,
                        vmf_check_call_new(daemon, skeleton), vmf_check_call_free);
    return TRUE;
}

/* ---- maintenance ---- */

static void
vmf_maintenance_authorized(GDBusMethodInvocation *invocation, gpointer data)
{
    VmfCheckCall *call = data;
    g_autoptr(GError) error = NULL;

    call->invocation = invocation;
    if (!vmf_daemon_set_maintenance(call->daemon, call->maintenance, &error)) {
        vmf_check_call_fail(call, error);
        return;
    }
    vmf_bus_manager_set_maintenance(call->skeleton, call->maintenance);
    g_dbus_interface_skeleton_flush(G_DBUS_INTERFACE_SKELETON(call->skeleton));
    vmf_bus_manager_complete_set_maintenance(call->skeleton, invocation);
    vmf_check_call_free(call);
}

static gboolean
vmf_manager_on_set_maintenance(VmfBusManager *skeleton, GDBusMethodInvocation *invocation,
                               gboolean on, VmfDaemon *daemon)
{
    VmfCheckCall *call = vmf_check_call_new(daemon, skeleton);

    call->maintenance = on;
    vmf_authority_check(invocation, VMF_RIGHT_CONFIGURE, vmf_maintenance_authorized, call,
                        vmf_check_call_free);
    return TRUE;
}

void
vmf_manager_serve_check(VmfDaemon *daemon, VmfBusManager *skeleton)
{
    vmf_bus_manager_set_maintenance(skeleton, vmf_daemon_get_maintenance(daemon));
    g_signal_connect(skeleton, "handle-check", G_CALLBACK(vmf_manager_on_check), daemon);
    g_signal_connect(skeleton, "handle-set-maintenance", G_CALLBACK(vmf_manager_on_set_maintenance),
                     daemon);
}
