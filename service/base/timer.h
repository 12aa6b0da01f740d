/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A timer that belongs to who set it: kept in a GSource pointer, cleared with it.
 *
 * Threads: runs in the thread-default context of who makes it; clear it there. The function may
 * clear its own timer.
 */
#pragma once

#include <glib.h>

/* Fires after `ms` milliseconds, and again unless the function returns G_SOURCE_REMOVE. */
GSource *vmf_timer_new(guint ms, GSourceFunc func, gpointer data);

/* Fires when g_source_set_ready_time() says, and not before that was called; from any thread. */
GSource *vmf_alarm_new(GSourceFunc func, gpointer data);

/* Harmless if there is none. */
void vmf_timer_clear(GSource **timer);
