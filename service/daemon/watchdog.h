/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests: tells when the main loop was held up, and for how long.
 *
 * What is counted is the time from the end of one poll to the beginning of the next, less the time
 * in which the thread was ready to run and another had the processor. Each one over the limit is
 * logged.
 *
 * Main loop. It costs two reads of /proc for each turn of the loop.
 */
#pragma once

#include <glib.h>

typedef struct VmfWatchdog VmfWatchdog;

/* Watches the default main context. `limit`: ms. */
VmfWatchdog *vmf_watchdog_start(guint limit);

/* The number of turns that were over the limit. */
guint vmf_watchdog_stop(VmfWatchdog *watchdog);
