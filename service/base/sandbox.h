/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The confinement of processes that parse bytes of strangers (vmferry-pump, vmferry-inspect): each
 * gives away all that it can do without before the first of those bytes, and keeps its descriptors,
 * memory and time.
 *
 * As root: own network, ipc and mount namespaces, an empty read-only root directory, the given
 * user's uid and gid and no other group, no capability, no new privileges, no core dump, limits,
 * and only the system calls of base/syscalls.h. Otherwise what is possible without privileges, the
 * system calls among it; the rest is skipped and named in a debug line. Namespaces are also skipped
 * where the kernel refuses them (some containers). A priority over other processes is given away,
 * too (nice).
 *
 * Threads: before any other thread is started.
 */
#pragma once

#include <glib.h>

typedef struct {
    const char *user; /* who to become when root */
    guint files;      /* descriptors */
    gsize memory;     /* bytes of address space; 0: no limit */
    guint seconds;    /* of CPU, then SIGXCPU; 0: no limit */
} VmfSandbox;

/*
 * Fails with VMF_ERROR_BAD_CONFIGURATION (no such user) or VMF_ERROR_FAILED; the process must then
 * end.
 */
gboolean vmf_sandbox_enter(const VmfSandbox *sandbox, GError **error);
