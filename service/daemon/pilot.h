/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Does during a migration from this host what its options asked for: the switch to post-copy after
 * the first pass, or by hand; what is to happen at the timeout. Main loop; libvirt is called in
 * threads.
 */
#pragma once

#include "daemon/libvirt.h"
#include "daemon/migration.h"
#include "daemon/options.h"

typedef struct VmfPilot VmfPilot;

/* The time starts now. `options` must live as long. */
VmfPilot *vmf_pilot_start(VmfMigration *migration, VmfLibvirt *libvirt, const char *libvirt_uri,
                          const VmfOptions *options);
void vmf_pilot_stop(VmfPilot *pilot);
