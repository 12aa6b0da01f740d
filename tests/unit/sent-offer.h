/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An offer as the other side gets it, for tests; the caller's. It must be a good one. */
#pragma once

#include "link/offer.h"

static inline VmfOffer *
send_offer(const VmfOffer *offer)
{
    g_autoptr(GVariant) wire = vmf_offer_encode(offer);
    g_autoptr(GError) error = NULL;
    VmfOffer *received = vmf_offer_decode(wire, &error);

    assert_null(error);
    return received;
}
