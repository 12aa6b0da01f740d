/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is known of guests before anybody migrates them: W(t), the bytes they write within t, by
 * libvirt's dirty-rate calculation over several periods.
 *
 * Guests whose policy wants it are measured some seconds after they begin to run here and then now
 * and again, one guest at a time, never during a migration. Where the policy has us take care of
 * migrations that others start, QEMU's own cache gets the size that follows at once: QEMU does not
 * change it any more when a migration runs. Main loop; libvirt is called in threads.
 */
#pragma once

#include "daemon/daemon.h"
#include "policy/curve.h"

typedef struct VmfObserver VmfObserver;

VmfObserver *vmf_observer_new(VmfDaemon *daemon);
void vmf_observer_free(VmfObserver *observer);

/* What was measured, or FALSE if nothing was; `ret_age` in s. */
gboolean vmf_observer_get(VmfObserver *observer, const char *uuid, VmfWorkingSet *ret_curve,
                          double *ret_age);
