/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Why something was decided: when, by which rule, what, and from which numbers.
 *
 * The record of a migration is bounded: when it is full, the oldest but the first one goes, which
 * is the plan. Ownership: the record owns its decisions. Not locked.
 */
#pragma once

#include <glib.h>

#define VMF_DECISIONS_MAX 128

typedef struct {
    gint64 time;      /* as the caller counts it, µs */
    const char *rule; /* static: "cache-size", "deadline", ... as vmferry-policy(5) lists them */
    char *what;       /* "cache 64.0 MiB -> 256.0 MiB" */
    char *numbers;    /* "pass 3 begins with 160.0 MiB, ..." */
} VmfDecision;

/* An array of VmfDecision; g_ptr_array_unref() it. */
GPtrArray *vmf_decisions_new(void);

/* Takes both texts. */
void vmf_decisions_add(GPtrArray *decisions, gint64 time, const char *rule, char *what,
                       char *numbers);

/* "256.0 MiB" for texts; the caller's. */
char *vmf_decision_format_bytes(double bytes);
