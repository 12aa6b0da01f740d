/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/onward.h"

#include <gio/gunixsocketaddress.h>

#include "base/error.h"
#include "base/log.h"

typedef struct {
    VmfPump *pump;
    guint channel;
    guint uid; /* of QEMU */
    char *id;
} VmfDial;

/* The folder is QEMU's: what lies there may lead to a socket that serves root only. */
static gboolean
vmf_dial_check_listener(const VmfDial *dial, GSocketConnection *connection, GError **error)
{
    g_autoptr(GCredentials) listener =
        g_socket_get_credentials(g_socket_connection_get_socket(connection), error);
    uid_t uid = listener ? g_credentials_get_unix_user(listener, error) : (uid_t)-1;

    if (uid == (uid_t)-1 || uid == dial->uid)
        return uid != (uid_t)-1;
    g_set_error(error, VMF_ERROR, VMF_ERROR_FAILED, "user %u listens there, QEMU's is %u",
                (guint)uid, dial->uid);
    return FALSE;
}

static void
vmf_dial_done(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfDial *dial = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GSocketConnection) connection =
        g_socket_client_connect_finish(G_SOCKET_CLIENT(source), result, &error);

    if (connection && vmf_dial_check_listener(dial, connection, &error)) {
        vmf_pump_answer_channel(dial->pump, dial->channel,
                                g_socket_connection_get_socket(connection));
    } else {
        vmf_warn(dial->id, "QEMU's socket does not answer: %s", error->message);
        vmf_pump_refuse_channel(dial->pump, dial->channel, error->message);
    }
    g_object_unref(dial->pump);
    g_free(dial->id);
    g_free(dial);
}

void
vmf_onward_dial(VmfPump *pump, guint channel, const char *path, guint uid, const char *id)
{
    g_autoptr(GSocketClient) client = g_socket_client_new();
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);
    VmfDial *dial = g_new0(VmfDial, 1);

    dial->pump = g_object_ref(pump);
    dial->channel = channel;
    dial->uid = uid;
    dial->id = g_strdup(id);
    g_socket_client_connect_async(client, G_SOCKET_CONNECTABLE(address), NULL, vmf_dial_done, dial);
}
