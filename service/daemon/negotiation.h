/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The talk before a migration: Link.Agree, from both ends (data/org.vmferry1.Link.xml).
 *
 * The source sends its offer; the destination finds what follows from both offers, remembers it
 * for the migration's start, and answers with its own offer, the time, and the agreement's digest.
 * The source finds the same by itself. Who comes to another result than the other side stops.
 */
#pragma once

#include "daemon/daemon.h"
#include "link/agreement-book.h"

/* What the peer said, not checked. Borrowed. */
typedef struct {
    const char *migration;
    GVariant *offer; /* a{sv} of Agree */
    VmfPeer *peer;   /* the source */
} VmfTalkRequest;

/* What this host says. Borrowed. */
typedef struct {
    const char *migration; /* its id */
    const VmfOffer *offer;
    const char *emulator; /* the guest's at the destination, a path; NULL: not known */
    gboolean only_asked;  /* no Prepare follows: the destination need not remember it */
} VmfTalk;

/*
 * The source's part; blocks: worker threads. `link` is one to `peer`.
 * Errors: FEATURE_MISSING, PROTOCOL, PEER_NAME_MISMATCH, PEER_UNTRUSTED (a certificate has
 * expired), LIMIT_REACHED, TIMED_OUT, CANCELLED, and what the peer says.
 */
VmfAgreement *vmf_negotiation_ask(VmfDaemon *daemon, VmfPeer *peer, GDBusConnection *link,
                                  const VmfTalk *talk, GCancellable *cancellable, GError **error);

/* What the start of the migration refers to, ay; floating. */
GVariant *vmf_negotiation_digest(const VmfAgreement *agreement);

/*
 * The destination's part; main loop. The answer a{sv}, floating; the agreement is in the daemon's
 * book. Errors: as above, and INVALID_ARGUMENT, ALREADY_MIGRATING.
 */
GVariant *vmf_negotiation_answer(VmfDaemon *daemon, const VmfTalkRequest *request, GError **error);
