/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The user and group that this host's QEMU runs as, from libvirt's capabilities.
 *
 * libvirt takes a second and more to gather those after it was started, so they are asked for as
 * soon as it is connected, and not when a guest waits. Asked again when libvirtd was restarted.
 */
#pragma once

#include "daemon/libvirt.h"

typedef struct VmfOwner VmfOwner;

/* Main loop. */
VmfOwner *vmf_owner_new(VmfLibvirt *libvirt, const char *libvirt_uri);
void vmf_owner_free(VmfOwner *owner);

/* If it is known by now, without waiting for anything; any thread. */
gboolean vmf_owner_peek(VmfOwner *owner, guint *ret_uid, guint *ret_gid);

/* Blocks until it is known: worker threads. Errors: LIBVIRT_UNAVAILABLE, LIBVIRT_FAILED. */
gboolean vmf_owner_get(VmfOwner *owner, guint *ret_uid, guint *ret_gid, GError **error);
