/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/link-listener.h"

#include "base/error.h"
#include "daemon/guest.h"
#include "daemon/listeners.h"

typedef struct {
    GDBusMethodInvocation *invocation;
    char *libvirt_uri;
    VmfPorts range;
    guint16 port;
} VmfListenerQuestion;

static void
vmf_listener_question_free(gpointer data)
{
    VmfListenerQuestion *question = data;

    g_free(question->libvirt_uri);
    g_free(question);
}

static void
vmf_link_find_listener_thread(GTask *task, gpointer source, gpointer data,
                              GCancellable *cancellable)
{
    VmfListenerQuestion *question = data;
    gboolean disks = FALSE;
    g_autofree char *name = vmf_listener_find_guest(question->port, &question->range, &disks);
    GError *error = NULL;
    g_autoptr(virConnect) connection =
        name ? vmf_libvirt_open(question->libvirt_uri, &error) : NULL;
    g_autoptr(virDomain) domain = connection ? vmf_guest_lookup(connection, name, &error) : NULL;
    char uuid[VIR_UUID_STRING_BUFLEN] = "";

    if (domain && virDomainGetUUIDString(domain, uuid) == 0) {
        g_task_return_pointer(
            task, g_variant_ref_sink(g_variant_new("(sss)", name, uuid, disks ? "nbd" : "qemu")),
            (GDestroyNotify)g_variant_unref);
        return;
    }
    g_clear_error(&error);
    g_task_return_new_error(task, VMF_ERROR, VMF_ERROR_NO_SUCH_DOMAIN, "no guest waits on port %u",
                            question->port);
}

static void
vmf_link_listener_found(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfListenerQuestion *question = g_task_get_task_data(G_TASK(result));
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) found = g_task_propagate_pointer(G_TASK(result), &error);

    if (found)
        g_dbus_method_invocation_return_value(question->invocation, found);
    else
        g_dbus_method_invocation_return_gerror(question->invocation, error);
}

void
vmf_link_find_listener(VmfDaemon *daemon, guint16 port, GDBusMethodInvocation *invocation)
{
    const VmfConfig *config = vmf_daemon_get_config(daemon);
    VmfListenerQuestion *question = g_new0(VmfListenerQuestion, 1);
    g_autoptr(GTask) task = g_task_new(NULL, NULL, vmf_link_listener_found, NULL);

    question->invocation = invocation;
    question->libvirt_uri = g_strdup(config->libvirt_uri);
    question->range = config->capture_ports;
    question->port = port;
    g_task_set_task_data(task, question, vmf_listener_question_free);
    vmf_workers_run(vmf_daemon_get_workers(daemon), task, vmf_link_find_listener_thread);
}
