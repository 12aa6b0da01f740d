/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest that runs here, and the sockets that stand open for it: towards each peer that may
 * receive it, as its policy has it (vmferry-policy(5), auto-enable).
 *
 * Main loop. Opening and closing block shortly.
 */
#pragma once

#include "daemon/running-guests.h"

typedef struct VmfStanding VmfStanding;

/* Takes the guest's subject. No socket is open yet; policies are asked now. */
VmfStanding *vmf_standing_new(VmfDaemon *daemon, VmfRunningGuest *guest);

/* Closes its sockets; connections that were taken stay. */
void vmf_standing_free(VmfStanding *standing);

/* Opens all; `uid`, `gid`: of QEMU. One that cannot be opened is logged. */
void vmf_standing_open(VmfStanding *standing, guint uid, guint gid);

/* If `other` has just the sockets that this one is to have, they are this one's now: TRUE. */
gboolean vmf_standing_take_over(VmfStanding *standing, VmfStanding *other);

/* Borrowed. */
const char *vmf_standing_get_name(const VmfStanding *standing);
const char *vmf_standing_get_uuid(const VmfStanding *standing);
gboolean vmf_standing_is_towards(const VmfStanding *standing, const VmfPeer *peer);

/* What holds on the way to a peer; NULL: the guest's XML could not be read. The caller's. */
VmfChosenPolicy *vmf_standing_choose_policy(VmfStanding *standing, VmfPeer *peer);
