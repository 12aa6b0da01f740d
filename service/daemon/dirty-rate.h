/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirt's dirty-rate calculation of a guest, by page sampling and nothing else: QEMU crashes when
 * it is asked for a dirty bitmap of a guest that it runs without KVM, and a sample costs the guest
 * nothing in either case.
 *
 * Blocks on libvirt, but not for the period: start, wait, ask. Worker threads.
 */
#pragma once

#include "daemon/libvirt.h"

/* Periods that are measured, in this order, s; ends with 0. */
extern const guint vmf_dirty_rate_periods[];

/*
 * Begins a calculation of `seconds`. Refused (NOT_SUPPORTED) when the guest does not run, has a
 * job, as a migration is, or is being measured.
 */
gboolean vmf_dirty_rate_start(virDomainPtr domain, guint seconds, GError **error);

/*
 * *ret_done FALSE: it is not over yet. `ret_bytes`: written within the period. Errors:
 * LIBVIRT_FAILED (libvirt lost it).
 */
gboolean vmf_dirty_rate_ask(virDomainPtr domain, guint seconds, gboolean *ret_done,
                            guint64 *ret_bytes, GError **error);
