/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The end of a migration that libvirt is at, because somebody asked for it or it leads nowhere:
 * libvirt's job is aborted; if it has none (yet, or any more) the stream is cut, without which
 * there will be none. It is cut at once while the guest is stopped for the switchover: QEMU hears
 * no order before the rest is sent. Whatever the destination has by then, libvirt lets one of the
 * two run, and says which.
 *
 * libvirt may not come back from it: its call waits for the other host's libvirtd, which may be
 * gone, and keepalive notices that after half a minute. So when VMF_ABORT_PATIENCE has passed the
 * stream is cut, and if the guest runs at the source, as libvirt says, the migration is over.
 *
 * Threads: the main loop; libvirt is called in others. It lives by itself until it is done.
 */
#pragma once

#include "daemon/migration.h"
#include "daemon/pump-process.h"
#include "daemon/workers.h"

#define VMF_ABORT_PATIENCE 1000 /* ms */

typedef struct {
    VmfMigration *migration;
    VmfPump *pump;       /* NULL: libvirt carries it without one */
    virDomainPtr domain; /* of the connection that migrates it */
    VmfWorkers *workers;
    const char *libvirt_uri;
    const GError *why; /* NULL: it was cancelled */
} VmfAbortSetup;

void vmf_abort_start(const VmfAbortSetup *setup);
