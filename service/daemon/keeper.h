/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeps a migration's record (record.h) true while it runs: written at once, again whenever
 * something changes that the next vmferryd must not lose, and removed when the migration is over.
 * Progress is recorded before anybody is told of it, so that it never goes back.
 *
 * Belongs to the migration and goes with it; a record of one that is not over stays. Any thread.
 * What cannot be written is logged, once; the migration goes on.
 */
#pragma once

#include "daemon/migration.h"

/* Once for a migration. */
void vmf_keeper_start(VmfMigration *migration, const char *run_directory);
