/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The source's part in a migration: one worker thread that goes through its steps in order.
 *
 *   control link   found or dialled
 *   Link.Prepare   the destination is ready and gives path, ticket and secret
 *   pump           started here; a data connection dialled and handed to it
 *   socket         RUN/PEER/GUEST.sock, where libvirt and QEMU will connect (main loop)
 *   migrate        virDomainMigrateToURI3, peer-to-peer: this host's libvirtd leads
 *   Link.Finish    the destination hears how libvirt says it ended
 *
 * libvirt's word is what counts: a migration is completed when its call returns success, and in
 * every other case the guest goes on here.
 */
#pragma once

#include "daemon/daemon.h"
#include "daemon/guest.h"
#include "daemon/peer.h"

typedef struct {
    gboolean unencrypted;
} VmfOutgoingOptions;

/* Starts; `migration` tells the rest. It is on the bus already. */
void vmf_outgoing_start(VmfDaemon *daemon, VmfMigration *migration, VmfPeer *peer,
                        const VmfOutgoingOptions *options);
