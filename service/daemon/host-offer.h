/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What this host offers to a peer: the table of features (link/features.h), less what its
 * configuration, the peer's file, the migration's options or the host itself rule out, and
 * insisting on what they ask for.
 *
 * Pure functions of what they are given; any thread. The offers are the caller's.
 */
#pragma once

#include "daemon/budget.h"
#include "daemon/config.h"
#include "daemon/options.h"
#include "link/offer.h"
#include "probe/host.h"
#include "probe/native.h"

/*
 * To everybody: what the two hosts could agree on, whatever the migration. `native`: what its
 * emulators can do without a pump; NULL: not known, so nothing is ruled out, and no compression is
 * promised.
 */
VmfOffer *vmf_host_offer_new(const VmfConfig *config, const VmfNative *native);

/*
 * For one migration from here; `native`: likewise, of the guest's emulator. `options` NULL:
 * somebody else asked libvirt, so anything may come.
 */
VmfOffer *vmf_host_offer_new_outgoing(const VmfConfig *config, const VmfPeerConfig *peer,
                                      const VmfOptions *options, const VmfNative *native);

/* What this host has room for, for one migration, and at most so many lanes of zstd. */
void vmf_host_offer_bound(VmfOffer *offer, const VmfBudgetShare *share, guint lanes);

/* For one migration that the peer sends. `facts` NULL: not known yet, so nothing is ruled out. */
VmfOffer *vmf_host_offer_new_incoming(const VmfConfig *config, const VmfPeerConfig *peer,
                                      const VmfHostFacts *facts, const VmfNative *native);
