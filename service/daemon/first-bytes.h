/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether a connection of an unknown kind is one of QEMU's migration streams: by its first bytes,
 * which stay in it. Main loop.
 */
#pragma once

#include <gio/gio.h>

/*
 * Waits for at most `milliseconds` until four bytes are there: QEMU speaks first, and many others
 * do not. The callback comes on the main loop.
 */
void vmf_first_bytes_wait(GSocket *connection, guint milliseconds, GCancellable *cancellable,
                          GAsyncReadyCallback callback, gpointer data);

/* Whether a stream, or one of its further connections, begins there. Error: G_IO_ERROR_CANCELLED.
 */
gboolean vmf_first_bytes_finish(GAsyncResult *result, GError **error);
