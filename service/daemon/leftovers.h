/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a daemon that died left under the run directory: socket files that nobody listens on any
 * more. Those that somebody does (pumps that go on, a QEMU that waits for its stream) stay; which
 * they are is read from the kernel's list of sockets, because connecting to a waiting QEMU would
 * be taken for its stream. Blocks shortly; for the start.
 */
#pragma once

#include <glib.h>

/* `run_directory`/FOLDER/SOCKET, for every FOLDER. */
void vmf_leftovers_remove(const char *run_directory);

/* The paths of listening sockets in the text of /proc/net/unix, as a set. For tests, too. */
GHashTable *vmf_leftovers_parse_listening(const char *proc_net_unix);
