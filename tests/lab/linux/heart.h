/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The heart of a guest with Linux: the process that has the serial port.
 *
 * It passes the workload's lines on, and once the line R came, gives the heartbeats that
 * guest/counter.c describes. It runs before all other processes, so that a gap between heartbeats
 * is one of the guest and not of its scheduler. It writes to the port's registers, not to the
 * kernel's terminal: the kernel would write when it likes.
 */
#pragma once

#include "workload.h"

/* `lines` is the reading end of the pipe. Returns when the workload has closed the other one. */
void heart_run(int lines, const Status *status);

/* The line that tells why the guest has ended. */
void heart_end(const char *why);
