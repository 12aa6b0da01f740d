/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/manager-policy.h"

#include "daemon/authority.h"
#include "daemon/policies.h"

static void
vmf_reload_authorized(GDBusMethodInvocation *invocation, gpointer data)
{
    VmfDaemon *daemon = data;
    g_auto(GStrv) problems = vmf_policies_reload(vmf_daemon_get_policies(daemon));

    g_dbus_method_invocation_return_value(invocation, g_variant_new("(^as)", problems));
}

static gboolean
vmf_manager_on_reload(VmfBusManager *skeleton, GDBusMethodInvocation *invocation, VmfDaemon *daemon)
{
    vmf_authority_check(invocation, vmf_reload_authorized, daemon, NULL);
    return TRUE;
}

void
vmf_manager_serve_policy(VmfDaemon *daemon, VmfBusManager *skeleton)
{
    g_signal_connect(skeleton, "handle-reload-policies", G_CALLBACK(vmf_manager_on_reload), daemon);
}
