/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/captured.h"

#include "base/error.h"
#include "base/log.h"
#include "daemon/first-bytes.h"
#include "daemon/link-service.h"
#include "daemon/listeners.h"
#include "daemon/peer.h"
#include "daemon/relay.h"
#include "daemon/sockets.h"
#include "link/control.h"

#define VMF_FIND_TIMEOUT 5000 /* ms */
#define VMF_SPEAKS_FIRST 1000 /* ms: whoever says nothing until then is not QEMU */

/* Connections that wait for a peer's answer, all together. */
#define VMF_CAPTURED_MAX 256

struct VmfCapturedQueue {
    VmfDaemon *daemon; /* outlives it */
    GQueue waiting;    /* VmfCaptured; the first is being asked about */
    GCancellable *cancellable;
};

/* A connection that was led here. */
typedef struct {
    VmfCapturedQueue *queue;
    GSocketConnection *connection;
    GSocketAddress *to; /* where it was going */
    VmfPeer *peer;
    guint16 port;
    GError *problem; /* why the peer did not say whose it is; NULL: it was not asked yet */
} VmfCaptured;

static void
vmf_captured_free(gpointer data)
{
    VmfCaptured *captured = data;

    g_object_unref(captured->connection);
    g_object_unref(captured->to);
    g_clear_object(&captured->peer);
    g_clear_error(&captured->problem);
    g_free(captured);
}

static void vmf_captured_queue_next(VmfCapturedQueue *self);

/* ---- whose it is (worker) ---- */

static void
vmf_captured_ask_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    VmfCaptured *captured = data;
    GError *error = NULL;
    g_autoptr(GSocketAddress) remote = NULL;
    g_autoptr(GDBusConnection) link =
        vmf_peer_get_link(captured->peer, cancellable, &remote, &error);
    GVariant *answer = NULL;

    if (link)
        answer = g_dbus_connection_call_sync(link, NULL, VMF_LINK_OBJECT, "org.vmferry1.Link",
                                             "FindListener", g_variant_new("(q)", captured->port),
                                             G_VARIANT_TYPE("(sss)"), G_DBUS_CALL_FLAGS_NONE,
                                             VMF_FIND_TIMEOUT, cancellable, &error);
    if (answer)
        g_task_return_pointer(task, answer, (GDestroyNotify)g_variant_unref);
    else
        g_task_return_error(task, vmf_error_normalize(error));
}

/* ---- what becomes of it ---- */

static GSocket *
vmf_captured_get_socket(VmfCaptured *captured)
{
    return g_socket_connection_get_socket(captured->connection);
}

/* As if there were no rule; but a policy may want no migration without vmferry. */
static void
vmf_captured_let_go(VmfCaptured *captured, const VmfChosenPolicy *policy, const char *why)
{
    const char *peer = vmf_peer_get_config(captured->peer)->name;

    if (policy && policy->policy.fail_closed) {
        vmf_warn(NULL, "a migration to %s is stopped, as policy '%s' fails closed: %s", peer,
                 policy->name, why);
        return;
    }
    vmf_info(NULL, "a connection to port %u of %s goes on untouched: %s", captured->port, peer,
             why);
    vmf_relay_start(captured->connection, captured->to, captured->queue->cancellable);
}

/* To a peer that told which guest waits. A peer cannot name any but those that run here. */
static void
vmf_captured_carry(VmfCaptured *captured, GVariant *answer)
{
    VmfSockets *sockets = vmf_daemon_get_sockets(captured->queue->daemon);
    const char *guest, *uuid, *kind;
    g_autoptr(VmfChosenPolicy) policy = NULL;
    VmfBrought brought = {.peer = captured->peer, .origin = "capture"};

    g_variant_get(answer, "(&s&s&s)", &guest, &uuid, &kind);
    brought.name = vmf_sockets_get_name(sockets, uuid);
    brought.uuid = uuid;
    brought.kind = g_str_equal(kind, "nbd") ? "nbd" : "qemu";
    brought.socket = vmf_captured_get_socket(captured);
    policy = vmf_sockets_choose_policy(sockets, uuid, captured->peer);
    if (!brought.name || !vmf_peer_get_config(captured->peer)->may_receive)
        vmf_captured_let_go(captured, policy, "it is for no guest of this host");
    else if (policy && !(policy->policy.ways & VMF_WAY_CAPTURE))
        vmf_captured_let_go(captured, policy, "the guest's policy is against it");
    else
        vmf_sockets_take(sockets, &brought);
}

/* ---- to a peer that does not say ---- */

/* NULL, or why this engine must not carry it. */
static const char *
vmf_captured_find_obstacle(VmfCaptured *captured, const VmfChosenPolicy *policy)
{
    if (!g_error_matches(captured->problem, VMF_ERROR, VMF_ERROR_PEER_UNREACHABLE))
        return captured->problem->message; /* somebody is there, and is not gone around */
    if (!vmf_peer_get_config(captured->peer)->may_receive)
        return "this host sends no guests there (MayReceive in peers.d)";
    if (policy && !(policy->policy.ways & VMF_WAY_CAPTURE))
        return "the guest's policy is against it";
    if (policy && !(policy->policy.engines & VMF_ENGINES_ONE_SIDED))
        return "no vmferryd answers there, and the guest's policy has no engine one-sided";
    return NULL;
}

static void
vmf_captured_carry_alone(VmfCaptured *captured, const char *name)
{
    VmfSockets *sockets = vmf_daemon_get_sockets(captured->queue->daemon);
    const char *uuid = vmf_sockets_get_uuid(sockets, name);
    g_autoptr(VmfChosenPolicy) policy =
        uuid ? vmf_sockets_choose_policy(sockets, uuid, captured->peer) : NULL;
    const char *obstacle =
        uuid ? vmf_captured_find_obstacle(captured, policy) : captured->problem->message;
    g_autofree char *why = g_strdup_printf("captured, and %s", captured->problem->message);
    const VmfBrought brought = {
        .peer = captured->peer,
        .name = name,
        .uuid = uuid,
        .origin = "capture",
        .kind = "qemu",
        .socket = vmf_captured_get_socket(captured),
        .onward = captured->to,
        .why_onward = why,
    };

    if (obstacle)
        vmf_captured_let_go(captured, policy, obstacle);
    else
        vmf_sockets_take(sockets, &brought);
}

static void
vmf_captured_done(VmfCaptured *captured)
{
    VmfCapturedQueue *self = captured->queue;

    g_queue_pop_head(&self->waiting);
    vmf_captured_free(captured);
    vmf_captured_queue_next(self);
}

/* Once bytes of the stream are there, QEMU has the connection that libvirtd may have made. */
static void
vmf_captured_spoke(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfCapturedQueue *self = data;
    g_autoptr(GError) error = NULL;
    gboolean stream = vmf_first_bytes_finish(result, &error);
    VmfCaptured *captured;
    g_autoptr(GSocketAddress) end = NULL;
    g_autofree char *guest = NULL;

    if (error)
        return; /* cancelled, and `self` is gone */
    captured = g_queue_peek_head(&self->waiting);
    end = stream ? g_socket_connection_get_remote_address(captured->connection, NULL) : NULL;
    guest = end ? vmf_connection_find_guest(end) : NULL;
    if (guest)
        vmf_captured_carry_alone(captured, guest);
    else
        vmf_captured_let_go(captured, NULL, captured->problem->message);
    vmf_captured_done(captured);
}

static void
vmf_captured_asked(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfCapturedQueue *self = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) answer = g_task_propagate_pointer(G_TASK(result), &error);
    VmfCaptured *captured;

    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return; /* and `self` is gone */
    captured = g_queue_peek_head(&self->waiting);
    if (answer) {
        vmf_captured_carry(captured, answer);
        vmf_captured_done(captured);
    } else if (g_error_matches(error, VMF_ERROR, VMF_ERROR_NO_SUCH_DOMAIN)) {
        vmf_captured_let_go(captured, NULL, "no guest waits there");
        vmf_captured_done(captured);
    } else {
        captured->problem = g_steal_pointer(&error);
        vmf_first_bytes_wait(vmf_captured_get_socket(captured), VMF_SPEAKS_FIRST, self->cancellable,
                             vmf_captured_spoke, self);
    }
}

/* One question at a time, so that connections keep their order. */
static void
vmf_captured_queue_next(VmfCapturedQueue *self)
{
    VmfSockets *sockets = vmf_daemon_get_sockets(self->daemon);
    VmfCaptured *captured;
    g_autoptr(GTask) task = NULL;

    while ((captured = g_queue_peek_head(&self->waiting)) &&
           vmf_sockets_join_onward(sockets, captured->to, vmf_captured_get_socket(captured)))
        vmf_captured_free(g_queue_pop_head(&self->waiting));
    if (!captured)
        return;
    task = g_task_new(NULL, self->cancellable, vmf_captured_asked, self);
    g_task_set_task_data(task, captured, NULL);
    vmf_workers_run(vmf_daemon_get_workers(self->daemon), task, vmf_captured_ask_thread);
}

/* ---- the queue ---- */

void
vmf_captured_queue_add(VmfCapturedQueue *self, GSocketConnection *connection, GSocketAddress *to,
                       VmfPeer *peer)
{
    VmfCaptured *captured;

    if (self->waiting.length >= VMF_CAPTURED_MAX)
        return; /* a flood: dropped */
    captured = g_new0(VmfCaptured, 1);
    captured->queue = self;
    captured->connection = g_object_ref(connection);
    captured->to = g_object_ref(to);
    captured->port = g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(to));
    captured->peer = g_object_ref(peer);
    g_queue_push_tail(&self->waiting, captured);
    if (self->waiting.length == 1)
        vmf_captured_queue_next(self);
}

VmfCapturedQueue *
vmf_captured_queue_new(VmfDaemon *daemon)
{
    VmfCapturedQueue *self = g_new0(VmfCapturedQueue, 1);

    self->daemon = daemon;
    self->cancellable = g_cancellable_new();
    g_queue_init(&self->waiting);
    return self;
}

void
vmf_captured_queue_free(VmfCapturedQueue *self)
{
    g_cancellable_cancel(self->cancellable);
    g_object_unref(self->cancellable);
    g_queue_clear_full(&self->waiting, vmf_captured_free);
    g_free(self);
}
