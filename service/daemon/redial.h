/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeps a control link to a peer: dials again when it was lost, after a second at first and after
 * twice as long each time it fails, up to a minute, a quarter more or less so that hosts do not
 * dial in step.
 *
 * Main loop; what blocks is done in a thread.
 */
#pragma once

#include "daemon/daemon.h"

#define VMF_REDIAL_FIRST 1 /* s */
#define VMF_REDIAL_MAX 60  /* s */

typedef struct VmfRedial VmfRedial;

/* `peer` outlives it. */
VmfRedial *vmf_redial_new(VmfPeer *peer, VmfWorkers *workers);

/* Ends what is under way, too. */
void vmf_redial_free(VmfRedial *redial);

/* The link that we dialled is lost. */
void vmf_redial_lost(VmfRedial *redial);

/* The peer is there, as it connected to us: time to connect to it, too. */
void vmf_redial_now(VmfRedial *redial);
