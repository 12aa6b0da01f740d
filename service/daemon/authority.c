/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/authority.h"

#include <unistd.h>

#include "base/error.h"

typedef struct {
    GDBusMethodInvocation *invocation;
    VmfAuthorized callback;
    gpointer data;
    GDestroyNotify free_data;
} VmfQuestion;

static void
vmf_authority_deny(VmfQuestion *question)
{
    g_dbus_method_invocation_return_error(
        question->invocation, VMF_ERROR, VMF_ERROR_NOT_AUTHORIZED, "only root may call %s",
        g_dbus_method_invocation_get_method_name(question->invocation));
    if (question->free_data)
        question->free_data(question->data);
}

static void
vmf_authority_on_user(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autofree VmfQuestion *question = data;
    g_autoptr(GVariant) answer =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, NULL);
    guint32 uid = G_MAXUINT32;

    if (answer)
        g_variant_get(answer, "(u)", &uid);
    if (answer && (uid == 0 || uid == geteuid()))
        question->callback(question->invocation, question->data);
    else
        vmf_authority_deny(question);
}

void
vmf_authority_check(GDBusMethodInvocation *invocation, VmfAuthorized callback, gpointer data,
                    GDestroyNotify free_data)
{
    VmfQuestion *question = g_new0(VmfQuestion, 1);

    question->invocation = invocation;
    question->callback = callback;
    question->data = data;
    question->free_data = free_data;
    g_dbus_connection_call(
        g_dbus_method_invocation_get_connection(invocation), "org.freedesktop.DBus",
        "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionUnixUser",
        g_variant_new("(s)", g_dbus_method_invocation_get_sender(invocation)),
        G_VARIANT_TYPE("(u)"), G_DBUS_CALL_FLAGS_NONE, -1, NULL, vmf_authority_on_user, question);
}
