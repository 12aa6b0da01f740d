/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Link.Check: a peer asks what would become of a guest of its here (precheck.h). Main loop.
 */
#pragma once

#include "daemon/daemon.h"
#include "link-bus.h"

/* Answers `invocation`, later, from a worker thread's findings. */
void vmf_link_check(VmfDaemon *daemon, GVariant *guest, VmfBusLink *skeleton,
                    GDBusMethodInvocation *invocation);
