/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is asked of guests before they are moved. All functions block on libvirt: worker threads.
 */
#pragma once

#include "daemon/libvirt.h"

typedef struct {
    char *name;
    char *uuid;
    guint64 memory;   /* bytes */
    guint64 resident; /* of QEMU, which is about what the guest ever wrote to; 0: not known */
    gboolean paused;
    gboolean torn; /* by a post-copy that failed: it runs elsewhere, a part of its memory is here */
    gboolean writable_disk;
    char *xml; /* as libvirt has it */
} VmfGuest;

void vmf_guest_free(VmfGuest *guest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfGuest, vmf_guest_free)

/* By name or UUID. Errors: NO_SUCH_DOMAIN, LIBVIRT_UNAVAILABLE, LIBVIRT_FAILED. */
virDomainPtr vmf_guest_lookup(virConnectPtr connection, const char *name_or_uuid, GError **error);

/*
 * What a guest is that somebody wants to move. Errors: as above, DOMAIN_NOT_RUNNING.
 */
VmfGuest *vmf_guest_describe(virConnectPtr connection, const char *name_or_uuid, GError **error);

/*
 * Whether moving it now would lose it: QEMU before 10.0 aborts when a paused guest whose disks were
 * never activated after it arrived here is migrated again. `has_run`: it was seen running.
 */
gboolean vmf_guest_check_safe(virConnectPtr connection, const VmfGuest *guest, gboolean has_run,
                              GError **error);

/*
 * Whether what was asked for, a migration or the rest of one (`resume`), fits the guest. Errors:
 * DOMAIN_UNSAFE, NOT_SUPPORTED.
 */
gboolean vmf_guest_check_torn(const VmfGuest *guest, gboolean resume, GError **error);

/*
 * The destination, to go on with a post-copy that failed: the guest is here and waits for the rest.
 * Error: NO_SUCH_DOMAIN.
 */
gboolean vmf_guest_check_waiting(virConnectPtr connection, const char *uuid, GError **error);

/* Whether its memory is on two hosts, as far as this one knows. */
gboolean vmf_guest_is_torn(virDomainPtr domain);

/*
 * Whether its QEMU has ended on this host, and not because the guest has left. FALSE when libvirt
 * does not know. `ret_sure`: FALSE when all that is known is that libvirt has no such guest any
 * more, as after one that was not persistent has left, too.
 */
gboolean vmf_guest_has_ended(virDomainPtr domain, gboolean *ret_sure);

/* The destination: no live guest of that UUID, no other guest of that name. Error: DOMAIN_EXISTS.
 */
gboolean vmf_guest_check_absent(virConnectPtr connection, const char *name, const char *uuid,
                                GError **error);
