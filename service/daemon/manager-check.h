/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What of org.vmferry1.Manager is about whether guests can move: Check and maintenance. Main loop.
 */
#pragma once

#include "daemon/daemon.h"
#include "vmferry-bus.h"

void vmf_manager_serve_check(VmfDaemon *daemon, VmfBusManager *skeleton);
