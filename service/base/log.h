/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Logging. Lines go to standard error, or to the journal when standard error is the journal, and
 * begin with the id of the migration they speak of (in the journal field MIGRATION, too, but not
 * for confined processes, which may open no socket: their standard error is the journal's already).
 *
 * Libraries return GErrors; whoever handles one logs it, once.
 * Threads: vmf_log_init() once, early in main(); the macros from any thread.
 */
#pragma once

#include <glib.h>

/*
 * `program` is copied. With `verbose`, debug lines are written too (or VMFERRY_DEBUG=1). `confined`:
 * this process is one of base/sandbox.h, or will be.
 */
void vmf_log_init(const char *program, gboolean verbose, gboolean confined);

/* `id` is a migration's id, or NULL. Use the macros. */
void vmf_log_write(GLogLevelFlags level, const char *id, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

#define vmf_debug(id, ...) vmf_log_write(G_LOG_LEVEL_DEBUG, (id), __VA_ARGS__)
#define vmf_info(id, ...) vmf_log_write(G_LOG_LEVEL_INFO, (id), __VA_ARGS__)
#define vmf_warn(id, ...) vmf_log_write(G_LOG_LEVEL_WARNING, (id), __VA_ARGS__)
