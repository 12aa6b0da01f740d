/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The onward connection of a channel at the destination: from this daemon to the socket where the
 * waiting QEMU listens, handed to the pump. Main loop; asynchronous.
 */
#pragma once

#include "daemon/pump-process.h"

/*
 * Answers the channel, or refuses it with the reason. `path` lies in a folder that belongs to
 * `uid`, the user QEMU runs as: only a socket that this user listens on is taken. `id`: of the
 * migration, for the log.
 */
void vmf_onward_dial(VmfPump *pump, guint channel, const char *path, guint uid, const char *id);
