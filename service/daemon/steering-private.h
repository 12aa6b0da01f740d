/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What steering.c (at work) and steering-keep.c (from one vmferryd to the next) share. */
#pragma once

#include "daemon/steering.h"

/* One of ours; `told`: decisions of the setup that are on the bus already. */
void vmf_steering_attach_told(const VmfSteeringSetup *setup, guint told);

/* So that the next vmferryd can go on with it. */
void vmf_steering_keep(const VmfSteeringSetup *setup, gint64 started);
