/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Holds QEMU back from stopping the guest until the rest fits (daemon/downtime.h), by libvirt's
 * maximum downtime. From the first pass on: then libvirt has kept the guest's own value, and puts
 * it back when the migration fails. Main loop; libvirt is called in threads.
 */
#pragma once

#include "daemon/libvirt.h"
#include "daemon/migration.h"

typedef struct VmfSwitchover VmfSwitchover;

VmfSwitchover *vmf_switchover_start(VmfMigration *migration, VmfLibvirt *libvirt,
                                    const char *libvirt_uri);
void vmf_switchover_stop(VmfSwitchover *switchover);

/* What the pump counts: a{sv} as in org.vmferry1.Pump, Statistics. */
void vmf_switchover_note_statistics(VmfSwitchover *switchover, GVariant *statistics);
