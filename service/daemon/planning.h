/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a migration from this host begins with: the facts that are known of guest, link and host,
 * the policy that holds, the plan that follows, and what is left to be steered.
 *
 * What somebody asked for by name stays as it is; the policy's limits hold all the same. Main loop.
 */
#pragma once

#include "daemon/daemon.h"
#include "daemon/guest.h"
#include "daemon/options.h"
#include "policy/plan.h"
#include "xml/policy.h"

typedef struct {
    VmfFacts facts;
    gboolean link_known;
    double age; /* s, since it was measured what the guest writes; negative: it was not */
} VmfKnowledge;

/* `link`: bytes/s, as somebody said; 0: as it was of late. `peer` may be NULL. */
void vmf_planning_look(VmfDaemon *daemon, const VmfGuest *guest, const char *peer,
                       const VmfPolicy *policy, double link, VmfKnowledge *ret);

/* A migration of ours that is planned. */
typedef struct VmfPlanning VmfPlanning;

/*
 * Plans it, and fills in what `options` leave open. Errors: NOT_SUPPORTED (the policy allows no
 * engine that is possible), INVALID_ARGUMENT (the guest's XML).
 */
VmfPlanning *vmf_planning_new(VmfDaemon *daemon, const VmfGuest *guest, const char *peer,
                              VmfOptions *options, GError **error);
void vmf_planning_free(VmfPlanning *planning);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfPlanning, vmf_planning_free)

/* From now on until it is finished; it has what the options say. Once. */
void vmf_planning_steer(VmfPlanning *planning, VmfMigration *migration);

/*
 * Steers a migration through our pump that somebody else asked libvirt for, as soon as libvirt has
 * told what guest that is.
 */
void vmf_planning_adopt(VmfDaemon *daemon, VmfMigration *migration);
