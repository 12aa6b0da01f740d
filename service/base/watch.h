/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A watch on a descriptor in a main loop, whose conditions are switched without making a new source
 * each time.
 *
 * With no condition wanted the descriptor is not polled at all: poll(2) reports hang-ups whether
 * asked or not, and a watch that nobody wants to be told would spin. To be told of hang-ups only,
 * want G_IO_HUP.
 *
 * Threads: made, used and freed in one thread, the one whose thread-default context runs it.
 * Ownership: the descriptor stays the caller's; free the watch before closing it. The function may
 * free the watch.
 */
#pragma once

#include <glib-unix.h>

typedef struct VmfWatch VmfWatch;
typedef void (*VmfWatchFunc)(GIOCondition condition, gpointer data);

VmfWatch *vmf_watch_new(int fd, VmfWatchFunc func, gpointer data);
void vmf_watch_free(VmfWatch *watch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfWatch, vmf_watch_free)

/* Hang-ups and errors are reported with any other condition. */
void vmf_watch_want(VmfWatch *watch, GIOCondition wanted);

/* Adds to, or takes from, what is wanted. */
void vmf_watch_change(VmfWatch *watch, GIOCondition condition, gboolean wanted);
