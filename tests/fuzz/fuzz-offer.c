/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a peer says in Agree, an a{sv} as GVariant serializes it: its offer against itself and
 * against this program's, from both ends, as it came and as it is sent on. Whatever it is, both
 * ends come to the same.
 */
#include "fuzz.h"

#include <string.h>

#include "link/agreement.h"

static const VmfAgreementTerms terms = {"0123abcd", "src", "dst", 1};

static void
check_same(VmfAgreement *one, const GError *error, VmfAgreement *other, const GError *other_error)
{
    g_assert((one != NULL) == (other != NULL));
    if (one)
        g_assert(memcmp(vmf_agreement_get_digest(one), vmf_agreement_get_digest(other),
                        VMF_AGREEMENT_DIGEST_SIZE) == 0);
    else
        g_assert_cmpstr(error->message, ==, other_error->message);
}

static void
agree(const VmfOffer *source, const VmfOffer *destination)
{
    g_autoptr(GVariant) said = vmf_offer_encode(source);
    g_autoptr(GVariant) answered = vmf_offer_encode(destination);
    g_autoptr(VmfOffer) heard_source = vmf_offer_decode(said, NULL);
    g_autoptr(VmfOffer) heard_destination = vmf_offer_decode(answered, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) other_error = NULL;
    g_autoptr(VmfAgreement) here = NULL;
    g_autoptr(VmfAgreement) there = NULL;
    g_autoptr(GVariant) shown = NULL;

    g_assert(heard_source && heard_destination);
    here = vmf_agreement_new(vmf_features(), &terms, source, heard_destination, &error);
    there = vmf_agreement_new(vmf_features(), &terms, heard_source, destination, &other_error);
    check_same(here, error, there, other_error);
    if (here)
        shown = vmf_agreement_describe(here);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, length);
    g_autoptr(GVariant) said =
        g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE_VARDICT, bytes, FALSE));
    g_autoptr(GVariant) features = g_variant_lookup_value(said, "features", NULL);
    g_autoptr(VmfOffer) theirs = features ? vmf_offer_decode(features, NULL) : NULL;
    g_autoptr(VmfOffer) ours = vmf_offer_new(vmf_features());

    if (!theirs)
        return 0;
    agree(ours, theirs);
    agree(theirs, ours);
    agree(theirs, theirs);
    return 0;
}
