/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The methods of org.vmferry1.Manager for those who come by libvirt. Main loop. */
#pragma once

#include "daemon/daemon.h"
#include "vmferry-bus.h"

void vmf_manager_serve_ways(VmfDaemon *daemon, VmfBusManager *skeleton);

/* Capture, as from the start; the property says when. */
void vmf_manager_begin_capture(GDBusInterfaceSkeleton *manager, VmfDaemon *daemon);
