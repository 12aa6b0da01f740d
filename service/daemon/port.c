/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/port.h"

#include "base/error.h"
#include "base/log.h"
#include "daemon/incoming.h"
#include "daemon/link-service.h"
#include "daemon/peer.h"
#include "daemon/refusals.h"
#include "link/control.h"

#define VMF_GREETING_SECONDS 10

#define VMF_GREETERS 64

/* Until a connection is taken again after one could not be. */
#define VMF_BREATHER_SECONDS 1

/* In a crowd, who does not fit into the kernel's queue is silent for a second. */
#define VMF_BACKLOG 1024

#define VMF_NO_ANSWER (-1)

struct VmfPort {
    VmfDaemon *daemon; /* outlives it */
    GSocketListener *listener;
    GCancellable *cancellable; /* of accepting */
    guint breather;            /* nothing is accepted before it fires */
    GHashTable *callers;       /* VmfCaller, not authenticated yet */
    /* Handshakes block as long as strangers like, so they do not take GTask's few threads. */
    GThreadPool *greeters;
};

/* A connection that has not shown who it is. */
typedef struct {
    VmfPort *port; /* NULL when that went first */
    GSocketConnection *connection;
    GCancellable *cancellable;
    guint timer;
    char *from; /* for the log */
    uint8_t preface[VMF_PREFACE_SIZE];
    uint8_t answer[VMF_ANSWER_SIZE];
    VmfPreface decoded;
    VmfAnswer status;
    GStrv names; /* of its certificate */
} VmfCaller;

/* Whoever is turned away is told of here, and only here. */
static void
vmf_port_note(VmfPort *self, VmfRefusal cause, const char *from, const char *why)
{
    if (self)
        vmf_refusals_note(vmf_daemon_get_refusals(self->daemon), cause, NULL, from, why);
}

static void
vmf_caller_free(VmfCaller *caller)
{
    if (caller->port)
        g_hash_table_remove(caller->port->callers, caller);
    g_clear_handle_id(&caller->timer, g_source_remove);
    g_object_unref(caller->connection);
    g_object_unref(caller->cancellable);
    g_strfreev(caller->names);
    g_free(caller->from);
    g_free(caller);
}

static gboolean
vmf_caller_on_late(gpointer data)
{
    VmfCaller *caller = data;

    caller->timer = 0;
    g_cancellable_cancel(caller->cancellable);
    return G_SOURCE_REMOVE;
}

/* ---- control connections ---- */

/* In a thread of `greeters`. */
static void
vmf_caller_accept(gpointer data, gpointer daemon)
{
    g_autoptr(GTask) task = data;
    VmfCaller *caller = g_task_get_task_data(task);
    GError *error = NULL;
    g_autoptr(VmfIdentity) identity =
        vmf_identity_load(vmf_daemon_get_config(daemon)->tls_directory, &error);
    GDBusConnection *link = NULL;

    if (identity)
        link = vmf_control_accept(identity, caller->connection, g_task_get_cancellable(task),
                                  &caller->names, &error);
    if (link)
        g_task_return_pointer(task, link, g_object_unref);
    else
        g_task_return_error(task, error);
}

static gboolean
vmf_stranger_on_late(gpointer data)
{
    g_dbus_connection_close(data, NULL, NULL, NULL);
    return G_SOURCE_REMOVE;
}

/* A good certificate, but not in peers.d: it may hear why, and no more. */
static void
vmf_caller_dismiss(VmfCaller *caller, GDBusConnection *link)
{
    g_autofree char *why = g_strdup_printf(
        "%s is not in peers.d",
        caller->names[0] ? caller->names[0] : "its certificate has no DNS name and");

    vmf_port_note(caller->port, VMF_REFUSAL_STRANGER, caller->from, why);
    vmf_link_service_attach(caller->port->daemon, NULL, link, FALSE);
    g_dbus_connection_start_message_processing(link);
    g_timeout_add_seconds_full(G_PRIORITY_DEFAULT, VMF_GREETING_SECONDS, vmf_stranger_on_late,
                               g_object_ref(link), g_object_unref);
}

/* It is trusted; whether it is known is a question for peers.d. */
static void
vmf_caller_accepted(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfCaller *caller = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GDBusConnection) link = g_task_propagate_pointer(G_TASK(result), &error);
    VmfPeer *peer = NULL;

    if (!link) {
        vmf_port_note(caller->port, VMF_REFUSAL_UNTRUSTED, caller->from, error->message);
    } else if (caller->port) {
        peer = vmf_daemon_find_peer_of(caller->port->daemon, (const char *const *)caller->names);
        if (peer)
            vmf_peer_take_link(peer, link);
    }
    if (link && caller->port && !peer)
        vmf_caller_dismiss(caller, link);
    vmf_caller_free(caller);
}

static void
vmf_caller_take_control(VmfCaller *caller)
{
    g_autoptr(GTask) task = g_task_new(NULL, caller->cancellable, vmf_caller_accepted, caller);

    g_task_set_task_data(task, caller, NULL);
    g_thread_pool_push(caller->port->greeters, g_object_ref(task), NULL);
}

/* ---- data connections ---- */

static void
vmf_caller_take_data(VmfCaller *caller)
{
    VmfDaemon *daemon = caller->port->daemon;
    const VmfTicket *ticket = vmf_ticket_book_find(
        vmf_daemon_get_tickets(daemon), caller->decoded.ticket, g_get_monotonic_time(), NULL);
    VmfIncoming *incoming = ticket ? vmf_daemon_find_incoming(daemon, ticket->migration) : NULL;

    if (incoming)
        vmf_incoming_take_data(incoming, g_socket_connection_get_socket(caller->connection),
                               caller->from, ticket);
    vmf_caller_free(caller);
}

/* ---- the preface ---- */

static VmfRefusal
vmf_refusal_of_answer(int status)
{
    switch (status) {
    case VMF_ANSWER_VERSION:
        return VMF_REFUSAL_VERSION;
    case VMF_ANSWER_KIND:
        return VMF_REFUSAL_KIND;
    case VMF_ANSWER_TICKET:
        return VMF_REFUSAL_TICKET;
    default:
        return VMF_REFUSAL_NOT_OURS;
    }
}

/* What to answer; VMF_NO_ANSWER to bytes that are no preface. */
static int
vmf_caller_judge(VmfCaller *caller, GError **error)
{
    if (!vmf_preface_decode(caller->preface, &caller->decoded, error))
        return g_error_matches(*error, VMF_ERROR, VMF_ERROR_PROTOCOL_VERSION) ? VMF_ANSWER_VERSION
                                                                              : VMF_NO_ANSWER;
    if (caller->decoded.kind == VMF_LINK_KIND_CONTROL)
        return VMF_ANSWER_OK;
    if (caller->decoded.kind != VMF_LINK_KIND_DATA) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "connections of kind %d are not taken",
                    caller->decoded.kind);
        return VMF_ANSWER_KIND;
    }
    if (vmf_ticket_book_find(vmf_daemon_get_tickets(caller->port->daemon), caller->decoded.ticket,
                             g_get_monotonic_time(), error))
        return VMF_ANSWER_OK;
    return VMF_ANSWER_TICKET;
}

static void
vmf_caller_on_answered(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfCaller *caller = data;

    if (!g_output_stream_write_all_finish(G_OUTPUT_STREAM(source), result, NULL, NULL) ||
        !caller->port || caller->status != VMF_ANSWER_OK)
        vmf_caller_free(caller);
    else if (caller->decoded.kind == VMF_LINK_KIND_CONTROL)
        vmf_caller_take_control(caller);
    else
        vmf_caller_take_data(caller);
}

static void
vmf_caller_answer(VmfCaller *caller, VmfAnswer status)
{
    caller->status = status;
    vmf_answer_encode(status, caller->answer);
    g_output_stream_write_all_async(g_io_stream_get_output_stream(G_IO_STREAM(caller->connection)),
                                    caller->answer, sizeof caller->answer, G_PRIORITY_DEFAULT,
                                    caller->cancellable, vmf_caller_on_answered, caller);
}

static void
vmf_caller_on_preface(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfCaller *caller = data;
    gsize length = 0;
    g_autoptr(GError) error = NULL;
    int status;

    if (!g_input_stream_read_all_finish(G_INPUT_STREAM(source), result, &length, &error) ||
        length < sizeof caller->preface || !caller->port) {
        vmf_port_note(caller->port, VMF_REFUSAL_SILENT, caller->from,
                      "it did not say a whole preface before it hung up or 10 s were over");
        vmf_caller_free(caller);
        return;
    }
    status = vmf_caller_judge(caller, &error);
    if (error)
        vmf_port_note(caller->port, vmf_refusal_of_answer(status), caller->from, error->message);
    if (status == VMF_NO_ANSWER)
        vmf_caller_free(caller); /* not our protocol: nobody there understands an answer */
    else
        vmf_caller_answer(caller, (VmfAnswer)status);
}

static char *
vmf_connection_describe(GSocketConnection *connection)
{
    g_autoptr(GSocketAddress) remote = g_socket_connection_get_remote_address(connection, NULL);

    return remote ? g_socket_connectable_to_string(G_SOCKET_CONNECTABLE(remote))
                  : g_strdup("somebody");
}

/* One small packet on a new connection always fits, so this does not block. */
static void
vmf_port_say_busy(GSocketConnection *connection)
{
    uint8_t answer[VMF_ANSWER_SIZE];

    vmf_answer_encode(VMF_ANSWER_BUSY, answer);
    g_socket_send(g_socket_connection_get_socket(connection), (const char *)answer, sizeof answer,
                  NULL, NULL);
}

static void
vmf_port_take(VmfPort *self, GSocketConnection *connection)
{
    guint max = vmf_daemon_get_config(self->daemon)->max_connections;
    g_autofree char *from = vmf_connection_describe(connection);
    VmfCaller *caller;

    if (g_hash_table_size(self->callers) >= max) {
        g_autofree char *why = g_strdup_printf(
            "%u others have not shown yet who they are (Connections in vmferryd.conf)", max);

        vmf_port_note(self, VMF_REFUSAL_BUSY, from, why);
        vmf_port_say_busy(connection);
        return; /* dropped */
    }
    caller = g_new0(VmfCaller, 1);
    caller->port = self;
    caller->connection = g_object_ref(connection);
    caller->cancellable = g_cancellable_new();
    caller->from = g_steal_pointer(&from);
    caller->timer = g_timeout_add_seconds(VMF_GREETING_SECONDS, vmf_caller_on_late, caller);
    g_hash_table_add(self->callers, caller);
    g_input_stream_read_all_async(g_io_stream_get_input_stream(G_IO_STREAM(connection)),
                                  caller->preface, sizeof caller->preface, G_PRIORITY_DEFAULT,
                                  caller->cancellable, vmf_caller_on_preface, caller);
}

/* ---- accepting ---- */

static void vmf_port_accept(VmfPort *self);

static gboolean
vmf_port_on_breather(gpointer data)
{
    VmfPort *self = data;

    self->breather = 0;
    vmf_port_accept(self);
    return G_SOURCE_REMOVE;
}

/*
 * What could not be accepted (no descriptor is free) stays in the kernel's queue, and would be
 * reported again at once.
 */
static void
vmf_port_on_accepted(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfPort *self = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GSocketConnection) connection =
        g_socket_listener_accept_finish(G_SOCKET_LISTENER(source), result, NULL, &error);

    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return; /* the port may be gone */
    if (connection) {
        vmf_port_take(self, connection);
        vmf_port_accept(self);
        return;
    }
    vmf_port_note(self, VMF_REFUSAL_NO_RESOURCES, "somebody", error->message);
    self->breather = g_timeout_add_seconds(VMF_BREATHER_SECONDS, vmf_port_on_breather, self);
}

static void
vmf_port_accept(VmfPort *self)
{
    g_socket_listener_accept_async(self->listener, self->cancellable, vmf_port_on_accepted, self);
}

static gboolean
vmf_port_listen(VmfPort *self, const VmfConfig *config, GError **error)
{
    g_autoptr(GSocketAddress) address = NULL;

    if (!config->address)
        return g_socket_listener_add_inet_port(self->listener, config->port, NULL, error);
    address = g_inet_socket_address_new_from_string(config->address, config->port);
    return g_socket_listener_add_address(self->listener, address, G_SOCKET_TYPE_STREAM,
                                         G_SOCKET_PROTOCOL_TCP, NULL, NULL, error);
}

VmfPort *
vmf_port_new(VmfDaemon *daemon, GError **error)
{
    const VmfConfig *config = vmf_daemon_get_config(daemon);
    VmfPort *self = g_new0(VmfPort, 1);
    g_autoptr(GError) problem = NULL;

    self->daemon = daemon;
    self->callers = g_hash_table_new(NULL, NULL);
    self->greeters = g_thread_pool_new(
        vmf_caller_accept, daemon, (gint)MIN(config->max_connections, VMF_GREETERS), FALSE, NULL);
    self->cancellable = g_cancellable_new();
    self->listener = g_socket_listener_new();
    g_socket_listener_set_backlog(self->listener, VMF_BACKLOG);
    if (!vmf_port_listen(self, config, &problem)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION, "cannot listen on port %u: %s",
                    config->port, problem->message);
        vmf_port_free(self);
        return NULL;
    }
    vmf_port_accept(self);
    return self;
}

void
vmf_port_free(VmfPort *self)
{
    GHashTableIter iter;
    gpointer caller;

    g_cancellable_cancel(self->cancellable);
    g_object_unref(self->cancellable);
    g_clear_handle_id(&self->breather, g_source_remove);
    g_socket_listener_close(self->listener);
    g_object_unref(self->listener);
    g_hash_table_iter_init(&iter, self->callers);
    while (g_hash_table_iter_next(&iter, &caller, NULL)) {
        ((VmfCaller *)caller)->port = NULL;
        g_cancellable_cancel(((VmfCaller *)caller)->cancellable);
    }
    g_thread_pool_free(self->greeters, FALSE, TRUE);
    g_hash_table_unref(self->callers);
    g_free(self);
}
