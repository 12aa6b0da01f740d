/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guests that run on this host, as libvirt tells it, with what their policies are chosen by.
 *
 * The list is the caller's. Asking blocks: worker threads.
 */
#pragma once

#include "daemon/daemon.h"
#include "xml/policy.h"

typedef struct {
    char *name;
    char *uuid;
    VmfPolicySubject *subject; /* as one that leaves, the peer not said; NULL: not readable */
} VmfRunningGuest;

typedef struct {
    GPtrArray *guests; /* VmfRunningGuest */
    guint uid, gid;    /* of their QEMU */
} VmfRunningGuests;

/* Errors: LIBVIRT_UNAVAILABLE, LIBVIRT_FAILED, and those of vmf_owner_get(). */
VmfRunningGuests *vmf_running_guests_list(VmfDaemon *daemon, GError **error);
void vmf_running_guests_free(VmfRunningGuests *guests);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfRunningGuests, vmf_running_guests_free)
