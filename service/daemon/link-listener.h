/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Link.FindListener: which guest's QEMU waits on a port of this host (listeners.h). Main loop. */
#pragma once

#include "daemon/daemon.h"

/* Answers `invocation`, later. */
void vmf_link_find_listener(VmfDaemon *daemon, guint16 port, GDBusMethodInvocation *invocation);
