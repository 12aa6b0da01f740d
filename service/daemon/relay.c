/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/relay.h"

#include <sys/socket.h>

#include "base/log.h"
#include "capture/rule.h"

typedef struct {
    GSocketConnection *from, *to;
    GCancellable *cancellable;
    guint directions; /* that are not over */
} VmfRelay;

typedef struct {
    VmfRelay *relay;
    GSocketConnection *from, *to;
} VmfDirection;

static void
vmf_relay_free(VmfRelay *relay)
{
    g_object_unref(relay->from);
    g_clear_object(&relay->to);
    g_object_unref(relay->cancellable);
    g_free(relay);
}

static void
vmf_relay_on_spliced(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autofree VmfDirection *direction = data;
    VmfRelay *relay = direction->relay;

    if (g_output_stream_splice_finish(G_OUTPUT_STREAM(source), result, NULL) < 0) {
        /* broken: the other direction has no use either */
        g_socket_shutdown(g_socket_connection_get_socket(direction->from), TRUE, TRUE, NULL);
        g_socket_shutdown(g_socket_connection_get_socket(direction->to), TRUE, TRUE, NULL);
    } else {
        g_socket_shutdown(g_socket_connection_get_socket(direction->to), FALSE, TRUE, NULL);
    }
    if (--relay->directions == 0)
        vmf_relay_free(relay);
}

static void
vmf_relay_splice(VmfRelay *relay, GSocketConnection *from, GSocketConnection *to)
{
    VmfDirection *direction = g_new0(VmfDirection, 1);

    direction->relay = relay;
    direction->from = from;
    direction->to = to;
    relay->directions++;
    g_output_stream_splice_async(g_io_stream_get_output_stream(G_IO_STREAM(to)),
                                 g_io_stream_get_input_stream(G_IO_STREAM(from)),
                                 G_OUTPUT_STREAM_SPLICE_NONE, G_PRIORITY_DEFAULT,
                                 relay->cancellable, vmf_relay_on_spliced, direction);
}

static void
vmf_relay_on_connected(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfRelay *relay = data;
    g_autoptr(GError) error = NULL;

    /* It fails as it would have without us: the one who dialled sees its connection close. */
    if (!g_socket_connection_connect_finish(G_SOCKET_CONNECTION(source), result, &error)) {
        vmf_debug(NULL, "a captured connection cannot go on: %s", error->message);
        vmf_relay_free(relay);
        return;
    }
    vmf_relay_splice(relay, relay->from, relay->to);
    vmf_relay_splice(relay, relay->to, relay->from);
}

void
vmf_relay_start(GSocketConnection *from, GSocketAddress *to, GCancellable *cancellable)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GSocket) socket = g_socket_new(g_socket_address_get_family(to), G_SOCKET_TYPE_STREAM,
                                             G_SOCKET_PROTOCOL_TCP, &error);
    VmfRelay *relay;

    if (!socket || !g_socket_set_option(socket, SOL_SOCKET, SO_MARK, VMF_CAPTURE_MARK, &error)) {
        vmf_warn(NULL, "a captured connection cannot go on: %s", error->message);
        return;
    }
    relay = g_new0(VmfRelay, 1);
    relay->from = g_object_ref(from);
    relay->to = g_socket_connection_factory_create_connection(socket);
    relay->cancellable = g_object_ref(cancellable);
    g_socket_connection_connect_async(relay->to, to, cancellable, vmf_relay_on_connected, relay);
}
