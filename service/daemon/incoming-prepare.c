/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Link.Prepare and AddLink at the destination: checks, a pump, tickets. The rest is in incoming.c.
 */
#include "base/error.h"
#include "base/log.h"
#include "daemon/guest.h"
#include "daemon/incoming-private.h"
#include "daemon/keeper.h"
#include "daemon/kept.h"
#include "daemon/peer.h"
#include "daemon/socket-path.h"
#include "link/control.h"

#define VMF_TICKET_LIFETIME (30 * G_USEC_PER_SEC)

#define VMF_INCOMING_LINKS 4 /* what a pump takes */

/* Our certificate must bear the name, or the source means somebody else; and its own be good. */
static gboolean
vmf_incoming_check_hosts(VmfIncoming *self, const char *host, GError **error)
{
    const VmfConfig *config = vmf_daemon_get_config(self->daemon);
    g_autoptr(VmfIdentity) identity = vmf_identity_load(config->tls_directory, error);

    if (!identity || !vmf_identity_check_peer(identity, self->link,
                                              vmf_migration_get_peer(self->migration), error))
        return FALSE;
    if (g_strv_contains(vmf_identity_get_names(identity), host))
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_PEER_NAME_MISMATCH, "this host is not called %s", host);
    return FALSE;
}

static gboolean
vmf_incoming_check_guest(VmfIncoming *self, virConnectPtr connection, GError **error)
{
    const char *uuid = vmf_migration_get_uuid(self->migration);

    if (self->external) /* libvirt has prepared it */
        return TRUE;
    return self->resume ? vmf_guest_check_waiting(connection, uuid, error)
                        : vmf_guest_check_absent(connection, self->dname, uuid, error);
}

static void
vmf_incoming_prepare_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    VmfIncoming *self = data;
    const VmfConfig *config = vmf_daemon_get_config(self->daemon);
    const char *host = vmf_agreement_get_destination(self->agreement);
    g_autoptr(virConnect) connection = NULL;
    GError *error = NULL;
    VmfPump *pump = NULL;
    guint gid = 0;

    connection = vmf_libvirt_open(config->libvirt_uri, &error);
    if (connection && vmf_incoming_check_guest(self, connection, &error) &&
        vmf_owner_get(vmf_daemon_get_owner(self->daemon), &self->uid, &gid, &error) &&
        vmf_incoming_check_hosts(self, host, &error) &&
        vmf_socket_folder_make(config->run_directory, host, self->uid, gid, &error)) {
        if (!self->external) /* libvirt's QEMU listens there already */
            vmf_incoming_remove_sockets(self);
        pump = vmf_pump_spawn(config, vmf_incoming_id(self), VMF_PUMP_DESTINATION, self->secret,
                              self->agreement, NULL, NULL, &error);
    }
    if (pump)
        g_task_return_pointer(task, pump, g_object_unref);
    else
        g_task_return_error(task, error);
}

static void
vmf_incoming_answer_bytes(GVariantDict *answer, const char *name, const uint8_t *bytes, gsize size)
{
    g_variant_dict_insert_value(answer, name,
                                g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, bytes, size, 1));
}

static GVariant *
vmf_incoming_answer(VmfIncoming *self)
{
    GVariantDict answer;

    g_variant_dict_init(&answer, NULL);
    g_variant_dict_insert(&answer, "path", "s", self->path);
    vmf_incoming_answer_bytes(&answer, "ticket", self->ticket, sizeof self->ticket);
    vmf_incoming_answer_bytes(&answer, "secret", self->secret, sizeof self->secret);
    return g_variant_dict_end(&answer);
}

GVariant *
vmf_incoming_add_link(VmfIncoming *self, guint number, GError **error)
{
    const VmfTicket *ticket;
    GVariantDict answer;

    const char *feature = number == 0 ? VMF_FEATURE_RESUME : VMF_FEATURE_PREEMPT;

    if (number >= VMF_INCOMING_LINKS) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                    "data link %u; further ones are 1 to %d", number, VMF_INCOMING_LINKS - 1);
        return NULL;
    }
    if (self->adopting) { /* any other error than those by which the source gives up */
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_FAILED,
                            "vmferryd was restarted and takes the migration over; try again");
        return NULL;
    }
    if (!vmf_agreement_has(self->agreement, feature)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_AGREEMENT_REFUSED,
                    "data link %u was not agreed on (feature %s)", number, feature);
        return NULL;
    }
    if (!self->pump || vmf_pump_has_ended(self->pump) || self->decided) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_NO_SUCH_MIGRATION,
                            "the migration is not under way");
        return NULL;
    }
    ticket = vmf_ticket_book_issue(vmf_daemon_get_tickets(self->daemon), vmf_incoming_id(self),
                                   number, g_get_monotonic_time(), VMF_TICKET_LIFETIME, error);
    if (!ticket)
        return NULL;
    g_variant_dict_init(&answer, NULL);
    vmf_incoming_answer_bytes(&answer, "ticket", ticket->id, sizeof ticket->id);
    vmf_incoming_answer_bytes(&answer, "secret", ticket->secret, sizeof ticket->secret);
    return g_variant_dict_end(&answer);
}

static void
vmf_incoming_prepared(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfIncoming *self = data;
    g_autoptr(GDBusMethodInvocation) invocation = g_steal_pointer(&self->preparing);
    g_autoptr(GError) error = NULL;
    VmfPump *pump;

    pump = g_task_propagate_pointer(G_TASK(result), &error);
    if (pump)
        vmf_incoming_take_pump(self, pump);
    if (self->pump && vmf_pump_has_ended(self->pump)) /* before its signal was connected */
        error = g_error_new_literal(VMF_ERROR, VMF_ERROR_PUMP_FAILED,
                                    "the destination's vmferry-pump ended at once");
    else if (self->pump && self->decided) /* the source changed its mind meanwhile */
        error = self->verdict ? g_error_copy(self->verdict)
                              : g_error_new(VMF_ERROR, VMF_ERROR_PROTOCOL, "finished too early");
    if (error) { /* who hears of it finds nothing left of what did not start */
        self->decided = FALSE;
        g_clear_error(&self->verdict);
        vmf_incoming_decide(self, error);
        g_dbus_method_invocation_return_gerror(g_steal_pointer(&invocation), error);
        return;
    }
    vmf_bus_link_complete_prepare(self->skeleton, g_steal_pointer(&invocation),
                                  vmf_incoming_answer(self));
    vmf_incoming_expect_link(self);
}

static VmfMigration *
vmf_incoming_new_migration(const VmfIncomingRequest *request)
{
    const VmfMigrationInit init = {
        .id = request->id,
        .domain = request->name,
        .uuid = request->uuid,
        .peer = vmf_peer_get_config(request->peer)->name,
        .origin = request->origin,
        .outgoing = FALSE,
        .encrypted = vmf_agreement_has(request->agreement, VMF_FEATURE_TLS),
    };

    return vmf_migration_new(&init);
}

static VmfIncoming *
vmf_incoming_new(VmfDaemon *daemon, VmfMigration *migration, const VmfIncomingRequest *request,
                 const VmfTicket *ticket)
{
    VmfIncoming *self = g_new0(VmfIncoming, 1);

    self->daemon = daemon;
    self->migration = g_object_ref(migration);
    self->peer = g_object_ref(request->peer);
    self->link = g_object_ref(request->link);
    self->agreement = vmf_agreement_ref(request->agreement);
    self->dname = g_strdup(request->dname);
    self->external = request->origin != NULL;
    self->captured = g_strcmp0(request->origin, "capture") == 0;
    self->resume = request->resume;
    memcpy(self->secret, ticket->secret, sizeof self->secret);
    memcpy(self->ticket, ticket->id, sizeof self->ticket);
    return self;
}

/* From here on the next vmferryd knows of it. */
static void
vmf_incoming_keep(VmfIncoming *self)
{
    const VmfKeptIncoming kept = {self->dname, self->resume, self->agreement};

    vmf_kept_set_incoming(self->migration, &kept);
    vmf_kept_set_account(self->migration, vmf_daemon_get_budget(self->daemon));
    vmf_keeper_start(self->migration, vmf_daemon_get_config(self->daemon)->run_directory);
}

void
vmf_incoming_prepare(VmfDaemon *daemon, const VmfIncomingRequest *request, VmfBusLink *skeleton,
                     GDBusMethodInvocation *invocation)
{
    g_autoptr(VmfMigration) migration = vmf_incoming_new_migration(request);
    g_autofree char *path =
        vmf_socket_path(vmf_daemon_get_config(daemon)->run_directory,
                        vmf_agreement_get_destination(request->agreement), request->name);
    const VmfTicket *ticket = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(GTask) task = NULL;
    VmfBudgetShare share;
    VmfIncoming *self;

    if (!path)
        error = g_error_new(VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                            "the destination's name leaves no room for a socket path");
    else if (vmf_daemon_add_migration(daemon, migration, &error))
        ticket = vmf_ticket_book_issue(vmf_daemon_get_tickets(daemon), request->id, 0,
                                       g_get_monotonic_time(), VMF_TICKET_LIFETIME, &error);
    if (!ticket) {
        vmf_budget_close(vmf_daemon_get_budget(daemon), request->id);
        vmf_migration_finish(migration, error);
        g_dbus_method_invocation_return_gerror(invocation, error);
        return;
    }
    vmf_pump_get_share(request->agreement, &share);
    vmf_budget_hold(vmf_daemon_get_budget(daemon), request->id, &share);
    self = vmf_incoming_new(daemon, migration, request, ticket);
    self->path = g_steal_pointer(&path);
    self->skeleton = g_object_ref(skeleton);
    self->preparing = invocation;
    vmf_incoming_listen(self);
    vmf_incoming_keep(self);
    vmf_info(request->id, "%s sends guest '%s'", vmf_migration_get_peer(migration), request->name);
    vmf_daemon_add_incoming(daemon, request->id, self);
    task = g_task_new(NULL, NULL, vmf_incoming_prepared, self);
    g_task_set_task_data(task, self, NULL);
    vmf_workers_run(vmf_daemon_get_workers(daemon), task, vmf_incoming_prepare_thread);
}
