/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a child of ours gives away between fork and exec: see child.h.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

typedef struct {
    guint64 space; /* bytes of address space */
    guint seconds; /* of processor time */
    uid_t uid;     /* who to become, if root */
    gid_t gid;
} VmfConfinement;

/* In the parent: finds the user. Errors: VMF_ERROR_BAD_CONFIGURATION. */
gboolean vmf_confinement_prepare(VmfConfinement *confinement, const char *user, GError **error);

/* In the child: only what is safe behind a fork; a child that cannot confine itself ends. */
void vmf_confinement_enter(gpointer confinement);
