/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/doorway.h"

#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"

/* Where libvirt's QEMU driver notes which process runs a guest. */
#define VMF_QEMU_PID_FILE "/run/libvirt/qemu/%s.pid"

struct VmfDoorway {
    VmfDoorwaySetup setup; /* its strings are ours */
    GSocket *socket;
    GSource *source;
    ino_t inode; /* of the socket in the file system */
};

static void
vmf_doorway_clear(gpointer data)
{
    VmfDoorway *self = data;

    g_clear_object(&self->socket);
    g_clear_pointer(&self->source, g_source_unref);
    if (self->setup.release)
        self->setup.release(self->setup.data);
    g_free((char *)self->setup.path);
    g_free((char *)self->setup.id);
    g_free((char *)self->setup.guest);
}

static void
vmf_doorway_unref(gpointer data)
{
    g_atomic_rc_box_release_full(data, vmf_doorway_clear);
}

static gboolean
vmf_process_runs_guest(pid_t pid, const char *guest)
{
    g_autofree char *file = g_strdup_printf(VMF_QEMU_PID_FILE, guest);
    g_autofree char *text = NULL;

    return g_file_get_contents(file, &text, NULL, NULL) &&
           g_ascii_strtoll(text, NULL, 10) == (gint64)pid;
}

static gboolean
vmf_doorway_admits(VmfDoorway *self, GSocket *socket)
{
    const VmfDoorwaySetup *setup = &self->setup;
    g_autoptr(GError) error = NULL;
    g_autoptr(GCredentials) credentials = g_socket_get_credentials(socket, &error);
    uid_t uid = credentials ? g_credentials_get_unix_user(credentials, &error) : (uid_t)-1;

    if (error) {
        vmf_warn(setup->id, "%s: who connects cannot be told: %s", setup->path, error->message);
        return FALSE;
    }
    if (uid == 0 || uid == geteuid() ||
        (uid == setup->uid &&
         (!setup->guest ||
          vmf_process_runs_guest(g_credentials_get_unix_pid(credentials, NULL), setup->guest))))
        return TRUE;
    vmf_warn(setup->id, "%s: process %d of user %u may not connect", setup->path,
             (int)g_credentials_get_unix_pid(credentials, NULL), (guint)uid);
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
            vmf_warn(self->setup.id, "%s: %s", self->setup.path, error->message);
        return G_SOURCE_CONTINUE;
    }
    if (vmf_doorway_admits(self, connection))
        self->setup.taken(self->setup.data, self->setup.kind, connection);
    return G_SOURCE_CONTINUE;
}

static gboolean
vmf_doorway_bind(VmfDoorway *self, GError **error)
{
    const char *path = self->setup.path;
    g_autofree char *directory = g_path_get_dirname(path);
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);
    GError *problem = NULL;
    GStatBuf info;

    self->socket =
        g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, error);
    if (!self->socket)
        return FALSE;
    (void)g_mkdir(directory, 0711);
    (void)g_unlink(path);
    if (!g_socket_bind(self->socket, address, FALSE, &problem) ||
        !g_socket_listen(self->socket, &problem)) {
        g_propagate_prefixed_error(error, vmf_error_normalize(problem), "%s: ", path);
        return FALSE;
    }
    /* Between bind and here only root could connect, and the umask keeps it so. */
    if (g_chmod(path, 0600) == 0 && chown(path, self->setup.uid, self->setup.gid) == 0 &&
        g_lstat(path, &info) == 0) {
        self->inode = info.st_ino;
        return TRUE;
    }
    return vmf_error_set_errno(error, path);
}

VmfDoorway *
vmf_doorway_open(const VmfDoorwaySetup *setup, GError **error)
{
    VmfDoorway *self = g_atomic_rc_box_new0(VmfDoorway);

    self->setup = *setup;
    self->setup.path = g_strdup(setup->path);
    self->setup.id = g_strdup(setup->id);
    self->setup.guest = g_strdup(setup->guest);
    if (!vmf_doorway_bind(self, error)) {
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
    GStatBuf info;

    g_source_destroy(self->source);
    if (g_lstat(self->setup.path, &info) == 0 && info.st_ino == self->inode)
        (void)g_unlink(self->setup.path);
    vmf_doorway_unref(self);
}
