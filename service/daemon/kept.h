/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the parts of a migration keep for the next vmferryd, by section of its record (record.h):
 *
 *   Migration  what the bus shows (migration.h)
 *   Pump       which process carries it at this host
 *   Memory     what it has of this host's (budget.h)
 *   Outgoing   of the options what matters while it runs
 *   Incoming   what the source said, and what was agreed on
 *   Policy, Steering   what was decided, and what is steered by (steering.h)
 *
 * Setters: any thread. Getters take the sections of a record; what is missing is as in a migration
 * that had not come so far. Errors: INVALID_ARGUMENT, PROTOCOL, with what is not sensible.
 */
#pragma once

#include "daemon/budget.h"
#include "daemon/migration.h"
#include "daemon/options.h"
#include "daemon/pump-process.h"
#include "link/agreement.h"

void vmf_kept_set_pump(VmfMigration *migration, VmfPump *pump);

/* pid 0: it had none. */
gboolean vmf_kept_get_pump(GVariant *sections, VmfProcessId *ret, GError **error);

/* As it has it by now; also that it has none any more. */
void vmf_kept_set_account(VmfMigration *migration, VmfBudget *budget);

/* FALSE: it had none, or what there is is not sensible. */
gboolean vmf_kept_get_account(GVariant *sections, VmfBudgetAccount *ret);

void vmf_kept_set_options(VmfMigration *migration, const VmfOptions *options);

/* The caller's. */
VmfOptions *vmf_kept_get_options(GVariant *sections, GError **error);

typedef struct {
    char *name;              /* the guest's at the destination */
    gboolean resume;         /* the rest of a post-copy that failed */
    VmfAgreement *agreement; /* see vmf_agreement_restore() */
} VmfKeptIncoming;

/* Borrowed for the call. */
void vmf_kept_set_incoming(VmfMigration *migration, const VmfKeptIncoming *kept);

/* NULL also when it is missing: then there is no migration. The caller's. */
VmfKeptIncoming *vmf_kept_get_incoming(GVariant *sections, const char *id, GError **error);
void vmf_kept_incoming_free(VmfKeptIncoming *kept);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfKeptIncoming, vmf_kept_incoming_free)
