/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.vmferry1.Manager.Hook, which libvirt's hook calls. Main loop. */
#pragma once

#include "daemon/daemon.h"
#include "vmferry-bus.h"

void vmf_manager_serve_hook(VmfDaemon *daemon, VmfBusManager *skeleton);
