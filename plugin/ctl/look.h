/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One look at vmferryd: its migrations as they are now, whatever becomes of them.
 *
 * It is two calls that are under way at the same time, so that the answer comes soon from a host
 * that has much to do, too. Who wants to hear of changes takes vmf_ctl_connect_objects().
 */
#pragma once

#include "ctl/ctl.h"

typedef struct {
    GPtrArray *migrations; /* VmfBusMigration, in no order */
    VmfBusManager *manager;
} VmfLook;

/* The daemon is activated when it does not run. NULL after having said why it does not answer. */
VmfLook *vmf_ctl_look(void);
void vmf_look_free(VmfLook *look);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfLook, vmf_look_free)
