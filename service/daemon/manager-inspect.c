/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/manager-inspect.h"

#include <gio/gunixfdlist.h>
#include <unistd.h>

#include "base/error.h"
#include "daemon/authority.h"
#include "daemon/inspector.h"
#include "daemon/options.h"

#define VMF_INSPECT_SECONDS 600 /* unless "timeout" says otherwise */
#define VMF_INSPECT_SECONDS_MAX 86400

/* One call, from its arrival to its answer. */
typedef struct {
    VmfInspector *inspector;
    VmfBusManager *skeleton;
    GDBusMethodInvocation *invocation; /* borrowed: it lives until it is answered */
    gboolean check;                    /* CheckState, otherwise Inspect */
    int first, second;                 /* -1: none, or taken */
    guint seconds;
    GStrvBuilder *arguments;
    GCancellable *cancellable; /* cancelled when the caller goes away */
    guint watch;
} VmfInspectCall;

static void
vmf_inspect_call_free(gpointer data)
{
    VmfInspectCall *call = data;

    g_clear_handle_id(&call->watch, g_bus_unwatch_name);
    if (call->first >= 0)
        close(call->first);
    if (call->second >= 0)
        close(call->second);
    g_strv_builder_unref(call->arguments);
    g_object_unref(call->cancellable);
    g_object_unref(call->skeleton);
    g_free(call);
}

static void
vmf_inspect_on_done(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfInspectCall *call = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) found = vmf_inspector_run_finish(result, &error);

    if (!found)
        g_dbus_method_invocation_return_gerror(call->invocation, error);
    else if (call->check)
        vmf_bus_manager_complete_check_state(call->skeleton, call->invocation, NULL, found);
    else
        vmf_bus_manager_complete_inspect(call->skeleton, call->invocation, NULL);
    vmf_inspect_call_free(call);
}

static void
vmf_inspect_on_caller_gone(GDBusConnection *connection, const char *name, gpointer data)
{
    VmfInspectCall *call = data;

    g_cancellable_cancel(call->cancellable);
}

/* ---- options ---- */

static gboolean
vmf_inspect_parse(VmfInspectCall *call, GError **error)
{
    g_autoptr(GVariant) dict =
        g_variant_get_child_value(g_dbus_method_invocation_get_parameters(call->invocation), 2);
    g_autofree char *device = NULL;
    gboolean ram = FALSE, sections = FALSE;
    const VmfOption known[] = {
        {"timeout", "u", &call->seconds},
        {"ram", "b", &ram},
        {"sections", "b", &sections},
        {"device", "s", &device},
    };

    if (!vmf_options_read(dict, known, call->check ? 1 : G_N_ELEMENTS(known), error))
        return FALSE;
    if (call->seconds < 1 || call->seconds > VMF_INSPECT_SECONDS_MAX) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                    "timeout: expected seconds from 1 to %d", VMF_INSPECT_SECONDS_MAX);
        return FALSE;
    }
    if (ram)
        g_strv_builder_add(call->arguments, "--ram");
    if (sections)
        g_strv_builder_add(call->arguments, "--sections");
    if (device)
        g_strv_builder_add_many(call->arguments, "--device", device, NULL);
    g_strv_builder_add(call->arguments, call->check ? "check" : "inspect");
    return TRUE;
}

/* ---- the calls ---- */

/* A descriptor of the message; -1 with an error. */
static int
vmf_inspect_take_fd(GDBusMethodInvocation *invocation, guint argument, GError **error)
{
    GUnixFDList *list =
        g_dbus_message_get_unix_fd_list(g_dbus_method_invocation_get_message(invocation));
    gint32 handle;
    int fd = -1;

    g_variant_get_child(g_dbus_method_invocation_get_parameters(invocation), argument, "h",
                        &handle);
    if (list && handle >= 0 && handle < g_unix_fd_list_get_length(list))
        fd = g_unix_fd_list_get(list, handle, NULL);
    if (fd < 0)
        g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                    "argument %u: expected a descriptor, and none was sent", argument + 1);
    return fd;
}

static void
vmf_inspect_authorized(GDBusMethodInvocation *invocation, gpointer data)
{
    VmfInspectCall *call = data;
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) arguments = NULL;

    call->invocation = invocation;
    call->first = vmf_inspect_take_fd(invocation, 0, &error);
    if (!error)
        call->second = vmf_inspect_take_fd(invocation, 1, &error);
    if (error || !vmf_inspect_parse(call, &error)) {
        g_dbus_method_invocation_return_gerror(invocation, error);
        vmf_inspect_call_free(call);
        return;
    }
    arguments = g_strv_builder_end(call->arguments);
    call->watch = g_bus_watch_name_on_connection(
        g_dbus_method_invocation_get_connection(invocation),
        g_dbus_method_invocation_get_sender(invocation), G_BUS_NAME_WATCHER_FLAGS_NONE, NULL,
        vmf_inspect_on_caller_gone, call, NULL);
    vmf_inspector_run(call->inspector, (const char *const *)arguments, g_steal_fd(&call->first),
                      g_steal_fd(&call->second), call->seconds, call->cancellable,
                      vmf_inspect_on_done, call);
}

static void
vmf_inspect_begin(VmfDaemon *daemon, VmfBusManager *skeleton, GDBusMethodInvocation *invocation,
                  gboolean check)
{
    VmfInspectCall *call = g_new0(VmfInspectCall, 1);

    call->inspector = vmf_daemon_get_inspector(daemon);
    call->skeleton = g_object_ref(skeleton);
    call->check = check;
    call->first = call->second = -1;
    call->seconds = VMF_INSPECT_SECONDS;
    call->arguments = g_strv_builder_new();
    call->cancellable = g_cancellable_new();
    vmf_authority_check(invocation, VMF_RIGHT_READ, vmf_inspect_authorized, call,
                        vmf_inspect_call_free);
}

static gboolean
vmf_manager_on_inspect(VmfBusManager *skeleton, GDBusMethodInvocation *invocation,
                       GUnixFDList *descriptors, GVariant *input, GVariant *output,
                       GVariant *options, VmfDaemon *daemon)
{
    vmf_inspect_begin(daemon, skeleton, invocation, FALSE);
    return TRUE;
}

static gboolean
vmf_manager_on_check_state(VmfBusManager *skeleton, GDBusMethodInvocation *invocation,
                           GUnixFDList *descriptors, GVariant *source, GVariant *destination,
                           GVariant *options, VmfDaemon *daemon)
{
    vmf_inspect_begin(daemon, skeleton, invocation, TRUE);
    return TRUE;
}

void
vmf_manager_serve_inspect(VmfDaemon *daemon, VmfBusManager *skeleton)
{
    g_signal_connect(skeleton, "handle-inspect", G_CALLBACK(vmf_manager_on_inspect), daemon);
    g_signal_connect(skeleton, "handle-check-state", G_CALLBACK(vmf_manager_on_check_state),
                     daemon);
}
