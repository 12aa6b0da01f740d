/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/manager-ways.h"

#include "base/error.h"
#include "daemon/manager.h"
#include "daemon/sockets.h"

static gboolean
vmf_manager_on_get_socket(VmfBusManager *skeleton, GDBusMethodInvocation *invocation,
                          const char *domain, const char *name, VmfDaemon *daemon)
{
    g_autoptr(GError) error = NULL;
    VmfPeer *peer = vmf_manager_find_peer(daemon, name, &error);
    g_autofree char *path = NULL;

    if (peer)
        path = vmf_sockets_find_path(vmf_daemon_get_sockets(daemon), domain, peer, &error);
    if (path)
        vmf_bus_manager_complete_get_socket(skeleton, invocation, path);
    else
        g_dbus_method_invocation_return_gerror(invocation, error);
    return TRUE;
}

void
vmf_manager_serve_ways(VmfDaemon *daemon, VmfBusManager *skeleton)
{
    g_signal_connect(skeleton, "handle-get-socket", G_CALLBACK(vmf_manager_on_get_socket), daemon);
}
