/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/daemon-private.h"

#include "daemon/incoming.h"

const VmfConfig *
vmf_daemon_get_config(VmfDaemon *self)
{
    return self->config;
}

VmfBudget *
vmf_daemon_get_budget(VmfDaemon *self)
{
    return self->budget;
}

VmfLibvirt *
vmf_daemon_get_libvirt(VmfDaemon *self)
{
    return self->libvirt;
}

VmfTicketBook *
vmf_daemon_get_tickets(VmfDaemon *self)
{
    return self->tickets;
}

VmfRefusals *
vmf_daemon_get_refusals(VmfDaemon *self)
{
    return self->refusals;
}

VmfAgreementBook *
vmf_daemon_get_agreements(VmfDaemon *self)
{
    return self->agreements;
}

VmfOwner *
vmf_daemon_get_owner(VmfDaemon *self)
{
    return self->owner;
}

VmfWorkers *
vmf_daemon_get_workers(VmfDaemon *self)
{
    return self->workers;
}

VmfSockets *
vmf_daemon_get_sockets(VmfDaemon *self)
{
    return self->sockets;
}

VmfInspector *
vmf_daemon_get_inspector(VmfDaemon *self)
{
    return self->inspector;
}

VmfProber *
vmf_daemon_get_prober(VmfDaemon *self)
{
    return self->prober;
}

VmfNatives *
vmf_daemon_get_natives(VmfDaemon *self)
{
    return self->natives;
}

VmfExternal *
vmf_daemon_get_external(VmfDaemon *self)
{
    return self->external;
}

const VmfRewrite *
vmf_daemon_get_rewrite(VmfDaemon *self)
{
    return self->rewrite;
}

VmfCapturer *
vmf_daemon_get_capturer(VmfDaemon *self)
{
    return self->capturer;
}

VmfPolicies *
vmf_daemon_get_policies(VmfDaemon *self)
{
    return self->policies;
}

VmfObserver *
vmf_daemon_get_observer(VmfDaemon *self)
{
    return self->observer;
}

VmfLessons *
vmf_daemon_get_lessons(VmfDaemon *self)
{
    return self->lessons;
}

gboolean
vmf_daemon_is_busy(VmfDaemon *self)
{
    return !vmf_workers_are_idle(self->workers);
}

VmfPeer *
vmf_daemon_find_peer(VmfDaemon *self, const char *name)
{
    g_autofree char *lower = g_ascii_strdown(name, -1); /* as they are read */

    return g_hash_table_lookup(self->peers, lower);
}

VmfPeer *
vmf_daemon_find_peer_of(VmfDaemon *self, const char *const *certificate_names)
{
    VmfPeer *peer = NULL;

    for (; *certificate_names && !peer; certificate_names++)
        peer = vmf_daemon_find_peer(self, *certificate_names);
    return peer;
}

void
vmf_daemon_foreach_peer(VmfDaemon *self, void (*visit)(VmfPeer *peer, gpointer data), gpointer data)
{
    GHashTableIter iter;
    gpointer peer;

    g_hash_table_iter_init(&iter, self->peers);
    while (g_hash_table_iter_next(&iter, NULL, &peer))
        visit(peer, data);
}

VmfMigration *
vmf_daemon_find_migration(VmfDaemon *self, const char *id)
{
    return g_hash_table_lookup(self->migrations, id);
}

VmfIncoming *
vmf_daemon_find_incoming(VmfDaemon *self, const char *id)
{
    return g_hash_table_lookup(self->incoming, id);
}

void
vmf_daemon_add_incoming(VmfDaemon *self, const char *id, VmfIncoming *incoming)
{
    g_hash_table_insert(self->incoming, g_strdup(id), incoming);
}

guint
vmf_daemon_count_incoming(VmfDaemon *self, VmfPeer *peer)
{
    GHashTableIter iter;
    gpointer incoming;
    guint count = 0;

    g_hash_table_iter_init(&iter, self->incoming);
    while (g_hash_table_iter_next(&iter, NULL, &incoming))
        count += vmf_incoming_get_peer(incoming) == peer;
    return count;
}

void
vmf_daemon_remove_incoming(VmfDaemon *self, const char *id)
{
    g_hash_table_remove(self->incoming, id);
}
