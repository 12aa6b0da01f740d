/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Migrations that an earlier vmferryd of this host began, and that its records (record.h) tell of:
 * they are on the bus again, with figures, decisions and settings as they were, and go on in
 * VmfOutgoing and VmfIncoming, whether their pumps still live or not. How those ended that nobody
 * saw end is worked out from what libvirt says.
 *
 * A record that cannot be used is named in the log and removed; its pump, if there is one, is left
 * to itself. Main loop, before peers can connect; blocks shortly.
 */
#pragma once

#include "daemon/daemon.h"

void vmf_takeover_run(VmfDaemon *daemon);
