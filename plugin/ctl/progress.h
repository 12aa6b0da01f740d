/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a running migration is shown: on a terminal one line that is written over, elsewhere a line
 * when something changes and every few seconds. On standard error; one thread.
 */
#pragma once

#include "ctl/ctl.h"

typedef struct VmfProgress VmfProgress;

VmfProgress *vmf_progress_new(VmfBusMigration *migration);

/* Shows what the migration's properties say now. */
void vmf_progress_update(VmfProgress *progress);

/* Leaves the terminal's line clean for what comes next, until the next update. */
void vmf_progress_clear(VmfProgress *progress);

void vmf_progress_free(VmfProgress *progress);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfProgress, vmf_progress_free)

/*
 * The one line, at most `width` columns; the caller's. Where the whole does not fit, it is worded
 * more briefly, the guest's name is cut, and at last what matters least. For tests too.
 */
char *vmf_progress_format(VmfBusMigration *migration, gint64 now, int width);
