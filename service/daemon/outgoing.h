/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The source's part in a migration: one worker thread that goes through its steps in order.
 *
 *   control link   found or dialled
 *   Link.Agree     what both sides can do and want (negotiation.h)
 *   Link.Prepare   the destination is ready and gives path, ticket and secret
 *   pump           started here; a data connection dialled and handed to it
 *   sockets        RUN/PEER/GUEST.sock and those beside it, where libvirt and QEMU will connect
 *                  (main loop)
 *   migrate        virDomainMigrateToURI3, peer-to-peer: this host's libvirtd leads
 *   Link.Finish    the destination hears how libvirt says it ended
 *
 * Where somebody else asked libvirt, `sockets` and `migrate` are what VmfFollow does.
 *
 * A migration that an earlier vmferryd began is taken over from its record (record.h): its pump is
 * adopted, the sockets are opened again, and libvirt's word is waited for, as its call died with
 * that daemon; libvirt itself goes on (a peer-to-peer migration is its own affair).
 *
 * libvirt's word is what counts: a migration is completed when its call returns success, and in
 * every other case the guest goes on here.
 */
#pragma once

#include "daemon/daemon.h"
#include "daemon/follow.h"
#include "daemon/guest.h"
#include "daemon/options.h"
#include "daemon/peer.h"

/* Starts; `migration` tells the rest. It is on the bus already. Takes the options. */
void vmf_outgoing_start(VmfDaemon *daemon, VmfMigration *migration, VmfPeer *peer,
                        VmfOptions *options);

/*
 * Likewise one that an earlier vmferryd began, from what was kept of it; steered as before. Error:
 * INVALID_ARGUMENT (what was kept is not sensible).
 */
gboolean vmf_outgoing_take_over(VmfDaemon *daemon, VmfMigration *migration, VmfPeer *peer,
                                GVariant *sections, GError **error);

/* Likewise for a migration that somebody else asked libvirt for. */
void vmf_outgoing_start_following(VmfDaemon *daemon, VmfMigration *migration, VmfPeer *peer,
                                  VmfFollow *follow);
