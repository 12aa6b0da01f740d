/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which system calls a confined process may still make, by a seccomp filter for all its threads to
 * come. Nothing that is not on the list happens: new processes, sockets, mounts, tracing and what
 * else only an intruder would try kill the process with SIGSYS, which the kernel logs ("audit:
 * type=1326"); any other call fails with ENOSYS, so that a library that tries something newer does
 * without.
 *
 * Specified by: seccomp(2), libseccomp. Threads: before any other thread is started. Builds with a
 * sanitizer need more than a list can say, and have no filter.
 */
#pragma once

#include <glib.h>

/* Fails with VMF_ERROR_FAILED; the process must then end. A kernel without seccomp is a failure. */
gboolean vmf_syscalls_restrict(GError **error);
