/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/sockets.h"

#include <glib/gstdio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "daemon/doorway.h"
#include "daemon/external.h"
#include "daemon/follow.h"
#include "daemon/outgoing.h"
#include "daemon/peer.h"
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

/* A guest that runs here, and its doorways. */
typedef struct {
    VmfSockets *sockets;
    char *name;
    char *uuid;
    GPtrArray *doorways;
} VmfStanding;

/* For each doorway. */
typedef struct {
    VmfSockets *sockets;
    VmfPeer *peer;
    char *name;
    char *uuid;
} VmfStandingDoor;

/* What a thread finds out of libvirt. */
typedef struct {
    GPtrArray *names, *uuids; /* of guests that run */
    guint uid, gid;
} VmfFound;

static void
vmf_found_free(gpointer data)
{
    VmfFound *found = data;

    g_ptr_array_unref(found->names);
    g_ptr_array_unref(found->uuids);
    g_free(found);
}

static void
vmf_standing_free(gpointer data)
{
    VmfStanding *standing = data;

    g_ptr_array_unref(standing->doorways);
    g_free(standing->name);
    g_free(standing->uuid);
    g_free(standing);
}

static void
vmf_standing_door_free(gpointer data)
{
    VmfStandingDoor *door = data;

    g_object_unref(door->peer);
    g_free(door->name);
    g_free(door->uuid);
    g_free(door);
}

static void vmf_sockets_refresh(VmfSockets *self);

/* The folders of this host's own names: QEMU's user binds there what arrives, and nobody else. */
static gboolean
vmf_sockets_make_own_folders(VmfSockets *self, const VmfFound *found)
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
vmf_sockets_start(VmfSockets *self, VmfPeer *peer, VmfFollow *follow, const char *name,
                  const char *uuid, const char *origin, GError **error)
{
    g_autofree char *id = g_uuid_string_random();
    VmfMigrationInit init = {
        .id = id,
        .domain = name,
        .uuid = uuid,
        .origin = origin,
        .peer = vmf_peer_get_config(peer)->name,
        .outgoing = TRUE,
        .encrypted = TRUE,
        .downtime = VMF_DOWNTIME_DEFAULT,
        .delta = {TRUE, vmf_delta_default_cache(VMF_CACHE_MOST), VMF_COMPRESSION_AUTO}};
    g_autoptr(VmfMigration) migration = NULL;

    id[8] = '\0'; /* as those that vmferry migrate starts */
    migration = vmf_migration_new(&init);
    vmf_external_yield(vmf_daemon_get_external(self->daemon), uuid);
    if (!vmf_daemon_add_migration(self->daemon, migration, error))
        return FALSE;
    g_signal_connect(migration, "finished", G_CALLBACK(vmf_sockets_on_finished), self);
    vmf_outgoing_start_following(self->daemon, migration, peer, follow);
    return TRUE;
}

void
vmf_sockets_take(VmfSockets *self, VmfPeer *peer, const char *name, const char *uuid,
                 const char *origin, const char *kind, GSocket *connection)
{
    VmfFollow *follow = g_hash_table_lookup(self->follows, uuid);
    g_autoptr(GError) error = NULL;

    if (follow && vmf_follow_take(follow, kind, connection))
        return;
    if (follow) {
        vmf_warn(NULL, "dropped a connection for guest '%s': its migration is not over yet", name);
        return;
    }
    follow = vmf_follow_new(vmf_daemon_get_libvirt(self->daemon), uuid, origin);
    g_hash_table_insert(self->follows, g_strdup(uuid), follow);
    vmf_follow_take(follow, kind, connection);
    if (vmf_sockets_start(self, peer, follow, name, uuid, origin, &error))
        return;
    vmf_warn(NULL, "dropped a connection for guest '%s': %s", name, error->message);
    g_hash_table_remove(self->follows, uuid);
}

static void
vmf_sockets_on_taken(gpointer data, const char *kind, GSocket *connection)
{
    VmfStandingDoor *door = data;

    vmf_sockets_take(door->sockets, door->peer, door->name, door->uuid, "socket", kind, connection);
}

/* ---- doorways ---- */

static void
vmf_standing_open(VmfStanding *standing, VmfPeer *peer, const char *path, const char *kind,
                  const VmfFound *found)
{
    VmfStandingDoor *door = g_new0(VmfStandingDoor, 1);
    const VmfDoorwaySetup setup = {
        .path = path,
        .kind = kind,
        .guest = standing->name,
        .uid = found->uid,
        .gid = found->gid,
        .taken = vmf_sockets_on_taken,
        .data = door,
        .release = vmf_standing_door_free,
    };
    g_autoptr(GError) error = NULL;
    VmfDoorway *doorway;

    door->sockets = standing->sockets;
    door->peer = g_object_ref(peer);
    door->name = g_strdup(standing->name);
    door->uuid = g_strdup(standing->uuid);
    doorway = vmf_doorway_open(&setup, &error);
    if (doorway)
        g_ptr_array_add(standing->doorways, doorway);
    else
        vmf_warn(NULL, "guest '%s' has no socket towards %s: %s", standing->name,
                 vmf_peer_get_config(peer)->name, error->message);
}

static void
vmf_standing_open_towards(VmfStanding *standing, VmfPeer *peer, const VmfFound *found)
{
    const VmfConfig *config = vmf_daemon_get_config(standing->sockets->daemon);
    g_autofree char *path =
        vmf_socket_path(config->run_directory, vmf_peer_get_config(peer)->name, standing->name);
    g_autofree char *nbd = path ? vmf_socket_path_for_nbd(path) : NULL;

    if (!path || !vmf_peer_get_config(peer)->may_receive)
        return;
    vmf_standing_open(standing, peer, path, "qemu", found);
    vmf_standing_open(standing, peer, nbd, "nbd", found);
}

typedef struct {
    VmfStanding *standing;
    const VmfFound *found;
} VmfTowards;

static void
vmf_sockets_open_towards(VmfPeer *peer, gpointer data)
{
    const VmfTowards *towards = data;

    vmf_standing_open_towards(towards->standing, peer, towards->found);
}

static void
vmf_sockets_open_guest(VmfSockets *self, const char *name, const char *uuid, const VmfFound *found)
{
    VmfTowards towards = {g_new0(VmfStanding, 1), found};

    towards.standing->sockets = self;
    towards.standing->name = g_strdup(name);
    towards.standing->uuid = g_strdup(uuid);
    towards.standing->doorways = g_ptr_array_new_with_free_func((GDestroyNotify)vmf_doorway_close);
    g_hash_table_insert(self->guests, towards.standing->uuid, towards.standing);
    if (vmf_daemon_get_config(self->daemon)->sockets)
        vmf_daemon_foreach_peer(self->daemon, vmf_sockets_open_towards, &towards);
}

const char *
vmf_sockets_get_name(VmfSockets *self, const char *uuid)
{
    const VmfStanding *standing = g_hash_table_lookup(self->guests, uuid);

    return standing ? standing->name : NULL;
}

static const char *
vmf_sockets_find_name(VmfSockets *self, const char *guest)
{
    const VmfStanding *standing = g_hash_table_lookup(self->guests, guest);
    GHashTableIter iter;
    gpointer other;

    g_hash_table_iter_init(&iter, self->guests);
    while (!standing && g_hash_table_iter_next(&iter, NULL, &other))
        if (g_str_equal(((VmfStanding *)other)->name, guest))
            standing = other;
    return standing ? standing->name : NULL;
}

char *
vmf_sockets_find_path(VmfSockets *self, const char *guest, VmfPeer *peer, GError **error)
{
    const VmfPeerConfig *to = vmf_peer_get_config(peer);
    const char *name = vmf_sockets_find_name(self, guest);
    char *path = NULL;

    if (!to->may_receive) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PEER_REFUSED,
                    "this host sends no guests to %s (MayReceive in peers.d)", to->name);
        return NULL;
    }
    if (!name) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_DOMAIN_NOT_RUNNING,
                    "no guest '%s' runs on this host, or vmferry is moving it; see virsh list",
                    guest);
        return NULL;
    }
    path = vmf_socket_path(vmf_daemon_get_config(self->daemon)->run_directory, to->name, name);
    if (!path)
        g_set_error(error, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED,
                    "RunDirectory and the name %s leave no room for a socket path", to->name);
    return path;
}

/* ---- which guests there are ---- */

static void
vmf_sockets_find_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    VmfDaemon *daemon = data;
    GError *error = NULL;
    g_autoptr(virConnect) connection =
        vmf_libvirt_open(vmf_daemon_get_config(daemon)->libvirt_uri, &error);
    VmfFound *found = g_new0(VmfFound, 1);
    virDomainPtr *domains = NULL;
    char uuid[VIR_UUID_STRING_BUFLEN];
    int n = 0;

    found->names = g_ptr_array_new_with_free_func(g_free);
    found->uuids = g_ptr_array_new_with_free_func(g_free);
    if (connection && vmf_owner_get(vmf_daemon_get_owner(daemon), &found->uid, &found->gid, &error))
        n = virConnectListAllDomains(connection, &domains, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
    for (int i = 0; i < n; i++) {
        if (virDomainGetUUIDString(domains[i], uuid) == 0) {
            g_ptr_array_add(found->names, g_strdup(virDomainGetName(domains[i])));
            g_ptr_array_add(found->uuids, g_strdup(uuid));
        }
        virDomainFree(domains[i]);
    }
    free(domains); /* libvirt's own allocation */
    if (n < 0)
        vmf_libvirt_set_error(&error, VMF_ERROR_LIBVIRT_FAILED, "listing the guests");
    if (!error) {
        g_task_return_pointer(task, found, vmf_found_free);
        return;
    }
    vmf_found_free(found);
    g_task_return_error(task, error);
}

static gboolean
vmf_standing_is_gone(gpointer uuid, gpointer standing, gpointer data)
{
    const VmfFound *found = data;

    return !g_ptr_array_find_with_equal_func(found->uuids, uuid, g_str_equal, NULL);
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
    VmfFound *found = g_task_propagate_pointer(G_TASK(result), &error);

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
    for (guint i = 0; i < found->uuids->len; i++) {
        const char *uuid = g_ptr_array_index(found->uuids, i);

        if (!g_hash_table_contains(self->guests, uuid) && !vmf_sockets_are_lent(self, uuid))
            vmf_sockets_open_guest(self, g_ptr_array_index(found->names, i), uuid, found);
    }
    vmf_found_free(found);
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

VmfSockets *
vmf_sockets_new(VmfDaemon *daemon)
{
    VmfSockets *self = g_new0(VmfSockets, 1);
    VmfLibvirt *libvirt = vmf_daemon_get_libvirt(daemon);

    self->daemon = daemon;
    self->cancellable = g_cancellable_new();
    self->guests = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, vmf_standing_free);
    self->follows =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)vmf_follow_unref);
    g_signal_connect(libvirt, "lifecycle", G_CALLBACK(vmf_sockets_on_lifecycle), self);
    g_signal_connect(libvirt, "connected", G_CALLBACK(vmf_sockets_on_connected), self);
    return self;
}

void
vmf_sockets_free(VmfSockets *self)
{
    g_signal_handlers_disconnect_by_data(vmf_daemon_get_libvirt(self->daemon), self);
    g_cancellable_cancel(self->cancellable);
    g_object_unref(self->cancellable);
    g_hash_table_unref(self->guests);
    g_hash_table_unref(self->follows);
    g_free(self);
}
