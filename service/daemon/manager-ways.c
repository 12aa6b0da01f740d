/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/manager-ways.h"

#include "base/error.h"
#include "daemon/authority.h"
#include "daemon/capture.h"
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

/* ---- SetCapture ---- */

typedef struct {
    VmfDaemon *daemon;
    VmfBusManager *skeleton;
} VmfSetCapture;

static void
vmf_set_capture_free(gpointer data)
{
    VmfSetCapture *set = data;

    g_object_unref(set->skeleton);
    g_free(set);
}

static void
vmf_set_capture_authorized(GDBusMethodInvocation *invocation, gpointer data)
{
    VmfSetCapture *set = data;
    VmfCapturer *capturer = vmf_daemon_get_capturer(set->daemon);
    g_autoptr(GError) error = NULL;
    gboolean on;

    g_variant_get(g_dbus_method_invocation_get_parameters(invocation), "(b)", &on);
    if (!on)
        vmf_capturer_turn_off(capturer);
    else
        vmf_capturer_turn_on(capturer, &error);
    vmf_bus_manager_set_capture(set->skeleton, vmf_capturer_is_on(capturer));
    if (error)
        g_dbus_method_invocation_return_gerror(invocation, error);
    else
        vmf_bus_manager_complete_set_capture(set->skeleton, invocation);
    vmf_set_capture_free(set);
}

static gboolean
vmf_manager_on_set_capture(VmfBusManager *skeleton, GDBusMethodInvocation *invocation, gboolean on,
                           VmfDaemon *daemon)
{
    VmfSetCapture *set = g_new0(VmfSetCapture, 1);

    set->daemon = daemon;
    set->skeleton = g_object_ref(skeleton);
    vmf_authority_check(invocation, VMF_RIGHT_CONFIGURE, vmf_set_capture_authorized, set,
                        vmf_set_capture_free);
    return TRUE;
}

void
vmf_manager_serve_ways(VmfDaemon *daemon, VmfBusManager *skeleton)
{
    vmf_bus_manager_set_capture(skeleton, vmf_daemon_get_config(daemon)->capture);
    g_signal_connect(skeleton, "handle-set-capture", G_CALLBACK(vmf_manager_on_set_capture),
                     daemon);
    g_signal_connect(skeleton, "handle-get-socket", G_CALLBACK(vmf_manager_on_get_socket), daemon);
}
