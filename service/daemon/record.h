/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a vmferryd that is killed or restarted leaves for the next one to know of a migration: one
 * key file RUN/pumps/ID.state, with a group for each part of the daemon that keeps something
 * (VmfKeeper), and values in GVariant's text form.
 *
 * Replaced as a whole, mode 0600. Read only as such a file of this very format: one that was cut
 * short, comes from another version, belongs to somebody else or is not sensible is an error that
 * names it. It lies below /run, so that it never outlives the host's uptime.
 *
 * Sections are an a{sa{sv}}. Any thread. The calls block shortly, on a file system in memory.
 * Errors: FAILED, and when reading BAD_CONFIGURATION.
 */
#pragma once

#include <glib.h>

#define VMF_RECORD_VERSION 1
#define VMF_RECORD_SUFFIX ".state"
#define VMF_RECORD_BYTES_MAX (1024 * 1024)

/* The caller's. */
char *vmf_record_path(const char *run_directory, const char *id);

/* Takes `sections` if floating. */
gboolean vmf_record_write(const char *path, GVariant *sections, GError **error);

/* The caller's. */
GVariant *vmf_record_read(const char *path, GError **error);

void vmf_record_remove(const char *path);

/*
 * Those that lie there, by path, an array of char *. What a write left that was broken off is
 * removed.
 */
GPtrArray *vmf_record_list(const char *run_directory);

/* a{sv}, empty when there is no such section; the caller's. */
GVariant *vmf_record_get_section(GVariant *sections, const char *name);
