/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether the destination takes what it is sent. A pump that is hung, or means ill, is noticed when
 * its link falls silent; one that goes on answering while it acknowledges nothing (it lies, or QEMU
 * behind it does not read) is noticed here. Before the switchover it may take as long about it as a
 * link that broke may be away, VMF_UPTAKE_LEAST at least; while the guest stands still
 * VMF_UPTAKE_STILL at most. In post-copy nothing is judged: the guest's memory is on both hosts
 * then, and waiting is all there is.
 *
 * Pure: the clock is passed in. One thread.
 */
#pragma once

#include "daemon/migration.h"

#define VMF_UPTAKE_LEAST 8     /* s */
#define VMF_UPTAKE_STILL 30    /* s */
#define VMF_UPTAKE_USUALLY 120 /* s: where links are not waited for at all */

typedef struct {
    guint64 taken; /* bytes, as acknowledged */
    gint64 since;  /* µs, when they grew last, or nothing waited; 0: never asked */
    gint64 seen;   /* µs, when it was asked last */
} VmfUptake;

/*
 * statistics: of the source's pump. patience: s, that a broken link is waited for, or 0. now: µs,
 * monotonic. An error of VMF_ERROR_TIMED_OUT, the caller's, when it has been too long; NULL else.
 */
GError *vmf_uptake_note(VmfUptake *uptake, VmfState state, guint patience, const char *peer,
                        GVariant *statistics, gint64 now);
