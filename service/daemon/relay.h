/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Carries one captured connection to where it was going, as if nobody had touched it: both
 * directions, half-closes in order. It goes by itself when it is over, or when `cancellable` says
 * so. Main loop.
 */
#pragma once

#include <gio/gio.h>

/* Dials `to` with vmferryd's mark, so that it is not caught again. */
void vmf_relay_start(GSocketConnection *from, GSocketAddress *to, GCancellable *cancellable);
