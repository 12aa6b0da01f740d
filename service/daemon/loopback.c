/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/loopback.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"

/* libvirt hands out its ports from the lower end. */
#define VMF_PORT_FIRST 49152
#define VMF_PORT_LAST 49215

struct VmfLoopback {
    GSocket *socket;
    GSource *source;
    guint16 port;
    guint uid;
    char *id;
    VmfLoopbackTaken taken;
    gpointer data;
};

/* As /proc/net/tcp writes an IPv4 address; FALSE for others. */
static gboolean
vmf_loopback_format(GSocketAddress *address, char ret[14])
{
    struct sockaddr_in in;

    if (!address || g_socket_address_get_family(address) != G_SOCKET_FAMILY_IPV4 ||
        !g_socket_address_to_native(address, &in, sizeof in, NULL))
        return FALSE;
    g_snprintf(ret, 14, "%08X:%04X", in.sin_addr.s_addr, ntohs(in.sin_port));
    return TRUE;
}

gboolean
vmf_loopback_find_user(GSocket *connection, guint *ret_uid)
{
    g_autoptr(GSocketAddress) here = g_socket_get_local_address(connection, NULL);
    g_autoptr(GSocketAddress) there = g_socket_get_remote_address(connection, NULL);
    g_autofree char *table = NULL;
    g_auto(GStrv) lines = NULL;
    char ours[14];
    char theirs[14];

    if (!vmf_loopback_format(here, ours) || !vmf_loopback_format(there, theirs) ||
        !g_file_get_contents("/proc/net/tcp", &table, NULL, NULL))
        return FALSE;
    lines = g_strsplit(table, "\n", -1);
    for (char **line = lines; *line; line++) {
        char local[14];
        char remote[14];
        guint uid;

        /* slot, local, remote, state, queues, timer, retransmissions, uid; from their end */
        if (sscanf(*line, " %*d: %13s %13s %*x %*x:%*x %*x:%*x %*x %u", local, remote, &uid) == 3 &&
            g_str_equal(local, theirs) && g_str_equal(remote, ours)) {
            *ret_uid = uid;
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean
vmf_loopback_admits(VmfLoopback *self, GSocket *connection)
{
    guint uid;

    if (!vmf_loopback_find_user(connection, &uid)) {
        vmf_warn(self->id, "port %u: who connects cannot be told", self->port);
        return FALSE;
    }
    if (uid == 0 || uid == self->uid || uid == geteuid())
        return TRUE;
    vmf_warn(self->id, "port %u: user %u may not connect", self->port, uid);
    return FALSE;
}

static gboolean
vmf_loopback_on_ready(GSocket *socket, GIOCondition condition, gpointer data)
{
    VmfLoopback *self = data;
    g_autoptr(GSocket) connection = g_socket_accept(socket, NULL, NULL);

    if (connection && vmf_loopback_admits(self, connection))
        self->taken(self->data, connection);
    return G_SOURCE_CONTINUE;
}

static gboolean
vmf_loopback_bind(VmfLoopback *self, GError **error)
{
    g_autoptr(GInetAddress) address = g_inet_address_new_from_string(VMF_LOOPBACK_ADDRESS);
    const guint n = VMF_PORT_LAST - VMF_PORT_FIRST + 1;
    /* another source may go to the same host: not all shall begin with the same port */
    const guint begin = (guint)g_random_int_range(0, (gint)n / 2);

    for (guint i = 0; i < n; i++) {
        guint16 port = (guint16)(VMF_PORT_LAST - (begin + i) % n);
        g_autoptr(GSocketAddress) name = g_inet_socket_address_new(address, port);

        self->socket =
            g_socket_new(G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, error);
        if (!self->socket)
            return FALSE;
        if (g_socket_bind(self->socket, name, TRUE, NULL) && g_socket_listen(self->socket, NULL)) {
            self->port = port;
            return TRUE;
        }
        g_clear_object(&self->socket);
    }
    g_set_error(error, VMF_ERROR, VMF_ERROR_LIMIT_REACHED, "no port from %u to %u is free on %s",
                VMF_PORT_FIRST, VMF_PORT_LAST, VMF_LOOPBACK_ADDRESS);
    return FALSE;
}

VmfLoopback *
vmf_loopback_open(guint uid, const char *id, VmfLoopbackTaken taken, gpointer data, GError **error)
{
    VmfLoopback *self = g_new0(VmfLoopback, 1);

    self->uid = uid;
    self->taken = taken;
    self->data = data;
    if (!vmf_loopback_bind(self, error)) {
        g_free(self);
        return NULL;
    }
    self->id = g_strdup(id);
    g_socket_set_blocking(self->socket, FALSE);
    self->source = g_socket_create_source(self->socket, G_IO_IN, NULL);
    g_source_set_callback(self->source, G_SOURCE_FUNC(vmf_loopback_on_ready), self, NULL);
    g_source_attach(self->source, NULL);
    return self;
}

void
vmf_loopback_close(VmfLoopback *self)
{
    g_source_destroy(self->source);
    g_source_unref(self->source);
    g_object_unref(self->socket);
    g_free(self->id);
    g_free(self);
}

guint16
vmf_loopback_get_port(const VmfLoopback *self)
{
    return self->port;
}
