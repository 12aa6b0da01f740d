/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/incoming-private.h"

#include <glib/gstdio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "daemon/guest.h"
#include "daemon/kept.h"
#include "daemon/link-service.h"
#include "daemon/peer.h"
#include "daemon/socket-path.h"

#define VMF_LINK_PATIENCE 60    /* s: from Prepare to a data link */
#define VMF_CANCEL_TIMEOUT 1000 /* ms: for the source to say that it heard */

static void vmf_incoming_end(VmfIncoming *self);

VmfPeer *
vmf_incoming_get_peer(VmfIncoming *self)
{
    return self->peer;
}

const char *
vmf_incoming_get_guest(VmfIncoming *self)
{
    return self->dname;
}

const char *
vmf_incoming_id(VmfIncoming *self)
{
    return vmf_migration_get_id(self->migration);
}

void
vmf_incoming_free(VmfIncoming *self)
{
    g_clear_handle_id(&self->timer, g_source_remove);
    if (self->pump)
        g_signal_handlers_disconnect_by_data(self->pump, self);
    g_signal_handler_disconnect(self->migration, self->cancel_handler);
    g_signal_handlers_disconnect_by_data(vmf_daemon_get_libvirt(self->daemon), self);
    g_clear_pointer(&self->dialler, vmf_dialler_free);
    g_clear_object(&self->pump);
    g_clear_object(&self->skeleton);
    g_clear_object(&self->preparing);
    g_clear_object(&self->finishing);
    g_clear_error(&self->pump_error);
    g_clear_error(&self->verdict);
    g_object_unref(self->migration);
    g_object_unref(self->peer);
    g_clear_object(&self->link);
    vmf_agreement_unref(self->agreement);
    g_free(self->dname);
    g_free(self->path);
    explicit_bzero(self->secret, sizeof self->secret);
    g_free(self);
}

void
vmf_incoming_set_timer(VmfIncoming *self, guint seconds, GSourceFunc callback)
{
    g_clear_handle_id(&self->timer, g_source_remove);
    if (seconds)
        self->timer = g_timeout_add_seconds(seconds, callback, self);
}

/* ---- the end ---- */

void
vmf_incoming_decide(VmfIncoming *self, const GError *verdict)
{
    if (self->decided)
        return;
    self->decided = TRUE;
    self->verdict = verdict ? g_error_copy(verdict) : NULL;
    if (self->preparing || self->adopting)
        return; /* there may be a pump in a moment */
    if (!self->pump || vmf_pump_has_ended(self->pump)) {
        vmf_incoming_end(self);
        return;
    }
    if (verdict)
        vmf_pump_stop(self->pump, verdict);
}

void
vmf_incoming_remove_sockets(VmfIncoming *self)
{
    g_autofree char *nbd = vmf_socket_path_for_nbd(self->path);

    (void)g_unlink(self->path);
    (void)g_unlink(nbd);
}

static void
vmf_incoming_end(VmfIncoming *self)
{
    vmf_incoming_remove_sockets(self);
    vmf_ticket_book_revoke(vmf_daemon_get_tickets(self->daemon), vmf_incoming_id(self));
    vmf_migration_finish(self->migration, self->verdict);
    if (self->finishing && self->doubted && self->verdict)
        g_dbus_method_invocation_return_gerror(g_steal_pointer(&self->finishing), self->verdict);
    else if (self->finishing)
        vmf_bus_link_complete_finish(self->skeleton, g_steal_pointer(&self->finishing));
    vmf_daemon_remove_incoming(self->daemon, vmf_incoming_id(self));
}

/* ---- what the pump says ---- */

static void
vmf_incoming_on_pump_ended(VmfPump *pump, const GError *error, VmfIncoming *self)
{
    if (error && !self->pump_error)
        self->pump_error = g_error_copy(error);
    if (self->decided)
        vmf_incoming_end(self);
    else
        vmf_incoming_expect_verdict(self);
}

static void
vmf_incoming_on_statistics(VmfPump *pump, GVariant *statistics, VmfIncoming *self)
{
    vmf_migration_note_statistics(self->migration, statistics, g_get_monotonic_time());
}

static void
vmf_incoming_on_lost_links(VmfPump *pump, GVariant *lost, VmfIncoming *self)
{
    vmf_migration_set_stalled(self->migration, g_variant_n_children(lost) > 0);
}

/* ---- channels ---- */

static void
vmf_incoming_on_wanted(VmfPump *pump, guint channel, const char *kind, VmfIncoming *self)
{
    if (g_str_equal(kind, "qemu"))
        vmf_migration_set_state(self->migration,
                                self->resume ? VMF_STATE_POSTCOPY : VMF_STATE_RUNNING);
    vmf_dialler_add(self->dialler, channel, kind);
}

/* ---- the data link ---- */

typedef struct {
    VmfDaemon *daemon;
    VmfPump *pump;
    char *id;
    char *from;
    guint link;
    uint8_t ticket[VMF_TICKET_ID_SIZE];
} VmfAttach;

static void
vmf_incoming_attached(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfAttach *attach = data;
    VmfIncoming *self = vmf_daemon_find_incoming(attach->daemon, attach->id);
    g_autoptr(GError) error = NULL;

    if (vmf_pump_attach_link_finish(attach->pump, result, &error)) {
        vmf_ticket_book_spend(vmf_daemon_get_tickets(attach->daemon), attach->ticket);
        if (self && !self->decided && attach->link == 0)
            vmf_incoming_set_timer(self, 0, NULL);
        vmf_info(attach->id, "data link %u is up", attach->link);
    } else {
        error = vmf_error_normalize(g_steal_pointer(&error));
        vmf_refusals_note(vmf_daemon_get_refusals(attach->daemon), VMF_REFUSAL_PROOF, attach->id,
                          attach->from, error->message);
    }
    g_object_unref(attach->pump);
    g_free(attach->id);
    g_free(attach->from);
    g_free(attach);
}

void
vmf_incoming_take_data(VmfIncoming *self, GSocket *socket, const char *from,
                       const VmfTicket *ticket)
{
    VmfAttach *attach;

    if (!self->pump)
        return; /* still preparing: nobody can have the ticket */
    attach = g_new0(VmfAttach, 1);
    attach->daemon = self->daemon;
    attach->pump = g_object_ref(self->pump);
    attach->id = g_strdup(vmf_incoming_id(self));
    attach->from = g_strdup(from);
    attach->link = ticket->link;
    memcpy(attach->ticket, ticket->id, sizeof attach->ticket);
    vmf_pump_attach_link_async(self->pump, socket, ticket, vmf_incoming_attached, attach);
}

static gboolean
vmf_incoming_on_no_link(gpointer data)
{
    VmfIncoming *self = data;
    g_autoptr(GError) error =
        g_error_new(VMF_ERROR, VMF_ERROR_TIMED_OUT, "%s opened no data link within %d s",
                    vmf_migration_get_peer(self->migration), VMF_LINK_PATIENCE);

    self->timer = 0;
    vmf_incoming_decide(self, error);
    return G_SOURCE_REMOVE;
}

/* ---- Cancel on this host: the source decides, if it can be asked ---- */

typedef struct {
    VmfDaemon *daemon;
    char *id;
} VmfCancel;

static void
vmf_incoming_cancel_alone(VmfIncoming *self, const char *why)
{
    g_autoptr(GError) error =
        g_error_new_literal(VMF_ERROR, VMF_ERROR_CANCELLED, "cancelled at the destination");

    vmf_warn(vmf_incoming_id(self), "%s cannot be asked to cancel: %s",
             vmf_migration_get_peer(self->migration), why);
    vmf_incoming_decide(self, error);
}

static void
vmf_incoming_cancel_told(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autofree VmfCancel *cancel = data;
    g_autofree char *id = cancel->id;
    VmfIncoming *self = vmf_daemon_find_incoming(cancel->daemon, id);
    g_autoptr(GError) problem = NULL;
    g_autoptr(GVariant) answer =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &problem);

    if (answer || !self)
        return;
    problem = vmf_error_normalize(g_steal_pointer(&problem));
    vmf_incoming_cancel_alone(self, problem->message);
}

/* The one that it came over, or any: another vmferryd may be there by now, here or there. */
static GDBusConnection *
vmf_incoming_find_link(VmfIncoming *self)
{
    if (self->link && !g_dbus_connection_is_closed(self->link))
        return g_object_ref(self->link);
    return vmf_peer_peek_link(self->peer, NULL);
}

static void
vmf_incoming_on_cancel(VmfMigration *migration, VmfIncoming *self)
{
    g_autoptr(GDBusConnection) link = vmf_incoming_find_link(self);
    VmfCancel *cancel;

    if (!link) {
        vmf_incoming_cancel_alone(self, "it is not connected");
        return;
    }
    cancel = g_new0(VmfCancel, 1);
    cancel->daemon = self->daemon;
    cancel->id = g_strdup(vmf_incoming_id(self));
    g_dbus_connection_call(link, NULL, VMF_LINK_OBJECT, "org.vmferry1.Link", "Cancel",
                           g_variant_new("(s)", cancel->id), NULL, G_DBUS_CALL_FLAGS_NONE,
                           VMF_CANCEL_TIMEOUT, NULL, vmf_incoming_cancel_told, cancel);
}

/* ---- what libvirt says of the guest on this host ---- */

static void
vmf_incoming_on_lifecycle(VmfLibvirt *libvirt, const char *uuid, int event, int detail,
                          VmfIncoming *self)
{
    if (event != VIR_DOMAIN_EVENT_RESUMED ||
        !g_str_equal(uuid, vmf_migration_get_uuid(self->migration)))
        return;
    if (detail == VIR_DOMAIN_EVENT_RESUMED_POSTCOPY)
        vmf_migration_set_state(self->migration, VMF_STATE_POSTCOPY);
    else if (detail == VIR_DOMAIN_EVENT_RESUMED_MIGRATED && !self->pump && !self->preparing)
        vmf_incoming_decide(self, NULL); /* its pump is history, and the source may be silent */
}

/* ---- hearing of all that ---- */

void
vmf_incoming_listen(VmfIncoming *self)
{
    self->cancel_handler =
        g_signal_connect(self->migration, "cancel", G_CALLBACK(vmf_incoming_on_cancel), self);
    g_signal_connect(vmf_daemon_get_libvirt(self->daemon), "lifecycle",
                     G_CALLBACK(vmf_incoming_on_lifecycle), self);
}

void
vmf_incoming_take_pump(VmfIncoming *self, VmfPump *pump)
{
    const VmfConfig *config = vmf_daemon_get_config(self->daemon);

    self->pump = pump;
    self->dialler = vmf_dialler_new(pump, vmf_incoming_id(self), self->path, self->uid,
                                    config->libvirt_socket, self->agreement);
    if (self->captured)
        vmf_dialler_use_ports(self->dialler, self->dname, &config->capture_ports);
    vmf_kept_set_pump(self->migration, pump);
    g_signal_connect(self->pump, "ended", G_CALLBACK(vmf_incoming_on_pump_ended), self);
    g_signal_connect(self->pump, "statistics", G_CALLBACK(vmf_incoming_on_statistics), self);
    g_signal_connect(self->pump, "lost-links", G_CALLBACK(vmf_incoming_on_lost_links), self);
    g_signal_connect(self->pump, "channel-wanted", G_CALLBACK(vmf_incoming_on_wanted), self);
}

void
vmf_incoming_expect_link(VmfIncoming *self)
{
    vmf_incoming_set_timer(self, VMF_LINK_PATIENCE, vmf_incoming_on_no_link);
}
