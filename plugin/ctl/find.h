/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finding what a command is about on the bus. One thread. */
#pragma once

#include "ctl/ctl.h"

/* The caller's; NULL after having said why, with the exit status in `ret_status`. */
VmfBusMigration *vmf_ctl_find_migration(const char *id, int *ret_status);

/* By name; likewise. */
VmfBusPeer *vmf_ctl_find_peer(GDBusObjectManager *objects, const char *name);
