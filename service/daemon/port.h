/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The TCP port. Reads the preface of each connection, answers it, and hands it on: control
 * connections to TLS and then to the peer they prove to be, data connections to the pump whose
 * ticket they show.
 *
 * What is not authenticated yet is bounded: in number (vmferryd.conf, Connections), in time (10 s
 * until a peer is known) and in bytes (a preface, and the messages of a handshake). Who is turned
 * away is told of by refusals.h. Main loop.
 */
#pragma once

#include "daemon/daemon.h"

typedef struct VmfPort VmfPort;

/* Errors: BAD_CONFIGURATION (the address cannot be listened on). */
VmfPort *vmf_port_new(VmfDaemon *daemon, GError **error);
void vmf_port_free(VmfPort *port);
