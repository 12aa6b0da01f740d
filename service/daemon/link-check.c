/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/link-check.h"

#include "daemon/precheck.h"

typedef struct {
    VmfDaemon *daemon;
    VmfBusLink *skeleton;
    GDBusMethodInvocation *invocation;
    GVariant *guest;
} VmfLinkCheck;

static void
vmf_link_check_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    const VmfLinkCheck *check = data;
    GError *error = NULL;
    GVariant *answer = vmf_precheck_answer(check->daemon, check->guest, &error);

    if (answer)
        g_task_return_pointer(task, g_variant_ref_sink(answer), (GDestroyNotify)g_variant_unref);
    else
        g_task_return_error(task, error);
}

static void
vmf_link_check_done(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autofree VmfLinkCheck *check = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) answer = g_task_propagate_pointer(G_TASK(result), &error);

    if (answer)
        vmf_bus_link_complete_check(check->skeleton, check->invocation, answer);
    else
        g_dbus_method_invocation_return_gerror(check->invocation, error);
    g_object_unref(check->skeleton);
    g_variant_unref(check->guest);
}

void
vmf_link_check(VmfDaemon *daemon, GVariant *guest, VmfBusLink *skeleton,
               GDBusMethodInvocation *invocation)
{
    VmfLinkCheck *check = g_new0(VmfLinkCheck, 1);
    g_autoptr(GTask) task = g_task_new(NULL, NULL, vmf_link_check_done, check);

    check->daemon = daemon;
    check->skeleton = g_object_ref(skeleton);
    check->invocation = invocation;
    check->guest = g_variant_ref(guest);
    g_task_set_task_data(task, check, NULL);
    vmf_workers_run(vmf_daemon_get_workers(daemon), task, vmf_link_check_thread);
}
