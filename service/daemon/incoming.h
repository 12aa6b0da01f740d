/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The destination's part in a migration.
 *
 *   Link.Prepare   check the guest, start the pump, make room for QEMU's socket, issue a ticket
 *   data link      the port finds it by ticket and hands it to the pump
 *   channel        the pump asks for QEMU's socket, this daemon dials it
 *   Link.Finish    the source says how it ended; everything goes
 *
 * Its record (record.h) lets the next vmferryd go on with it; the source may finish it, or bring a
 * link that broke, as soon as that one listens.
 *
 * When the source falls silent, what libvirt says of the guest decides. Main loop; what blocks is
 * done in a thread. A VmfIncoming belongs to its daemon and goes by itself when it is over.
 */
#pragma once

#include "daemon/daemon.h"
#include "link-bus.h"
#include "link/agreement.h"

/* What the source said; checked. Borrowed for the call. */
typedef struct {
    const char *id;
    const char *name;
    const char *dname; /* the guest's name here */
    const char *uuid;
    gboolean resume;    /* the rest of a post-copy that failed */
    const char *origin; /* as Migration.Origin, static; NULL: the source's vmferryd leads */
    VmfAgreement *agreement;
    gboolean maintenance; /* though this host is in maintenance */
    VmfPeer *peer;
    GDBusConnection *link;
} VmfIncomingRequest;

/* Answers `invocation`, sooner or later. */
void vmf_incoming_prepare(VmfDaemon *daemon, const VmfIncomingRequest *request,
                          VmfBusLink *skeleton, GDBusMethodInvocation *invocation);

/*
 * One that an earlier vmferryd prepared, from the sections of its record (record.h); `migration` is
 * on the bus already. Error: INVALID_ARGUMENT, PROTOCOL (what was kept is not sensible).
 */
gboolean vmf_incoming_take_over(VmfDaemon *daemon, VmfMigration *migration, VmfPeer *peer,
                                GVariant *sections, GError **error);

/* A data connection that showed a ticket of this migration. */
void vmf_incoming_take_data(VmfIncoming *incoming, GSocket *socket, const char *from,
                            const VmfTicket *ticket);

/* A ticket for a further data link: the a{sv} of Link.AddLink, floating. Errors: as it has. */
GVariant *vmf_incoming_add_link(VmfIncoming *incoming, guint number, GError **error);

/* The source's verdict: `name` is "" or an error's name. Answers `invocation` when cleaned up. */
void vmf_incoming_finish(VmfIncoming *incoming, const char *name, const char *message,
                         VmfBusLink *skeleton, GDBusMethodInvocation *invocation);

VmfPeer *vmf_incoming_get_peer(VmfIncoming *incoming);

/* The guest's name on this host. */
const char *vmf_incoming_get_guest(VmfIncoming *incoming);

/* For the daemon. */
void vmf_incoming_free(VmfIncoming *incoming);
