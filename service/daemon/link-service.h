/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What this daemon answers on a control link: org.vmferry1.Link (data/org.vmferry1.Link.xml).
 *
 * Every argument comes from another host and is checked here, before anything is done.
 */
#pragma once

#include "daemon/daemon.h"

#define VMF_LINK_OBJECT "/org/vmferry1/link"

/*
 * Exports the interface on a link whose messages are not processed yet; it goes with the
 * connection. `peer` NULL: a host that peers.d does not name; it is told so when it says hello.
 * `dialled`: we did, so the peer need not say hello. Any thread.
 */
void vmf_link_service_attach(VmfDaemon *daemon, VmfPeer *peer, GDBusConnection *link,
                             gboolean dialled);
