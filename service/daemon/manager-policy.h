/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The Manager's methods that are about policies. Main loop. */
#pragma once

#include "daemon/daemon.h"
#include "vmferry-bus.h"

/* Answers Plan, GetPolicy and ReloadPolicies of `skeleton`; borrows the daemon. */
void vmf_manager_serve_policy(VmfDaemon *daemon, VmfBusManager *skeleton);
