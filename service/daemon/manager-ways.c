/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/manager-ways.h"

#include "base/error.h"
#include "base/log.h"
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
    GDBusMethodInvocation *invocation; /* to be answered; NULL: not yet allowed, or nobody asked */
} VmfSetCapture;

static void
vmf_set_capture_free(gpointer data)
{
    VmfSetCapture *set = data;

    g_object_unref(set->skeleton);
    g_free(set);
}

/* The daemon may be gone. */
static void
vmf_set_capture_on(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfSetCapture *set = data;
    g_autoptr(GError) error = NULL;

    if (vmf_capturer_turn_on_finish(result, &error))
        vmf_bus_manager_set_capture(set->skeleton, TRUE);
    if (error && set->invocation)
        g_dbus_method_invocation_return_gerror(set->invocation, error);
    else if (error)
        vmf_warn(NULL, "%s; migrations go as without vmferry", error->message);
    else if (set->invocation)
        vmf_bus_manager_complete_set_capture(set->skeleton, set->invocation);
    vmf_set_capture_free(set);
}

static void
vmf_set_capture_off(VmfSetCapture *set)
{
    vmf_capturer_turn_off(vmf_daemon_get_capturer(set->daemon));
    vmf_bus_manager_set_capture(set->skeleton, FALSE);
    vmf_bus_manager_complete_set_capture(set->skeleton, set->invocation);
    vmf_set_capture_free(set);
}

static void
vmf_set_capture_authorized(GDBusMethodInvocation *invocation, gpointer data)
{
    VmfSetCapture *set = data;
    gboolean on;

    set->invocation = invocation;
    g_variant_get(g_dbus_method_invocation_get_parameters(invocation), "(b)", &on);
    if (on)
        vmf_capturer_turn_on(vmf_daemon_get_capturer(set->daemon), vmf_set_capture_on, set);
    else
        vmf_set_capture_off(set);
}

static VmfSetCapture *
vmf_set_capture_new(VmfDaemon *daemon, VmfBusManager *skeleton)
{
    VmfSetCapture *set = g_new0(VmfSetCapture, 1);

    set->daemon = daemon;
    set->skeleton = g_object_ref(skeleton);
    return set;
}

static gboolean
vmf_manager_on_set_capture(VmfBusManager *skeleton, GDBusMethodInvocation *invocation, gboolean on,
                           VmfDaemon *daemon)
{
    vmf_authority_check(invocation, VMF_RIGHT_CONFIGURE, vmf_set_capture_authorized,
                        vmf_set_capture_new(daemon, skeleton), vmf_set_capture_free);
    return TRUE;
}

void
vmf_manager_begin_capture(GDBusInterfaceSkeleton *manager, VmfDaemon *daemon)
{
    vmf_capturer_turn_on(vmf_daemon_get_capturer(daemon), vmf_set_capture_on,
                         vmf_set_capture_new(daemon, VMF_BUS_MANAGER(manager)));
}

void
vmf_manager_serve_ways(VmfDaemon *daemon, VmfBusManager *skeleton)
{
    g_signal_connect(skeleton, "handle-set-capture", G_CALLBACK(vmf_manager_on_set_capture),
                     daemon);
    g_signal_connect(skeleton, "handle-get-socket", G_CALLBACK(vmf_manager_on_get_socket), daemon);
}
