/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/dialler.h"

#include <gio/gunixsocketaddress.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/log.h"
#include "capture/rule.h"
#include "daemon/socket-path.h"

/* A listener with a full queue: the kernel tells nobody when there is room again. */
#define VMF_FULL_RETRY 10 /* ms */
#define VMF_FULL_TRIES 500

typedef struct {
    guint channel;
    const char *kind; /* static */
} VmfWanted;

struct VmfDialler {
    VmfPump *pump;
    char *id;
    guint uid;   /* of QEMU */
    char *guest; /* QEMU waits on TCP; or NULL */
    VmfPorts range;
    GSocketAddress *there; /* where QEMU listens on another host; or NULL */
    char *paths[3];        /* by vmf_dialler_kinds; NULL: not allowed */
    GQueue wanted;         /* of VmfWanted, the first is being dialled */
    GCancellable *cancel;  /* goes with us; a dial under way must not come back */
    guint retry;
    guint tries;
};

static const char *const vmf_dialler_kinds[] = {"qemu", "nbd", "libvirt"};

static void vmf_dialler_next(VmfDialler *self);

/* The front of the queue is done with. */
static void
vmf_dialler_done(VmfDialler *self)
{
    g_free(g_queue_pop_head(&self->wanted));
    self->tries = 0;
    vmf_dialler_next(self);
}

static gboolean
vmf_dialler_on_retry(gpointer data)
{
    VmfDialler *self = data;

    self->retry = 0;
    vmf_dialler_next(self);
    return G_SOURCE_REMOVE;
}

/*
 * The folder is QEMU's: what lies there may lead to a socket that serves root only. A port was
 * looked up by its listener.
 */
static gboolean
vmf_dialler_check_listener(VmfDialler *self, const VmfWanted *wanted, GSocketConnection *connection,
                           GError **error)
{
    g_autoptr(GCredentials) listener = NULL;
    uid_t uid;

    if (G_IS_TCP_CONNECTION(connection))
        return TRUE;
    listener = g_socket_get_credentials(g_socket_connection_get_socket(connection), error);
    uid = listener ? g_credentials_get_unix_user(listener, error) : (uid_t)-1;
    if (g_str_equal(wanted->kind, "libvirt") || uid == (uid_t)-1 || uid == self->uid)
        return uid != (uid_t)-1;
    g_set_error(error, VMF_ERROR, VMF_ERROR_FAILED, "user %u listens there, QEMU's is %u",
                (guint)uid, self->uid);
    return FALSE;
}

static void
vmf_dialler_connected(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GSocketConnection) connection =
        g_socket_client_connect_finish(G_SOCKET_CLIENT(source), result, &error);
    VmfDialler *self = data;
    const VmfWanted *wanted;

    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return; /* and `self` is gone */
    wanted = g_queue_peek_head(&self->wanted);
    if (connection && vmf_dialler_check_listener(self, wanted, connection, &error)) {
        vmf_pump_answer_channel(self->pump, wanted->channel,
                                g_socket_connection_get_socket(connection));
    } else if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK) &&
               self->tries++ < VMF_FULL_TRIES) {
        self->retry = g_timeout_add(VMF_FULL_RETRY, vmf_dialler_on_retry, self);
        return;
    } else {
        vmf_warn(self->id, "channel %u: %s's socket does not answer: %s", wanted->channel,
                 wanted->kind, error->message);
        vmf_pump_refuse_channel(self->pump, wanted->channel, error->message);
    }
    vmf_dialler_done(self);
}

static const char *
vmf_dialler_find_path(VmfDialler *self, const char *kind)
{
    for (guint i = 0; i < G_N_ELEMENTS(vmf_dialler_kinds); i++)
        if (g_str_equal(kind, vmf_dialler_kinds[i]))
            return self->paths[i];
    return NULL;
}

/* Where a connection of that kind is to go; NULL: QEMU does not listen. */
static GSocketAddress *
vmf_dialler_find_address(VmfDialler *self, const char *kind)
{
    if (self->there)
        return g_object_ref(self->there);
    if (self->guest && !g_str_equal(kind, "libvirt"))
        return vmf_listener_find_address(self->guest, g_str_equal(kind, "nbd"), &self->range);
    return g_unix_socket_address_new(vmf_dialler_find_path(self, kind));
}

/* What goes to another host must not be caught on the way out. */
static void
vmf_dialler_on_event(GSocketClient *client, GSocketClientEvent event, GSocketConnectable *to,
                     GIOStream *connection, gpointer unused)
{
    if (event == G_SOCKET_CLIENT_CONNECTING) /* without the right to mark there is no capture */
        g_socket_set_option(g_socket_connection_get_socket(G_SOCKET_CONNECTION(connection)),
                            SOL_SOCKET, SO_MARK, VMF_CAPTURE_MARK, NULL);
}

static void
vmf_dialler_next(VmfDialler *self)
{
    const VmfWanted *wanted = g_queue_peek_head(&self->wanted);
    g_autoptr(GSocketClient) client = NULL;
    g_autoptr(GSocketAddress) address = NULL;

    if (!wanted)
        return;
    address = vmf_dialler_find_address(self, wanted->kind);
    if (!address) {
        vmf_warn(self->id, "channel %u: guest '%s' does not wait for one of kind '%s'",
                 wanted->channel, self->guest, wanted->kind);
        vmf_pump_refuse_channel(self->pump, wanted->channel, "QEMU does not listen there");
        vmf_dialler_done(self);
        return;
    }
    client = g_socket_client_new();
    if (self->there)
        g_signal_connect(client, "event", G_CALLBACK(vmf_dialler_on_event), NULL);
    g_socket_client_connect_async(client, G_SOCKET_CONNECTABLE(address), self->cancel,
                                  vmf_dialler_connected, self);
}

void
vmf_dialler_add(VmfDialler *self, guint channel, const char *kind)
{
    VmfWanted *wanted;

    if (!(self->there ? g_str_equal(kind, "qemu") : vmf_dialler_find_path(self, kind) != NULL)) {
        vmf_warn(self->id, "channel %u: refused, kind '%s' was not agreed on", channel, kind);
        vmf_pump_refuse_channel(self->pump, channel, "channels of that kind were not agreed on");
        return;
    }
    wanted = g_new0(VmfWanted, 1);
    wanted->channel = channel;
    for (guint i = 0; i < G_N_ELEMENTS(vmf_dialler_kinds); i++)
        if (g_str_equal(kind, vmf_dialler_kinds[i]))
            wanted->kind = vmf_dialler_kinds[i];
    g_queue_push_tail(&self->wanted, wanted);
    if (self->wanted.length == 1)
        vmf_dialler_next(self);
}

static VmfDialler *
vmf_dialler_alloc(VmfPump *pump, const char *id)
{
    VmfDialler *self = g_new0(VmfDialler, 1);

    self->pump = g_object_ref(pump);
    self->id = g_strdup(id);
    self->cancel = g_cancellable_new();
    g_queue_init(&self->wanted);
    return self;
}

VmfDialler *
vmf_dialler_new_onward(VmfPump *pump, const char *id, GSocketAddress *there)
{
    VmfDialler *self = vmf_dialler_alloc(pump, id);

    self->there = g_object_ref(there);
    return self;
}

VmfDialler *
vmf_dialler_new(VmfPump *pump, const char *id, const char *path, guint uid,
                const char *libvirt_socket, const VmfAgreement *agreement)
{
    VmfDialler *self = vmf_dialler_alloc(pump, id);

    self->uid = uid;
    self->paths[0] = g_strdup(path);
    if (vmf_agreement_has(agreement, VMF_FEATURE_NBD))
        self->paths[1] = vmf_socket_path_for_nbd(path);
    if (vmf_agreement_has(agreement, VMF_FEATURE_LIBVIRT_CHANNEL))
        self->paths[2] = g_strdup(libvirt_socket);
    return self;
}

void
vmf_dialler_use_ports(VmfDialler *self, const char *guest, const VmfPorts *range)
{
    self->guest = g_strdup(guest);
    self->range = *range;
}

void
vmf_dialler_free(VmfDialler *self)
{
    g_cancellable_cancel(self->cancel);
    g_object_unref(self->cancel);
    g_clear_object(&self->there);
    g_clear_handle_id(&self->retry, g_source_remove);
    g_queue_clear_full(&self->wanted, g_free);
    for (guint i = 0; i < G_N_ELEMENTS(self->paths); i++)
        g_free(self->paths[i]);
    g_object_unref(self->pump);
    g_free(self->guest);
    g_free(self->id);
    g_free(self);
}
