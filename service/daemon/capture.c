/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/capture.h"

#include <netinet/in.h>
/* after it: the kernel's headers have the same names, and leave them to those that came before */
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include "base/error.h"
#include "base/log.h"
#include "capture/rule.h"
#include "daemon/captured.h"
#include "daemon/peer.h"
#include "link/control.h"

struct VmfCapturer {
    VmfDaemon *daemon; /* outlives it */
    GSocketService *service;
    VmfCaptureRule *rule;
    guint16 port;
    GHashTable *addresses; /* as strings -> VmfPeer */
    VmfCapturedQueue *captured;
    GCancellable *looking; /* names are looked up, for the first time; NULL: they are not */
    GQueue waiting;        /* GTask, until that is done */
};

/* ---- what the firewall brings ---- */

/* Where it was going before the firewall turned it: SO_ORIGINAL_DST. */
static GSocketAddress *
vmf_captured_find_destination(GSocket *socket)
{
    struct sockaddr_storage to = {0};
    socklen_t size = sizeof to;
    int fd = g_socket_get_fd(socket);
    gboolean v6 = g_socket_get_family(socket) == G_SOCKET_FAMILY_IPV6;

    if (getsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IP6T_SO_ORIGINAL_DST : SO_ORIGINAL_DST,
                   &to, &size) < 0)
        return NULL;
    return g_socket_address_new_from_native(&to, size);
}

static gboolean
vmf_capturer_on_incoming(GSocketService *service, GSocketConnection *connection, GObject *source,
                         VmfCapturer *self)
{
    g_autoptr(GSocketAddress) to =
        vmf_captured_find_destination(g_socket_connection_get_socket(connection));
    g_autofree char *address = NULL;
    VmfPeer *peer;

    if (!to)
        return TRUE; /* nobody was turned here: dropped */
    address =
        g_inet_address_to_string(g_inet_socket_address_get_address(G_INET_SOCKET_ADDRESS(to)));
    peer = g_hash_table_lookup(self->addresses, address);
    if (peer) /* or it dialled us, not a peer */
        vmf_captured_queue_add(self->captured, connection, to, peer);
    return TRUE;
}

/* ---- on and off ---- */

static void
vmf_capturer_collect(VmfPeer *peer, gpointer peers)
{
    if (vmf_peer_get_config(peer)->may_receive)
        g_ptr_array_add(peers, g_object_ref(peer));
}

/* Adds the peer's addresses, as strings. */
static void
vmf_capturer_look_up(VmfPeer *peer, GHashTable *addresses, GCancellable *cancellable)
{
    g_autoptr(GResolver) resolver = g_resolver_get_default();

    for (char **address = vmf_peer_get_config(peer)->addresses; *address; address++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GSocketConnectable) parsed =
            g_network_address_parse(*address, VMF_DEFAULT_PORT, &error);
        GList *found = NULL;

        if (parsed)
            found = g_resolver_lookup_by_name(
                resolver, g_network_address_get_hostname(G_NETWORK_ADDRESS(parsed)), cancellable,
                &error);
        if (error)
            vmf_warn(NULL, "migrations to %s are not captured: %s", *address, error->message);
        for (GList *item = found; item; item = item->next)
            g_hash_table_insert(addresses, g_inet_address_to_string(item->data),
                                g_object_ref(peer));
        g_resolver_free_addresses(found);
    }
}

static void
vmf_capturer_look_up_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    GPtrArray *peers = data;
    GHashTable *addresses = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_object_unref);

    for (guint i = 0; i < peers->len; i++)
        vmf_capturer_look_up(g_ptr_array_index(peers, i), addresses, cancellable);
    g_task_return_pointer(task, addresses, (GDestroyNotify)g_hash_table_unref);
}

static gboolean
vmf_capturer_set_rule(VmfCapturer *self, GError **error)
{
    const VmfConfig *config = vmf_daemon_get_config(self->daemon);
    g_autoptr(GPtrArray) addresses = g_ptr_array_new_with_free_func(g_object_unref);
    const VmfCapture what = {addresses, config->capture_ports.first, config->capture_ports.last,
                             self->port};
    GHashTableIter iter;
    gpointer address;

    g_hash_table_iter_init(&iter, self->addresses);
    while (g_hash_table_iter_next(&iter, &address, NULL))
        g_ptr_array_add(addresses, g_inet_address_new_from_string(address));
    return vmf_capture_rule_set(self->rule, &what, error);
}

/* NULL: it is on. */
static void
vmf_capturer_answer(VmfCapturer *self, const GError *error)
{
    g_clear_object(&self->looking);
    while (self->waiting.length > 0) {
        g_autoptr(GTask) task = g_queue_pop_head(&self->waiting);

        if (error)
            g_task_return_error(task, g_error_copy(error));
        else
            g_task_return_boolean(task, TRUE);
    }
}

/* Whoever waits hears why. */
static void
vmf_capturer_stop(VmfCapturer *self, const GError *why)
{
    g_clear_pointer(&self->rule, vmf_capture_rule_free);
    if (self->service) {
        g_socket_service_stop(self->service);
        g_socket_listener_close(G_SOCKET_LISTENER(self->service));
        g_clear_object(&self->service);
    }
    if (self->looking)
        g_cancellable_cancel(self->looking);
    vmf_capturer_answer(self, why);
}

static void
vmf_capturer_looked_up(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfCapturer *self = data;
    g_autoptr(GError) error = NULL;
    GHashTable *addresses = g_task_propagate_pointer(G_TASK(result), &error);

    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return; /* turned off, and perhaps gone */
    g_hash_table_unref(self->addresses);
    self->addresses = addresses;
    if (!vmf_capturer_set_rule(self, &error)) {
        vmf_capturer_stop(self, error);
        return;
    }
    vmf_info(NULL, "plain migrations to peers are captured: %u addresses",
             g_hash_table_size(addresses));
    vmf_capturer_answer(self, NULL);
}

/* What is redirected arrives on the loopback. Without IPv6 there is nothing to catch of it. */
static gboolean
vmf_capturer_listen(VmfCapturer *self, GError **error)
{
    GSocketListener *listener;
    g_autoptr(GInetAddress) v4 = g_inet_address_new_loopback(G_SOCKET_FAMILY_IPV4);
    g_autoptr(GInetAddress) v6 = g_inet_address_new_loopback(G_SOCKET_FAMILY_IPV6);
    g_autoptr(GSocketAddress) any = g_inet_socket_address_new(v4, 0);
    g_autoptr(GSocketAddress) bound = NULL;
    g_autoptr(GSocketAddress) same = NULL;

    self->service = g_socket_service_new();
    listener = G_SOCKET_LISTENER(self->service);
    if (!g_socket_listener_add_address(listener, any, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP,
                                       NULL, &bound, error))
        return FALSE;
    self->port = g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(bound));
    same = g_inet_socket_address_new(v6, self->port);
    (void)g_socket_listener_add_address(listener, same, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP,
                                        NULL, NULL, NULL);
    g_signal_connect(self->service, "incoming", G_CALLBACK(vmf_capturer_on_incoming), self);
    return TRUE;
}

static void
vmf_capturer_look_up_peers(VmfCapturer *self)
{
    GPtrArray *peers = g_ptr_array_new_with_free_func(g_object_unref);
    g_autoptr(GTask) task = NULL;

    vmf_daemon_foreach_peer(self->daemon, vmf_capturer_collect, peers);
    self->looking = g_cancellable_new();
    task = g_task_new(NULL, self->looking, vmf_capturer_looked_up, self);
    g_task_set_task_data(task, peers, (GDestroyNotify)g_ptr_array_unref);
    vmf_workers_run(vmf_daemon_get_workers(self->daemon), task, vmf_capturer_look_up_thread);
}

static gboolean
vmf_capturer_begin(VmfCapturer *self, GError **error)
{
    self->rule = vmf_capture_rule_new(error);
    if (!self->rule || !vmf_capturer_listen(self, error))
        return FALSE;
    vmf_capturer_look_up_peers(self);
    return TRUE;
}

void
vmf_capturer_turn_on(VmfCapturer *self, GAsyncReadyCallback callback, gpointer data)
{
    g_autoptr(GError) error = NULL;

    g_queue_push_tail(&self->waiting, g_task_new(NULL, NULL, callback, data));
    if (!self->rule && !vmf_capturer_begin(self, &error))
        vmf_capturer_stop(self, error);
    else if (!self->looking)
        vmf_capturer_answer(self, NULL); /* it was on */
}

gboolean
vmf_capturer_turn_on_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}

void
vmf_capturer_turn_off(VmfCapturer *self)
{
    g_autoptr(GError) why =
        g_error_new_literal(VMF_ERROR, VMF_ERROR_CANCELLED, "capture was turned off meanwhile");

    vmf_capturer_stop(self, why);
}

VmfCapturer *
vmf_capturer_new(VmfDaemon *daemon)
{
    VmfCapturer *self = g_new0(VmfCapturer, 1);

    self->daemon = daemon;
    g_queue_init(&self->waiting);
    self->addresses = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_object_unref);
    self->captured = vmf_captured_queue_new(daemon);
    return self;
}

void
vmf_capturer_free(VmfCapturer *self)
{
    vmf_capturer_turn_off(self);
    vmf_captured_queue_free(self->captured);
    g_hash_table_unref(self->addresses);
    g_free(self);
}
