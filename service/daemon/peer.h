/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A peer: one file of peers.d, its object on the bus, and the control links to it.
 *
 * The link that this side dialled is kept and used again, and dialled again when it is lost; what
 * the peer dialled only answers, and makes this side dial, too. Both are asked whether the peer
 * still lives.
 * vmf_peer_get_link() blocks and is for worker threads; the rest is for the main loop unless it
 * says otherwise.
 */
#pragma once

#include "daemon/daemon.h"

#define VMF_TYPE_PEER (vmf_peer_get_type())
G_DECLARE_FINAL_TYPE(VmfPeer, vmf_peer, VMF, PEER, GObject)

/* Takes `config`. */
VmfPeer *vmf_peer_new(VmfDaemon *daemon, VmfPeerConfig *config);

/* Any thread; constant. */
const VmfPeerConfig *vmf_peer_get_config(VmfPeer *peer);

GDBusObjectSkeleton *vmf_peer_get_object(VmfPeer *peer);

/*
 * An open control link to the peer, dialled now if there is none; in `ret_remote` where it was
 * reached. Worker threads; one dials while the others wait.
 * Errors: as vmf_control_dial(), and PEER_REFUSED.
 */
GDBusConnection *vmf_peer_get_link(VmfPeer *peer, GCancellable *cancellable,
                                   GSocketAddress **ret_remote, GError **error);

/* Likewise if there is one, else NULL: never blocks. Any thread; `ret_remote` may be NULL. */
GDBusConnection *vmf_peer_peek_link(VmfPeer *peer, GSocketAddress **ret_remote);

/* Calls of one peer that may wait for their answer at once, over all its links. */
#define VMF_PEER_CALLS_MAX 144

/* Counts a call of the peer's until it is answered. Error: LIMIT_REACHED. */
gboolean vmf_peer_admit_call(VmfPeer *peer, GDBusMethodInvocation *invocation, GError **error);

/* The daemon ends: links are not dialled again. */
void vmf_peer_stop(VmfPeer *peer);

/* The peer dialled us; a link too many is dropped. */
void vmf_peer_take_link(VmfPeer *peer, GDBusConnection *link);

/* What this host says in Hello, asked or answering. Any thread. */
void vmf_peer_fill_hello(VmfPeer *peer, GVariantDict *ret);

/*
 * Says Hello on an open link and notes the answer: what holds here and there now. Blocks: worker
 * threads. Errors: as vmf_peer_get_link().
 */
gboolean vmf_peer_hello(VmfPeer *peer, GDBusConnection *link, GCancellable *cancellable,
                        GError **error);

/* What this host offers is not what it said: it says Hello again, and hears what holds there. */
void vmf_peer_greet_again(VmfPeer *peer);

/*
 * What the peer said in its Hello on `link`, not checked: shown on the bus. Any thread.
 * Errors: PROTOCOL, FEATURE_MISSING.
 */
gboolean vmf_peer_note_hello(VmfPeer *peer, GDBusConnection *link, GVariant *hello, GError **error);
