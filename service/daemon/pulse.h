/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether the other end of a control link is still there: it is asked every VMF_PULSE_INTERVAL, and
 * a link whose other end owes an answer for VMF_PULSE_PATIENCE is closed. So a host that lost
 * power, a cable that was pulled and a daemon that hangs are noticed within the sum of both.
 */
#pragma once

#include <gio/gio.h>

#define VMF_PULSE_INTERVAL 5  /* s */
#define VMF_PULSE_PATIENCE 15 /* s */

/* Until the link closes. `name`: the peer's, for the log. Any thread. */
void vmf_pulse_start(GDBusConnection *link, const char *name);
