/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The policy at work during a migration from this host: what libvirt tells of the job goes in, what
 * policy/steer.h answers is done, and each decision is on the bus and in the log.
 * Main loop; libvirt is called in threads.
 */
#pragma once

#include "daemon/budget.h"
#include "daemon/libvirt.h"
#include "daemon/migration.h"
#include "policy/steer.h"
#include "xml/policy.h"

typedef struct VmfSteering VmfSteering;

typedef struct {
    VmfMigration *migration;
    VmfLibvirt *libvirt;
    const char *libvirt_uri;
    VmfBudget *budget;       /* of its cache; NULL: it is QEMU's */
    VmfChosenPolicy *policy; /* taken */
    GPtrArray *decisions;    /* those before the start (policy/decision.h); taken; NULL: none */
    VmfSteerStart start;     /* `source_free` is filled in, and `started` if 0 */
} VmfSteeringSetup;

VmfSteering *vmf_steering_new(const VmfSteeringSetup *setup);
void vmf_steering_free(VmfSteering *steering);

/*
 * For a migration of ours: orders that are the pump's go to it, by way of the migration's object;
 * where another engine carries it, it is steered as those of others. It sees what the object is
 * told, and is gone when that is finished.
 */
void vmf_steering_attach(const VmfSteeringSetup *setup);

/*
 * Goes on with one that an earlier vmferryd steered, by the policy that was decided on then, if the
 * sections of its record (record.h) have one; attaching keeps it. Of the setup only the migration
 * and libvirt count. Error: INVALID_ARGUMENT (what was kept is not sensible).
 */
gboolean vmf_steering_restore(const VmfSteeringSetup *setup, GVariant *sections, GError **error);

/* What libvirt says now; `data` is a VmfSteering: fits vmf_job_watch_set_listener(). */
void vmf_steering_on_job(const VmfJob *job, gpointer data);
