/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inspect and CheckState of org.vmferry1.Manager. Main loop. */
#pragma once

#include "daemon/daemon.h"
#include "vmferry-bus.h"

void vmf_manager_serve_inspect(VmfDaemon *daemon, VmfBusManager *skeleton);
