/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/link-service.h"

#include "base/error.h"
#include "base/log.h"
#include "daemon/incoming.h"
#include "daemon/link-check.h"
#include "daemon/link-listener.h"
#include "daemon/negotiation.h"
#include "daemon/peer.h"
#include "link-bus.h"
#include "link/control.h"

/* libvirt itself takes names of guests of this length. */
#define VMF_GUEST_NAME_MAX 255

typedef struct {
    VmfDaemon *daemon;
    VmfPeer *peer; /* NULL: a host with a good certificate that is not in peers.d */
    GDBusConnection *link;
    VmfBusLink *skeleton;
    gboolean greeted;
} VmfLinkService;

static void
vmf_link_service_free(gpointer data, GClosure *closure)
{
    VmfLinkService *service = data;

    g_clear_object(&service->peer);
    g_object_unref(service->skeleton);
    g_object_unref(service->link);
    g_free(service);
}

static gboolean
vmf_link_service_refuse(GDBusMethodInvocation *invocation, VmfError code, const char *message)
{
    g_dbus_method_invocation_return_error_literal(invocation, VMF_ERROR, (int)code, message);
    return TRUE;
}

/* It said hello, and has not too many questions; FALSE with the invocation answered. */
static gboolean
vmf_link_service_admit(VmfLinkService *service, GDBusMethodInvocation *invocation)
{
    g_autoptr(GError) error = NULL;

    if (!service->greeted)
        g_set_error_literal(&error, VMF_ERROR, VMF_ERROR_PROTOCOL, "expected Hello first");
    else if (vmf_peer_admit_call(service->peer, invocation, &error))
        return TRUE;
    g_dbus_method_invocation_return_gerror(invocation, error);
    return FALSE;
}

static void
vmf_link_on_flushed(GObject *source, GAsyncResult *result, gpointer data)
{
    g_dbus_connection_flush_finish(G_DBUS_CONNECTION(source), result, NULL);
    g_dbus_connection_close(G_DBUS_CONNECTION(source), NULL, NULL, NULL);
}

/* Told by name, so that its administrator knows what to do; then it goes. */
static gboolean
vmf_link_refuse_stranger(VmfLinkService *service, GDBusMethodInvocation *invocation)
{
    vmf_link_service_refuse(invocation, VMF_ERROR_PEER_REFUSED,
                            "that host does not know this one; add a file for it to "
                            "/etc/vmferry/peers.d there");
    g_dbus_connection_flush(service->link, NULL, vmf_link_on_flushed, NULL);
    return TRUE;
}

static gboolean
vmf_link_on_hello(VmfBusLink *skeleton, GDBusMethodInvocation *invocation, GVariant *offer,
                  VmfLinkService *service)
{
    g_autoptr(GError) error = NULL;
    GVariantDict answer;

    if (!service->peer)
        return vmf_link_refuse_stranger(service, invocation);
    if (!vmf_peer_note_hello(service->peer, service->link, offer, &error)) {
        g_dbus_method_invocation_return_gerror(invocation, error);
        return TRUE;
    }
    service->greeted = TRUE;
    vmf_peer_fill_hello(service->peer, &answer);
    vmf_bus_link_complete_hello(skeleton, invocation, g_variant_dict_end(&answer));
    return TRUE;
}

/* As libvirt names guests; nothing that a log or a terminal could trip over. */
static gboolean
vmf_guest_name_is_valid(const char *name)
{
    if (!name || !*name || strlen(name) > VMF_GUEST_NAME_MAX || strchr(name, '/'))
        return FALSE;
    for (; *name; name++)
        if (g_ascii_iscntrl(*name))
            return FALSE;
    return TRUE;
}

/* Canonical, because guests are told apart by it. */
static gboolean
vmf_guest_uuid_is_valid(const char *uuid)
{
    return uuid && g_uuid_string_is_valid(uuid) &&
           strspn(uuid, "0123456789abcdef-") == strlen(uuid);
}

/* Of a migration that the peer's libvirt leads by itself; FALSE: something that is not known here.
 */
static gboolean
vmf_link_read_origin(GVariant *guest, VmfIncomingRequest *request)
{
    static const char *const known[] = {"socket", "capture"};
    const char *origin = NULL;

    request->origin = NULL;
    if (!g_variant_lookup(guest, "origin", "&s", &origin))
        return TRUE;
    for (guint i = 0; i < G_N_ELEMENTS(known); i++)
        if (g_str_equal(origin, known[i]))
            request->origin = known[i];
    return request->origin != NULL;
}

/* What a peer says of the guest, or FALSE with the invocation answered. */
static gboolean
vmf_link_read_guest(GVariant *guest, VmfIncomingRequest *request, GDBusMethodInvocation *invocation)
{
    const char *problem = NULL;

    g_variant_lookup(guest, "name", "&s", &request->name);
    g_variant_lookup(guest, "uuid", "&s", &request->uuid);
    g_variant_lookup(guest, "maintenance", "b", &request->maintenance);
    g_variant_lookup(guest, "postcopy-resume", "b", &request->resume);
    if (!g_variant_lookup(guest, "dname", "&s", &request->dname))
        request->dname = request->name;
    if (!vmf_migration_id_is_valid(request->id))
        problem = "the migration's id is not valid";
    else if (!vmf_guest_name_is_valid(request->name))
        problem = "the guest's name is missing or not valid";
    else if (!vmf_guest_name_is_valid(request->dname))
        problem = "the guest's name at the destination is not valid";
    else if (!vmf_guest_uuid_is_valid(request->uuid))
        problem = "the guest's UUID is missing or not valid";
    else if (!vmf_link_read_origin(guest, request))
        problem = "migrations of that origin are not known";
    if (problem)
        vmf_link_service_refuse(invocation, VMF_ERROR_INVALID_ARGUMENT, problem);
    return problem == NULL;
}

static gboolean
vmf_link_on_agree(VmfBusLink *skeleton, GDBusMethodInvocation *invocation, const char *id,
                  GVariant *offer, VmfLinkService *service)
{
    const VmfTalkRequest request = {.migration = id, .offer = offer, .peer = service->peer};
    g_autoptr(GError) error = NULL;
    GVariant *answer;

    if (!vmf_link_service_admit(service, invocation))
        return TRUE;
    answer = vmf_negotiation_answer(service->daemon, &request, &error);
    if (answer)
        vmf_bus_link_complete_agree(skeleton, invocation, answer);
    else
        g_dbus_method_invocation_return_gerror(invocation, error);
    return TRUE;
}

/* What was agreed on for this migration, and is used up now. */
static VmfAgreement *
vmf_link_take_agreement(VmfLinkService *service, const char *id, GVariant *guest, GError **error)
{
    g_autoptr(GVariant) value =
        g_variant_lookup_value(guest, "agreement", G_VARIANT_TYPE_BYTESTRING);
    gsize size = 0;
    const guint8 *digest = value ? g_variant_get_fixed_array(value, &size, 1) : NULL;

    return vmf_agreement_book_take(vmf_daemon_get_agreements(service->daemon), id,
                                   vmf_peer_get_config(service->peer)->name, digest, size,
                                   g_get_monotonic_time(), error);
}

static gboolean
vmf_link_on_prepare(VmfBusLink *skeleton, GDBusMethodInvocation *invocation, const char *id,
                    GVariant *guest, VmfLinkService *service)
{
    VmfIncomingRequest request = {.id = id, .peer = service->peer, .link = service->link};
    g_autoptr(VmfAgreement) agreement = NULL;
    g_autoptr(GError) error = NULL;

    if (!vmf_link_service_admit(service, invocation) ||
        !vmf_link_read_guest(guest, &request, invocation))
        return TRUE;
    if (!vmf_peer_get_config(service->peer)->may_send)
        return vmf_link_service_refuse(invocation, VMF_ERROR_PEER_REFUSED,
                                       "the destination's configuration lets this host send no "
                                       "guests (MaySend in its peers.d)");
    if (vmf_daemon_get_maintenance(service->daemon) && !request.maintenance)
        return vmf_link_service_refuse(invocation, VMF_ERROR_PEER_REFUSED,
                                       "the destination is in maintenance and takes no guests");
    if (vmf_daemon_count_incoming(service->daemon, service->peer) >=
        vmf_peer_get_config(service->peer)->max_migrations)
        return vmf_link_service_refuse(invocation, VMF_ERROR_LIMIT_REACHED,
                                       "the destination takes no more guests from this host at "
                                       "once (Migrations in its peers.d)");
    agreement = vmf_link_take_agreement(service, id, guest, &error);
    if (!agreement || !vmf_control_check_certificate(
                          service->link, vmf_peer_get_config(service->peer)->name, &error)) {
        g_dbus_method_invocation_return_gerror(invocation, error);
        return TRUE;
    }
    request.agreement = agreement;
    vmf_incoming_prepare(service->daemon, &request, skeleton, invocation);
    return TRUE;
}

static gboolean
vmf_link_on_check(VmfBusLink *skeleton, GDBusMethodInvocation *invocation, GVariant *guest,
                  VmfLinkService *service)
{
    if (!vmf_link_service_admit(service, invocation))
        return TRUE;
    if (!vmf_peer_get_config(service->peer)->may_send)
        return vmf_link_service_refuse(invocation, VMF_ERROR_PEER_REFUSED,
                                       "the destination's configuration lets this host send no "
                                       "guests (MaySend in its peers.d)");
    vmf_link_check(service->daemon, guest, skeleton, invocation);
    return TRUE;
}

/* Borrowed; NULL with the invocation answered. */
static VmfIncoming *
vmf_link_find_incoming(VmfLinkService *service, const char *id, GDBusMethodInvocation *invocation)
{
    VmfIncoming *incoming = vmf_daemon_find_incoming(service->daemon, id);

    if (!vmf_link_service_admit(service, invocation))
        return NULL;
    if (incoming && vmf_incoming_get_peer(incoming) == service->peer)
        return incoming;
    vmf_link_service_refuse(invocation, VMF_ERROR_NO_SUCH_MIGRATION,
                            "no migration with that id comes from this host");
    return NULL;
}

static gboolean
vmf_link_on_add_link(VmfBusLink *skeleton, GDBusMethodInvocation *invocation, const char *id,
                     guint number, VmfLinkService *service)
{
    VmfIncoming *incoming = vmf_link_find_incoming(service, id, invocation);
    g_autoptr(GError) error = NULL;
    GVariant *answer = incoming ? vmf_incoming_add_link(incoming, number, &error) : NULL;

    if (answer)
        vmf_bus_link_complete_add_link(skeleton, invocation, answer);
    else if (incoming)
        g_dbus_method_invocation_return_gerror(invocation, error);
    return TRUE;
}

static gboolean
vmf_link_on_finish(VmfBusLink *skeleton, GDBusMethodInvocation *invocation, const char *id,
                   const char *name, const char *message, VmfLinkService *service)
{
    VmfIncoming *incoming = vmf_link_find_incoming(service, id, invocation);
    g_autofree char *clean = vmf_text_clean(message);

    if (incoming)
        vmf_incoming_finish(incoming, name, clean, skeleton, invocation);
    return TRUE;
}

static gboolean
vmf_link_on_find_listener(VmfBusLink *skeleton, GDBusMethodInvocation *invocation, guint16 port,
                          VmfLinkService *service)
{
    if (!vmf_link_service_admit(service, invocation))
        return TRUE;
    if (!vmf_peer_get_config(service->peer)->may_send)
        return vmf_link_service_refuse(invocation, VMF_ERROR_PEER_REFUSED,
                                       "the destination's configuration lets this host send no "
                                       "guests (MaySend in its peers.d)");
    vmf_link_find_listener(service->daemon, port, invocation);
    return TRUE;
}

static gboolean
vmf_link_on_cancel(VmfBusLink *skeleton, GDBusMethodInvocation *invocation, const char *id,
                   VmfLinkService *service)
{
    VmfMigration *migration = vmf_daemon_find_migration(service->daemon, id);
    g_autoptr(GError) error = NULL;

    if (!vmf_link_service_admit(service, invocation))
        return TRUE;
    if (!migration ||
        g_strcmp0(vmf_migration_get_peer(migration), vmf_peer_get_config(service->peer)->name))
        return vmf_link_service_refuse(invocation, VMF_ERROR_NO_SUCH_MIGRATION,
                                       "no migration with that id goes to this host");
    if (vmf_migration_request_cancel(migration, &error))
        vmf_bus_link_complete_cancel(skeleton, invocation);
    else
        g_dbus_method_invocation_return_gerror(invocation, error);
    return TRUE;
}

static void
vmf_link_service_on_closed(GDBusConnection *link, gboolean remote_vanished, GError *why,
                           gpointer data)
{
    VmfLinkService *service = data;

    g_dbus_interface_skeleton_unexport(G_DBUS_INTERFACE_SKELETON(service->skeleton));
    /* Disconnecting drops the last reference that the link holds on itself. */
    g_signal_handlers_disconnect_by_data(link, service);
}

void
vmf_link_service_attach(VmfDaemon *daemon, VmfPeer *peer, GDBusConnection *link, gboolean dialled)
{
    VmfLinkService *service = g_new0(VmfLinkService, 1);
    g_autoptr(GError) error = NULL;

    service->daemon = daemon;
    service->peer = peer ? g_object_ref(peer) : NULL;
    service->link = g_object_ref(link);
    service->skeleton = vmf_bus_link_skeleton_new();
    service->greeted = dialled;
    g_signal_connect(service->skeleton, "handle-hello", G_CALLBACK(vmf_link_on_hello), service);
    g_signal_connect(service->skeleton, "handle-agree", G_CALLBACK(vmf_link_on_agree), service);
    g_signal_connect(service->skeleton, "handle-prepare", G_CALLBACK(vmf_link_on_prepare), service);
    g_signal_connect(service->skeleton, "handle-add-link", G_CALLBACK(vmf_link_on_add_link),
                     service);
    g_signal_connect(service->skeleton, "handle-check", G_CALLBACK(vmf_link_on_check), service);
    g_signal_connect(service->skeleton, "handle-finish", G_CALLBACK(vmf_link_on_finish), service);
    g_signal_connect(service->skeleton, "handle-find-listener",
                     G_CALLBACK(vmf_link_on_find_listener), service);
    g_signal_connect(service->skeleton, "handle-cancel", G_CALLBACK(vmf_link_on_cancel), service);
    g_signal_connect_data(link, "closed", G_CALLBACK(vmf_link_service_on_closed), service,
                          vmf_link_service_free, 0);
    if (!g_dbus_interface_skeleton_export(G_DBUS_INTERFACE_SKELETON(service->skeleton), link,
                                          VMF_LINK_OBJECT, &error))
        vmf_warn(NULL, "cannot serve the control link: %s", error->message);
}
