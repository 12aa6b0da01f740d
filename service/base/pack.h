/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text made small for the control link (gzip), and back with a bound: what comes from a peer may
 * be a bomb. Pure; any thread. Errors: VMF_ERROR_PROTOCOL.
 */
#pragma once

#include <glib.h>

GBytes *vmf_pack(GBytes *bytes);

/* At most `max` bytes come out. */
GBytes *vmf_unpack(const guint8 *data, gsize length, gsize max, GError **error);
