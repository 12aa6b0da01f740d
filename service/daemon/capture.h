/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Capture of plain virsh migrate: what this host sends to a peer's migration ports is led here by
 * the firewall (capture/rule.h). The peer's vmferryd says which guest waits on that port; then the
 * connection becomes a channel of a migration of origin "capture". Where no vmferryd answers, a
 * stream of QEMU's (first-bytes.h) whose guest's policy allows it is carried on by engine
 * one-sided. What is nobody's migration (other services use the same ports), and whatever else may
 * not be carried, goes on untouched to where it was going, unless the guest's policy fails closed.
 *
 * Main loop; peers are asked in threads. A VmfCapturer belongs to its daemon.
 */
#pragma once

#include "daemon/daemon.h"

/* Off. */
VmfCapturer *vmf_capturer_new(VmfDaemon *daemon);

/* The rule goes with it; what is under way goes on or ends with the daemon. */
void vmf_capturer_free(VmfCapturer *capturer);

/*
 * Peers' names are looked up in a thread, and the rule follows; then `callback` is called, with no
 * source object, on the main loop. Errors: FAILED (nftables refuses; it is off then), CANCELLED (it
 * was turned off meanwhile).
 */
void vmf_capturer_turn_on(VmfCapturer *capturer, GAsyncReadyCallback callback, gpointer data);
gboolean vmf_capturer_turn_on_finish(GAsyncResult *result, GError **error);
void vmf_capturer_turn_off(VmfCapturer *capturer);
