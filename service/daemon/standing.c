/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/standing.h"

#include "base/error.h"
#include "base/log.h"
#include "daemon/doorway.h"
#include "daemon/peer.h"
#include "daemon/policies.h"
#include "daemon/socket-path.h"
#include "daemon/sockets.h"

struct VmfStanding {
    VmfDaemon *daemon; /* outlives it */
    char *name;
    char *uuid;
    VmfPolicySubject *subject; /* NULL: its XML could not be read */
    GPtrArray *towards;        /* VmfPeer, to which it is to have doorways */
    GPtrArray *doorways;
};

/* For each doorway. */
typedef struct {
    VmfDaemon *daemon;
    VmfPeer *peer;
    char *name;
    char *uuid;
} VmfStandingDoor;

void
vmf_standing_free(VmfStanding *standing)
{
    g_ptr_array_unref(standing->doorways);
    g_ptr_array_unref(standing->towards);
    g_clear_pointer(&standing->subject, vmf_policy_subject_free);
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

static void
vmf_standing_on_taken(gpointer data, const char *kind, GSocket *connection)
{
    const VmfStandingDoor *door = data;
    const VmfBrought brought = {
        .peer = door->peer,
        .name = door->name,
        .uuid = door->uuid,
        .origin = "socket",
        .kind = kind,
        .socket = connection,
    };

    vmf_sockets_take(vmf_daemon_get_sockets(door->daemon), &brought);
}

/* ---- doorways ---- */

static void
vmf_standing_open_doorway(VmfStanding *standing, VmfPeer *peer, VmfDoorwaySetup setup)
{
    VmfStandingDoor *door = g_new0(VmfStandingDoor, 1);
    g_autoptr(GError) error = NULL;
    VmfDoorway *doorway;

    door->daemon = standing->daemon;
    door->peer = g_object_ref(peer);
    door->name = g_strdup(standing->name);
    door->uuid = g_strdup(standing->uuid);
    setup.guest = standing->name;
    setup.taken = vmf_standing_on_taken;
    setup.data = door;
    setup.release = vmf_standing_door_free;
    doorway = vmf_doorway_open(&setup, &error);
    if (doorway)
        g_ptr_array_add(standing->doorways, doorway);
    else
        vmf_warn(NULL, "guest '%s' has no socket towards %s: %s", standing->name,
                 vmf_peer_get_config(peer)->name, error->message);
}

void
vmf_standing_open(VmfStanding *standing, guint uid, guint gid)
{
    const VmfConfig *config = vmf_daemon_get_config(standing->daemon);

    for (guint i = 0; i < standing->towards->len; i++) {
        VmfPeer *peer = g_ptr_array_index(standing->towards, i);
        g_autofree char *path =
            vmf_socket_path(config->run_directory, vmf_peer_get_config(peer)->name, standing->name);
        g_autofree char *nbd = path ? vmf_socket_path_for_nbd(path) : NULL;

        if (!path)
            continue;
        vmf_standing_open_doorway(
            standing, peer,
            (VmfDoorwaySetup){.path = path, .kind = "qemu", .uid = uid, .gid = gid});
        vmf_standing_open_doorway(
            standing, peer, (VmfDoorwaySetup){.path = nbd, .kind = "nbd", .uid = uid, .gid = gid});
    }
}

gboolean
vmf_standing_take_over(VmfStanding *standing, VmfStanding *other)
{
    GPtrArray *doorways = standing->doorways;

    if (standing->towards->len != other->towards->len || !g_str_equal(standing->name, other->name))
        return FALSE;
    for (guint i = 0; i < standing->towards->len; i++)
        if (standing->towards->pdata[i] != other->towards->pdata[i])
            return FALSE;
    standing->doorways = other->doorways;
    other->doorways = doorways;
    return TRUE;
}

/* ---- the guest ---- */

VmfChosenPolicy *
vmf_standing_choose_policy(VmfStanding *standing, VmfPeer *peer)
{
    VmfPolicies *policies = vmf_daemon_get_policies(standing->daemon);

    return standing->subject ? vmf_policies_choose_for(policies, standing->subject,
                                                       vmf_peer_get_config(peer)->name)
                             : NULL;
}

static void
vmf_standing_add_peer(VmfPeer *peer, gpointer data)
{
    VmfStanding *standing = data;
    g_autoptr(VmfChosenPolicy) policy = NULL;

    if (!vmf_peer_get_config(peer)->may_receive)
        return;
    policy = vmf_standing_choose_policy(standing, peer);
    if (!policy || policy->policy.ways & VMF_WAY_SOCKET)
        g_ptr_array_add(standing->towards, g_object_ref(peer));
}

VmfStanding *
vmf_standing_new(VmfDaemon *daemon, VmfRunningGuest *guest)
{
    VmfStanding *standing = g_new0(VmfStanding, 1);

    standing->daemon = daemon;
    standing->name = g_strdup(guest->name);
    standing->uuid = g_strdup(guest->uuid);
    standing->subject = g_steal_pointer(&guest->subject);
    standing->towards = g_ptr_array_new_with_free_func(g_object_unref);
    standing->doorways = g_ptr_array_new_with_free_func((GDestroyNotify)vmf_doorway_close);
    if (vmf_daemon_get_config(daemon)->sockets)
        vmf_daemon_foreach_peer(daemon, vmf_standing_add_peer, standing);
    return standing;
}

const char *
vmf_standing_get_name(const VmfStanding *standing)
{
    return standing->name;
}

const char *
vmf_standing_get_uuid(const VmfStanding *standing)
{
    return standing->uuid;
}

gboolean
vmf_standing_is_towards(const VmfStanding *standing, const VmfPeer *peer)
{
    return g_ptr_array_find(standing->towards, peer, NULL);
}
