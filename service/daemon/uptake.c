/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/uptake.h"

#include "base/error.h"

#define HELD_UP (10 * G_USEC_PER_SEC) /* without figures for so long, it was us who stood still */

/* s; 0: it may take for ever. */
static guint
vmf_uptake_limit(VmfState state, guint patience)
{
    patience = patience == 0 ? VMF_UPTAKE_USUALLY : MAX(patience, VMF_UPTAKE_LEAST);
    if (state == VMF_STATE_RUNNING)
        return patience;
    return state == VMF_STATE_SWITCHING ? MIN(patience, VMF_UPTAKE_STILL) : 0;
}

GError *
vmf_uptake_note(VmfUptake *self, VmfState state, guint patience, const char *peer,
                GVariant *statistics, gint64 now)
{
    guint limit = vmf_uptake_limit(state, patience);
    guint64 taken = 0, waiting = 0;
    guint links = 0;
    gboolean held_up = now - self->seen > HELD_UP;

    g_variant_lookup(statistics, "bytes-taken", "t", &taken);
    g_variant_lookup(statistics, "bytes-kept", "t", &waiting);
    g_variant_lookup(statistics, "links", "u", &links);
    self->seen = now;
    if (limit == 0 || held_up || links == 0 || waiting == 0 || taken != self->taken) {
        self->taken = taken;
        self->since = now;
        return NULL;
    }
    if (now - self->since < (gint64)limit * G_USEC_PER_SEC)
        return NULL;
    self->since = now; /* said once in a while, should it go on */
    return g_error_new(
        VMF_ERROR, VMF_ERROR_TIMED_OUT,
        "%s answers, but has taken nothing of the %" G_GUINT64_FORMAT
        " KiB that wait for it for %u s: see whether QEMU there hangs, and its disks",
        peer, (waiting + 1023) / 1024, limit);
}
