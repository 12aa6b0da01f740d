/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/sockets.h"

#include <glib/gstdio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "daemon/external.h"
#include "daemon/follow.h"
#include "daemon/outgoing.h"
#include "daemon/peer.h"
#include "daemon/policies.h"
#include "daemon/running-guests.h"
#include "daemon/standing.h"
#include "daemon/socket-path.h"
#include "link/control.h"

struct VmfSockets {
    VmfDaemon *daemon;   /* outlives it */
    GHashTable *guests;  /* uuid -> VmfStanding */
    GHashTable *follows; /* uuid -> VmfFollow, of the migrations that came in by us */
    GCancellable *cancellable;
    gboolean looking, again; /* libvirt is being asked for guests; and once more after that */
    gboolean folders;        /* those of our own names are there */
};

static void vmf_sockets_refresh(VmfSockets *self);

/* The folders of this host's own names: QEMU's user binds there what arrives, and nobody else. */
static gboolean
vmf_sockets_make_own_folders(VmfSockets *self, const VmfRunningGuests *found)
{
    const VmfConfig *config = vmf_daemon_get_config(self->daemon);
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfIdentity) identity = vmf_identity_load(config->tls_directory, &error);
    gboolean all = identity != NULL;

    for (const char *const *name = all ? vmf_identity_get_names(identity) : NULL; all && *name;
         name++)
        if (vmf_peer_name_is_valid(*name))
            all = vmf_socket_folder_make(config->run_directory, *name, found->uid, found->gid,
                                         &error);
    if (!all)
        vmf_warn(NULL, "no guest can arrive by a socket: %s", error->message);
    return all;
}

/* ---- connections ---- */

static void
vmf_sockets_on_finished(VmfMigration *migration, VmfSockets *self)
{
    g_hash_table_remove(self->follows, vmf_migration_get_uuid(migration));
}

static gboolean
vmf_sockets_start(VmfSockets *self, const VmfBrought *brought, VmfFollow *follow, GError **error)
{
    g_autofree char *id = g_uuid_string_random();
    VmfMigrationInit init = {
        .id = id,
        .domain = brought->name,
        .uuid = brought->uuid,
        .origin = brought->origin,
        .peer = vmf_peer_get_config(brought->peer)->name,
        .outgoing = TRUE,
        .encrypted = !brought->onward,
        .downtime = VMF_DOWNTIME_DEFAULT,
        .delta = {TRUE, vmf_delta_default_cache(VMF_CACHE_MOST), VMF_COMPRESSION_AUTO}};
    g_autoptr(VmfMigration) migration = NULL;

    id[8] = '\0'; /* as those that vmferry migrate starts */
    migration = vmf_migration_new(&init);
    vmf_external_yield(vmf_daemon_get_external(self->daemon), brought->uuid);
    if (!vmf_daemon_add_migration(self->daemon, migration, error))
        return FALSE;
    g_signal_connect(migration, "finished", G_CALLBACK(vmf_sockets_on_finished), self);
    vmf_outgoing_start_following(self->daemon, migration, brought->peer, follow);
    return TRUE;
}

void
vmf_sockets_take(VmfSockets *self, const VmfBrought *brought)
{
    VmfFollow *follow = g_hash_table_lookup(self->follows, brought->uuid);
    g_autoptr(GError) error = NULL;

    if (follow && vmf_follow_take(follow, brought->kind, brought->socket))
        return;
    if (follow) {
        vmf_warn(NULL, "dropped a connection for guest '%s': its migration is not over yet",
                 brought->name);
        return;
    }
    follow = vmf_follow_new(vmf_daemon_get_libvirt(self->daemon), brought->uuid, brought->origin);
    if (brought->onward)
        vmf_follow_set_onward(follow, brought->onward, brought->why_onward);
    g_hash_table_insert(self->follows, g_strdup(brought->uuid), follow);
    vmf_follow_take(follow, brought->kind, brought->socket);
    if (vmf_sockets_start(self, brought, follow, &error))
        return;
    vmf_warn(NULL, "dropped a connection for guest '%s': %s", brought->name, error->message);
    g_hash_table_remove(self->follows, brought->uuid);
}

static gboolean
vmf_address_equals(GSocketAddress *a, GSocketAddress *b)
{
    GInetSocketAddress *one = G_INET_SOCKET_ADDRESS(a);
    GInetSocketAddress *other = G_INET_SOCKET_ADDRESS(b);

    return g_inet_socket_address_get_port(one) == g_inet_socket_address_get_port(other) &&
           g_inet_address_equal(g_inet_socket_address_get_address(one),
                                g_inet_socket_address_get_address(other));
}

gboolean
vmf_sockets_join_onward(VmfSockets *self, GSocketAddress *onward, GSocket *socket)
{
    GHashTableIter iter;
    gpointer follow;

    g_hash_table_iter_init(&iter, self->follows);
    while (g_hash_table_iter_next(&iter, NULL, &follow))
        if (vmf_follow_get_onward(follow) &&
            vmf_address_equals(vmf_follow_get_onward(follow), onward))
            return vmf_follow_take(follow, "qemu", socket);
    return FALSE;
}

/* ---- guests ---- */

/* Doorways that are right stay open. */
static void
vmf_sockets_set_guest(VmfSockets *self, VmfRunningGuest *guest, const VmfRunningGuests *found)
{
    VmfStanding *before = g_hash_table_lookup(self->guests, guest->uuid);
    VmfStanding *standing = vmf_standing_new(self->daemon, guest);
    gboolean open = before && vmf_standing_take_over(standing, before);

    g_hash_table_replace(self->guests, (char *)vmf_standing_get_uuid(standing), standing);
    if (!open)
        vmf_standing_open(standing, found->uid, found->gid);
}

const char *
vmf_sockets_get_name(VmfSockets *self, const char *uuid)
{
    const VmfStanding *standing = g_hash_table_lookup(self->guests, uuid);

    return standing ? vmf_standing_get_name(standing) : NULL;
}

VmfChosenPolicy *
vmf_sockets_choose_policy(VmfSockets *self, const char *uuid, VmfPeer *peer)
{
    VmfStanding *standing = g_hash_table_lookup(self->guests, uuid);

    return standing ? vmf_standing_choose_policy(standing, peer) : NULL;
}

static const VmfStanding *
vmf_sockets_find_guest(VmfSockets *self, const char *guest)
{
    const VmfStanding *standing = g_hash_table_lookup(self->guests, guest);
    GHashTableIter iter;
    gpointer other;

    g_hash_table_iter_init(&iter, self->guests);
    while (!standing && g_hash_table_iter_next(&iter, NULL, &other))
        if (g_str_equal(vmf_standing_get_name(other), guest))
            standing = other;
    return standing;
}

const char *
vmf_sockets_get_uuid(VmfSockets *self, const char *name)
{
    const VmfStanding *standing = vmf_sockets_find_guest(self, name);

    return standing ? vmf_standing_get_uuid(standing) : NULL;
}

char *
vmf_sockets_find_path(VmfSockets *self, const char *guest, VmfPeer *peer, GError **error)
{
    const VmfPeerConfig *to = vmf_peer_get_config(peer);
    const VmfStanding *standing = vmf_sockets_find_guest(self, guest);
    char *path = NULL;

    if (!to->may_receive) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PEER_REFUSED,
                    "this host sends no guests to %s (MayReceive in peers.d)", to->name);
        return NULL;
    }
    if (!standing) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_DOMAIN_NOT_RUNNING,
                    "no guest '%s' runs on this host, or vmferry is moving it; see virsh list",
                    guest);
        return NULL;
    }
    if (!vmf_standing_is_towards(standing, peer)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED,
                    "no socket stands open for guest '%s': Sockets in vmferryd.conf, or its "
                    "policy (auto-enable; see vmferry policy show), is against it",
                    guest);
        return NULL;
    }
    path = vmf_socket_path(vmf_daemon_get_config(self->daemon)->run_directory, to->name,
                           vmf_standing_get_name(standing));
    if (!path)
        g_set_error(error, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED,
                    "RunDirectory and the name %s leave no room for a socket path", to->name);
    return path;
}

/* ---- which guests there are ---- */

static void
vmf_sockets_find_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    GError *error = NULL;
    VmfRunningGuests *found = vmf_running_guests_list(data, &error);

    if (found)
        g_task_return_pointer(task, found, (GDestroyNotify)vmf_running_guests_free);
    else
        g_task_return_error(task, error);
}

static gboolean
vmf_running_guest_has_uuid(gconstpointer guest, gconstpointer uuid)
{
    return g_str_equal(((const VmfRunningGuest *)guest)->uuid, uuid);
}

static gboolean
vmf_standing_is_gone(gpointer uuid, gpointer standing, gpointer data)
{
    const VmfRunningGuests *found = data;

    return !g_ptr_array_find_with_equal_func(found->guests, uuid, vmf_running_guest_has_uuid, NULL);
}

/* A migration of our own has the paths now; see vmf_sockets_lend(). */
static gboolean
vmf_sockets_are_lent(VmfSockets *self, const char *uuid)
{
    return vmf_daemon_is_migrating(self->daemon, uuid) &&
           !g_hash_table_contains(self->follows, uuid);
}

static void
vmf_sockets_found(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfSockets *self = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfRunningGuests) found = g_task_propagate_pointer(G_TASK(result), &error);

    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return; /* and `self` is gone */
    self->looking = FALSE;
    if (self->again)
        vmf_sockets_refresh(self);
    if (!found) {
        vmf_debug(NULL, "sockets of guests: %s", error->message); /* "connected" will follow */
        return;
    }
    if (!self->folders)
        self->folders = vmf_sockets_make_own_folders(self, found);
    g_hash_table_foreach_remove(self->guests, vmf_standing_is_gone, found);
    for (guint i = 0; i < found->guests->len; i++) {
        VmfRunningGuest *guest = g_ptr_array_index(found->guests, i);

        if (!vmf_sockets_are_lent(self, guest->uuid))
            vmf_sockets_set_guest(self, guest, found);
    }
}

/* One question at a time; what changes meanwhile is asked for after it. */
static void
vmf_sockets_refresh(VmfSockets *self)
{
    g_autoptr(GTask) task = NULL;

    self->again = self->looking;
    if (self->looking)
        return;
    self->looking = TRUE;
    task = g_task_new(NULL, self->cancellable, vmf_sockets_found, self);
    g_task_set_task_data(task, self->daemon, NULL);
    vmf_workers_run(vmf_daemon_get_workers(self->daemon), task, vmf_sockets_find_thread);
}

void
vmf_sockets_lend(VmfSockets *self, const char *uuid)
{
    g_hash_table_remove(self->guests, uuid);
}

void
vmf_sockets_take_back(VmfSockets *self)
{
    vmf_sockets_refresh(self);
}

static void
vmf_sockets_on_lifecycle(VmfLibvirt *libvirt, const char *uuid, int event, int detail,
                         VmfSockets *self)
{
    if (event == VIR_DOMAIN_EVENT_STARTED || event == VIR_DOMAIN_EVENT_STOPPED)
        vmf_sockets_refresh(self);
}

static void
vmf_sockets_on_connected(VmfLibvirt *libvirt, gboolean connected, VmfSockets *self)
{
    if (connected)
        vmf_sockets_refresh(self);
}

static void
vmf_sockets_on_policies(gpointer data)
{
    vmf_sockets_refresh(data);
}

VmfSockets *
vmf_sockets_new(VmfDaemon *daemon)
{
    VmfSockets *self = g_new0(VmfSockets, 1);
    VmfLibvirt *libvirt = vmf_daemon_get_libvirt(daemon);

    self->daemon = daemon;
    self->cancellable = g_cancellable_new();
    self->guests =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)vmf_standing_free);
    self->follows =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)vmf_follow_unref);
    g_signal_connect(libvirt, "lifecycle", G_CALLBACK(vmf_sockets_on_lifecycle), self);
    g_signal_connect(libvirt, "connected", G_CALLBACK(vmf_sockets_on_connected), self);
    vmf_policies_set_listener(vmf_daemon_get_policies(daemon), vmf_sockets_on_policies, self);
    return self;
}

void
vmf_sockets_free(VmfSockets *self)
{
    g_signal_handlers_disconnect_by_data(vmf_daemon_get_libvirt(self->daemon), self);
    vmf_policies_set_listener(vmf_daemon_get_policies(self->daemon), NULL, NULL);
    g_cancellable_cancel(self->cancellable);
    g_object_unref(self->cancellable);
    g_hash_table_unref(self->guests);
    g_hash_table_unref(self->follows);
    g_free(self);
}
