/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What becomes of connections that the firewall has led here: one after the other, in order of
 * accept, the peer is asked which guest waits where the connection was going. Then it becomes a
 * channel of that guest's migration, or goes on to where it was going; see capture.h.
 *
 * Main loop; peers are asked in threads.
 */
#pragma once

#include "daemon/daemon.h"

typedef struct VmfCapturedQueue VmfCapturedQueue;

VmfCapturedQueue *vmf_captured_queue_new(VmfDaemon *daemon);

/* Drops what waits, and what goes on untouched. */
void vmf_captured_queue_free(VmfCapturedQueue *queue);

/* `to`: an address of `peer`'s. Dropped when too many wait. */
void vmf_captured_queue_add(VmfCapturedQueue *queue, GSocketConnection *connection,
                            GSocketAddress *to, VmfPeer *peer);
