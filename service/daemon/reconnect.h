/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The source's part in a data link that broke: brings its pump a new connection, again and again
 * with growing pauses, until the link is back or the pump has lost its patience. The pumps then go
 * on where they were (link/PROTOCOL.md, "Resuming"). What the destination refuses for good, because
 * it knows the migration no more, ends the pump at once.
 *
 * The migration shows that it is stalled, and how often it was tried.
 *
 * Threads: the main loop's; who dials does it in a thread of its own.
 */
#pragma once

#include "daemon/migration.h"
#include "daemon/peer.h"
#include "daemon/pump-process.h"
#include "daemon/workers.h"

#define VMF_RECONNECT_FIRST 250 /* ms, after the first attempt that failed; then doubled */
#define VMF_RECONNECT_MAX 4000  /* ms; all give or take a quarter */

typedef struct VmfReconnect VmfReconnect;

typedef struct {
    VmfMigration *migration;
    VmfPeer *peer;
    VmfPump *pump;
    VmfWorkers *workers;
} VmfReconnectSetup;

VmfReconnect *vmf_reconnect_new(const VmfReconnectSetup *setup);
void vmf_reconnect_free(VmfReconnect *reconnect);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfReconnect, vmf_reconnect_free)

/* The numbers of the links that are lost now (au). */
void vmf_reconnect_note(VmfReconnect *reconnect, GVariant *lost);
