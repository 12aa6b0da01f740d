/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The source's way to one more connection between the pumps: a further data link, or a new
 * connection of one that broke. A ticket is asked for over the control link, the destination
 * dialled, the pumps introduced. Any thread but the main loop's: it blocks.
 */
#pragma once

#include <gio/gio.h>

#include "daemon/pump-process.h"

typedef struct {
    const char *id;        /* of the migration */
    GDBusConnection *link; /* to the destination's daemon, which is reached at `remote` */
    GSocketAddress *remote;
    VmfPump *pump;
    guint number; /* of the data link */
} VmfAddLink;

/* Errors: as org.vmferry1.Link, AddLink, and Pump.AttachLink; not normalized. */
gboolean vmf_add_link(const VmfAddLink *add, GCancellable *cancellable, GError **error);
