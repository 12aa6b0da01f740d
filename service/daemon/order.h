/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An order to libvirt during a migration: one short call on the guest, in a thread, which may
 * outlive who gave it. A failure is logged unless the migration is over. Main loop.
 */
#pragma once

#include "daemon/libvirt.h"
#include "daemon/migration.h"

/* As libvirt's calls: < 0 on failure. `value` as given to vmf_order_give(). */
typedef int (*VmfOrderFunc)(virDomainPtr domain, guint64 value);

/* `what` is static, and logged: "switching to post-copy". */
void vmf_order_give(VmfLibvirt *libvirt, const char *libvirt_uri, VmfMigration *migration,
                    VmfOrderFunc call, guint64 value, const char *what);

/* The orders that several give. */
int vmf_order_postcopy(virDomainPtr domain, guint64 unused);
int vmf_order_suspend(virDomainPtr domain, guint64 unused);
int vmf_order_abort(virDomainPtr domain, guint64 unused);
