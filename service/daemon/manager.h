/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * org.vmferry1.Manager at /org/vmferry1 (data/org.vmferry1.xml). Main loop.
 */
#pragma once

#include "daemon/daemon.h"

#define VMF_MANAGER_PATH "/org/vmferry1"

/* The object to put on the bus; the caller's. It borrows the daemon. */
GDBusInterfaceSkeleton *vmf_manager_new(VmfDaemon *daemon);

/* Its property Features, when what this host can do is not what it was. */
void vmf_manager_show_features(GDBusInterfaceSkeleton *manager, VmfDaemon *daemon);

/* Its property MemoryGranted; any thread. */
void vmf_manager_show_granted(GDBusInterfaceSkeleton *manager, guint64 granted);

/* The methods of a migration's object, for root. */
void vmf_manager_serve_migration(VmfMigration *migration);

/* Borrowed. Error: NO_SUCH_PEER. */
VmfPeer *vmf_manager_find_peer(VmfDaemon *daemon, const char *name, GError **error);
