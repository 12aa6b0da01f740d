/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/doorway.h"

#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"

struct VmfDoorway {
    char *id;
    char *path;
    const char *kind; /* static */
    GSocket *socket;
    GSource *source;
    VmfPump *pump;
    VmfPreempt *preempt;
    guint uid; /* of QEMU */
};

static void
vmf_doorway_clear(gpointer data)
{
    VmfDoorway *self = data;

    g_clear_object(&self->socket);
    g_clear_object(&self->pump);
    g_clear_pointer(&self->preempt, vmf_preempt_unref);
    g_clear_pointer(&self->source, g_source_unref);
    g_free(self->id);
    g_free(self->path);
}

static void
vmf_doorway_unref(gpointer data)
{
    g_atomic_rc_box_release_full(data, vmf_doorway_clear);
}

static gboolean
vmf_doorway_admits(VmfDoorway *self, GSocket *socket)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GCredentials) credentials = g_socket_get_credentials(socket, &error);
    uid_t uid = credentials ? g_credentials_get_unix_user(credentials, &error) : (uid_t)-1;

    if (error) {
        vmf_warn(self->id, "%s: who connects cannot be told: %s", self->path, error->message);
        return FALSE;
    }
    if (uid == 0 || uid == self->uid || uid == geteuid())
        return TRUE;
    vmf_warn(self->id, "%s: user %u may not connect", self->path, (guint)uid);
    return FALSE;
}

static gboolean
vmf_doorway_on_ready(GSocket *socket, GIOCondition condition, gpointer data)
{
    VmfDoorway *self = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GSocket) connection = g_socket_accept(socket, NULL, &error);

    if (!connection) {
        if (!g_error_matches(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
            vmf_warn(self->id, "%s: %s", self->path, error->message);
        return G_SOURCE_CONTINUE;
    }
    if (!vmf_doorway_admits(self, connection))
        return G_SOURCE_CONTINUE;
    if (!self->preempt || !vmf_preempt_take(self->preempt, connection))
        vmf_pump_attach_channel(self->pump, self->kind, 0, connection);
    return G_SOURCE_CONTINUE;
}

static gboolean
vmf_doorway_bind(VmfDoorway *self, guint gid, GError **error)
{
    g_autofree char *directory = g_path_get_dirname(self->path);
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(self->path);

    self->socket =
        g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, error);
    if (!self->socket)
        return FALSE;
    (void)g_mkdir(directory, 0711);
    (void)g_unlink(self->path);
    if (!g_socket_bind(self->socket, address, FALSE, error) ||
        !g_socket_listen(self->socket, error))
        return FALSE;
    /* Between bind and here only root could connect, and the umask keeps it so. */
    if (g_chmod(self->path, 0600) == 0 && chown(self->path, self->uid, gid) == 0)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_FAILED, "%s: %s", self->path, g_strerror(errno));
    return FALSE;
}

VmfDoorway *
vmf_doorway_open(const char *path, const char *kind, VmfPump *pump, const char *id, VmfOwner *owner,
                 VmfPreempt *preempt, GError **error)
{
    VmfDoorway *self = g_atomic_rc_box_new0(VmfDoorway);
    guint gid = 0;

    self->id = g_strdup(id);
    self->path = g_strdup(path);
    self->kind = kind;
    self->pump = g_object_ref(pump);
    self->preempt = preempt ? vmf_preempt_ref(preempt) : NULL;
    if (!vmf_owner_get(owner, &self->uid, &gid, error) || !vmf_doorway_bind(self, gid, error)) {
        vmf_doorway_unref(self);
        return NULL;
    }
    g_socket_set_blocking(self->socket, FALSE);
    self->source = g_socket_create_source(self->socket, G_IO_IN, NULL);
    g_source_set_callback(self->source, G_SOURCE_FUNC(vmf_doorway_on_ready),
                          g_atomic_rc_box_acquire(self), vmf_doorway_unref);
    g_source_attach(self->source, NULL);
    return self;
}

void
vmf_doorway_close(VmfDoorway *self)
{
    g_source_destroy(self->source);
    (void)g_unlink(self->path);
    vmf_doorway_unref(self);
}
