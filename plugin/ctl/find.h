/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finding a migration by its id, for the commands that do something to one. One thread. */
#pragma once

#include "ctl/ctl.h"

/* The caller's; NULL after having said why, with the exit status in `ret_status`. */
VmfBusMigration *vmf_ctl_find_migration(const char *id, int *ret_status);
