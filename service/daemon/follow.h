/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What somebody else's migration brings: connections of QEMU's and libvirtd's that came in by one
 * of our sockets or were captured, and libvirt's word on how it ended.
 *
 * It takes connections before there is a pump for them, keeps their order, and hands them over when
 * there is one. libvirt leads such a migration; what it does is told by its events and, where it
 * has none (a migration that failed leaves no event), asked for.
 *
 * Reference counted. vmf_follow_run() blocks and is for a worker thread; the rest is for the main
 * loop.
 */
#pragma once

#include "daemon/libvirt.h"
#include "daemon/pump-process.h"

typedef struct VmfFollow VmfFollow;

/* `origin`: as Migration.Origin. */
VmfFollow *vmf_follow_new(VmfLibvirt *libvirt, const char *uuid, const char *origin);

/*
 * Nobody at the destination speaks our language (`why`): the stream goes on to where it was going.
 * Before anybody else knows the follow. The getters borrow; NULL: the peer's vmferryd takes it.
 */
void vmf_follow_set_onward(VmfFollow *follow, GSocketAddress *to, const char *why);
GSocketAddress *vmf_follow_get_onward(const VmfFollow *follow);
const char *vmf_follow_get_why_onward(const VmfFollow *follow);

VmfFollow *vmf_follow_ref(VmfFollow *follow);
void vmf_follow_unref(VmfFollow *follow);

/* Adds to the `guest` of Link.Prepare what the destination has to know. Any thread. */
void vmf_follow_describe(VmfFollow *follow, GVariantDict *guest);

/* FALSE: the migration is over, or as good as; this connection belongs to another one. */
gboolean vmf_follow_take(VmfFollow *follow, const char *kind, GSocket *connection);

/*
 * Hands the connections to the pump until libvirt's migration is over. TRUE: the guest has left
 * this host. Error: LIBVIRT_FAILED.
 */
gboolean vmf_follow_run(VmfFollow *follow, VmfPump *pump, const char *libvirt_uri, GError **error);

/*
 * Likewise of a migration that was under way before, and may be over: of an earlier vmferryd.
 * `pump` NULL: it is gone, or there is none.
 */
gboolean vmf_follow_take_up(VmfFollow *follow, VmfPump *pump, const char *libvirt_uri,
                            GError **error);

/* Takes nothing more, and drops what waits; what waits in vmf_follow_run() returns. */
void vmf_follow_close(VmfFollow *follow);
