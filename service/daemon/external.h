/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Migrations that others start (virsh, virt-manager, any client) and that do not come through us:
 * noticed by libvirt's iteration events, shown on the bus with engine "native" and origin
 * "external", and where the guest's policy allows, tuned while they run. Main loop.
 */
#pragma once

#include "daemon/daemon.h"

VmfExternal *vmf_external_new(VmfDaemon *daemon);
void vmf_external_free(VmfExternal *external);

/*
 * The guest's migration turns out to come through us, by a socket or by capture: it is not shown as
 * a stranger's any more.
 */
void vmf_external_yield(VmfExternal *external, const char *uuid);
