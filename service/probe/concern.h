/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a check before the move has found: a list of concerns, the gravest first.
 *
 * BLOCK: it is certain that the move fails, or should not be made; only a --force of its name lets
 * it begin. WARN: it may fail, or lose something. INFO: good to know. Names are stable: a word for
 * the kind, and behind a colon what it is about where there can be several ("device:igb"). A list
 * has a name once; the graver of two stays.
 *
 * Lists own what is in them. Pure; any thread.
 */
#pragma once

#include <glib.h>

typedef enum { VMF_SEVERITY_INFO, VMF_SEVERITY_WARN, VMF_SEVERITY_BLOCK } VmfSeverity;

#define VMF_CONCERNS_MAX 512                 /* in one list; what comes behind is dropped */
#define VMF_CONCERN_SUBSECTION "subsection:" /* the kind of name of what is only maybe sent */
#define VMF_CONCERNS_FORMAT "aa{sv}"

typedef struct {
    char *name;
    VmfSeverity severity;
    gboolean forced; /* a BLOCK that somebody overrode */
    char *message;   /* a sentence without its full stop; what to do, where there is something */
    int code;        /* the VmfError that a migration ends with for it */
} VmfConcern;

/* "info", "warn", "block" */
const char *vmf_severity_name(VmfSeverity severity);

GPtrArray *vmf_concerns_new(void);

/* `code`: a VmfError. */
void vmf_concerns_add(GPtrArray *concerns, VmfSeverity severity, int code, const char *name,
                      const char *format, ...) G_GNUC_PRINTF(5, 6);

/* Gravest first, then by name. */
void vmf_concerns_sort(GPtrArray *concerns);

/* Not what would cost a guest, its own or another one. */
gboolean vmf_concern_can_be_forced(const VmfConcern *concern);

/* Marks those whose name is in `names`. */
void vmf_concerns_force(GPtrArray *concerns, const char *const *names);

/* The first BLOCK that is not forced, or NULL. */
const VmfConcern *vmf_concerns_find_block(GPtrArray *concerns);

/* To and from VMF_CONCERNS_FORMAT; floating. What comes from a peer is cleaned and bounded. */
GVariant *vmf_concerns_to_variant(GPtrArray *concerns);
void vmf_concerns_add_variant(GPtrArray *concerns, GVariant *variant);
