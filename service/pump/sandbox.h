/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pump's confinement. It parses bytes of strangers, so it gives away all that it can do without
 * before the first of them: it keeps its descriptors, memory and time.
 *
 * As root: own network, ipc and mount namespaces, an empty read-only root directory, the given
 * user's uid and gid and no other group, no capability, no new privileges, no core dump, few
 * descriptors. Otherwise what is possible without privileges; the rest is skipped and named in a
 * debug line. Namespaces are also skipped where the kernel refuses them (some containers).
 *
 * Threads: before any other thread is started.
 */
#pragma once

#include <glib.h>

/* Enough for VMF_CHANNELS_OPEN channels, the link, and some daemons. */
#define VMF_SANDBOX_FILES 256

/*
 * `user`: who to become when root. Fails with VMF_ERROR_BAD_CONFIGURATION (no such user) or
 * VMF_ERROR_FAILED; the process must then end.
 */
gboolean vmf_sandbox_enter(const char *user, GError **error);
