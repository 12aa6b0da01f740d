/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/authority.h"

#include <unistd.h>

#include "base/error.h"
#include "base/log.h"

#define POLKIT "org.freedesktop.PolicyKit1"
#define MAY_INTERACT 1u    /* of CheckAuthorization */
#define PATIENCE_MS 5000   /* of a polkit that decides by itself */
#define PASSWORD_MS 300000 /* and of one that asks somebody */

typedef struct {
    GDBusMethodInvocation *invocation;
    VmfRight right;
    VmfAuthorized callback;
    gpointer data;
    GDestroyNotify free_data;
} VmfQuestion;

static const char *
vmf_right_get_id(VmfRight right)
{
    static const char *const ids[] = {
        [VMF_RIGHT_READ] = "org.vmferry1.read",
        [VMF_RIGHT_MIGRATE] = "org.vmferry1.migrate",
        [VMF_RIGHT_CANCEL] = "org.vmferry1.cancel",
        [VMF_RIGHT_CONFIGURE] = "org.vmferry1.configure",
    };

    return right < G_N_ELEMENTS(ids) ? ids[right] : NULL;
}

static void
vmf_authority_allow(VmfQuestion *question)
{
    question->callback(question->invocation, question->data);
    g_free(question);
}

/* `who` may, but the caller is somebody else. */
static void
vmf_authority_deny(VmfQuestion *question, const char *who)
{
    g_dbus_method_invocation_return_error(
        question->invocation, VMF_ERROR, VMF_ERROR_NOT_AUTHORIZED, "only %s may call %s", who,
        g_dbus_method_invocation_get_method_name(question->invocation));
    if (question->free_data)
        question->free_data(question->data);
    g_free(question);
}

static gboolean
vmf_authority_is_no_polkit(const GError *error)
{
    return g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN) ||
           g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_NAME_HAS_NO_OWNER);
}

static void
vmf_authority_on_polkit(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfQuestion *question = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) answer =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
    g_autofree char *who = NULL;
    gboolean may = FALSE;

    if (answer)
        g_variant_get(answer, "((bb@a{ss}))", &may, NULL, NULL);
    else if (!vmf_authority_is_no_polkit(error))
        vmf_warn(NULL, "polkit did not answer for %s: %s", vmf_right_get_id(question->right),
                 error->message);
    if (may) {
        vmf_authority_allow(question);
        return;
    }
    if (answer)
        who = g_strdup_printf("root and those whom polkit allows %s",
                              vmf_right_get_id(question->right));
    vmf_authority_deny(question, who ? who : "root");
}

static void
vmf_authority_ask_polkit(VmfQuestion *question, GDBusConnection *bus)
{
    GDBusMessage *message = g_dbus_method_invocation_get_message(question->invocation);
    gboolean interact = (g_dbus_message_get_flags(message) &
                         G_DBUS_MESSAGE_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION) != 0;
    GVariantDict subject;

    g_variant_dict_init(&subject, NULL);
    g_variant_dict_insert(&subject, "name", "s",
                          g_dbus_method_invocation_get_sender(question->invocation));
    g_dbus_connection_call(
        bus, POLKIT, "/org/freedesktop/PolicyKit1/Authority", POLKIT ".Authority",
        "CheckAuthorization",
        g_variant_new("((s@a{sv})s@a{ss}us)", "system-bus-name", g_variant_dict_end(&subject),
                      vmf_right_get_id(question->right),
                      g_variant_new_array(G_VARIANT_TYPE("{ss}"), NULL, 0),
                      interact ? MAY_INTERACT : 0u, ""),
        G_VARIANT_TYPE("((bba{ss}))"), G_DBUS_CALL_FLAGS_NONE, interact ? PASSWORD_MS : PATIENCE_MS,
        NULL, vmf_authority_on_polkit, question);
}

static void
vmf_authority_on_user(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfQuestion *question = data;
    GDBusConnection *bus = G_DBUS_CONNECTION(source);
    g_autoptr(GVariant) answer = g_dbus_connection_call_finish(bus, result, NULL);
    guint32 uid = G_MAXUINT32;

    if (answer)
        g_variant_get(answer, "(u)", &uid);
    if (answer && (uid == 0 || uid == geteuid()))
        vmf_authority_allow(question);
    else if (answer && vmf_right_get_id(question->right))
        vmf_authority_ask_polkit(question, bus);
    else
        vmf_authority_deny(question, "root");
}

void
vmf_authority_check(GDBusMethodInvocation *invocation, VmfRight right, VmfAuthorized callback,
                    gpointer data, GDestroyNotify free_data)
{
    VmfQuestion *question = g_new0(VmfQuestion, 1);

    question->invocation = invocation;
    question->right = right;
    question->callback = callback;
    question->data = data;
    question->free_data = free_data;
    g_dbus_connection_call(
        g_dbus_method_invocation_get_connection(invocation), "org.freedesktop.DBus",
        "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionUnixUser",
        g_variant_new("(s)", g_dbus_method_invocation_get_sender(invocation)),
        G_VARIANT_TYPE("(u)"), G_DBUS_CALL_FLAGS_NONE, -1, NULL, vmf_authority_on_user, question);
}
