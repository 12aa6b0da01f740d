/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What libvirt tells of a migration that leaves this host, brought to its object on the bus:
 * iterations, the stop of the guest and the completed statistics from events; what remains and how
 * fast it is dirtied by asking, at the beginning of each iteration and every half second while it
 * runs, because libvirt has no event for it. Main loop.
 */
#pragma once

#include "daemon/libvirt.h"
#include "daemon/migration.h"

typedef struct VmfJobWatch VmfJobWatch;

VmfJobWatch *vmf_job_watch_start(VmfMigration *migration, VmfLibvirt *libvirt,
                                 const char *libvirt_uri);

/* Called with each answer of libvirt's, after the migration's object has it. May stop the watch. */
typedef void (*VmfJobListener)(const VmfJob *job, gpointer data);
void vmf_job_watch_set_listener(VmfJobWatch *watch, VmfJobListener listener, gpointer data);

void vmf_job_watch_stop(VmfJobWatch *watch);
