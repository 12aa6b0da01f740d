/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program of this host, run to be asked something, and not believed: another user, no network,
 * read-only files, bounded time, memory and output. When it is over, all that it started is killed.
 *
 * As root the program gets namespaces of its own where the kernel gives them; otherwise what is
 * possible without privileges. Its environment is empty but for PATH, its standard error goes
 * nowhere.
 *
 * Blocks, so for worker threads; a child belongs to one thread, and dies with it. SIGPIPE has to be
 * ignored in the process.
 * Errors: VMF_PROBE_ERROR, which say in what way it is broken.
 */
#pragma once

#include <gio/gio.h>

typedef enum {
    VMF_PROBE_ERROR_MISSING,  /* there is no such program, or it cannot be run */
    VMF_PROBE_ERROR_EXITED,   /* it ended before it had answered */
    VMF_PROBE_ERROR_TIMEOUT,  /* it did not answer in time */
    VMF_PROBE_ERROR_GARBAGE,  /* it answered something else than was asked */
    VMF_PROBE_ERROR_TOO_MUCH, /* it answered more than anybody would read */
    VMF_PROBE_ERROR_REFUSED,  /* it understood, and says no; the program is not broken */
} VmfProbeError;

#define VMF_PROBE_ERROR (vmf_probe_error_quark())
GQuark vmf_probe_error_quark(void);

/* "missing", "exited", "timeout", "garbage", "too-much", "refused"; the caller logs or shows it. */
const char *vmf_probe_error_name(VmfProbeError code);

/* For all that a child does. */
typedef struct {
    guint time;    /* ms */
    gsize output;  /* bytes */
    guint64 space; /* bytes of address space */
} VmfChildLimits;

typedef struct VmfChild VmfChild;

/*
 * `argv`: a path, and what it is to be told; never a shell. `user`: who it becomes, if we are root.
 */
VmfChild *vmf_child_start(const char *const *argv, const char *user, const VmfChildLimits *limits,
                          GError **error);

/* Kills it and what it started. NULL is ignored. */
void vmf_child_free(VmfChild *child);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfChild, vmf_child_free)

/* To its standard input. */
gboolean vmf_child_write(VmfChild *child, const char *text, gsize length, GError **error);

/* A line of its standard output, without the newline; the child's, until the next call. */
const char *vmf_child_read_line(VmfChild *child, gsize *ret_length, GError **error);

/* All of its standard output, until it closes it. */
GBytes *vmf_child_read_all(VmfChild *child, GError **error);
