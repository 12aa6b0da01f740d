/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/proof.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>

#include "base/error.h"

#define LABEL_INITIATOR "vmferry1 initiator"
#define LABEL_LISTENER "vmferry1 listener"

static uint8_t *
vmf_proof_nonce(VmfProof *proof, gboolean initiator)
{
    return proof->nonces + (initiator ? 0 : VMF_PROOF_NONCE);
}

static gboolean
vmf_proof_mac(const VmfProof *proof, const char *label, uint8_t out[VMF_PROOF_MAC], GError **error)
{
    uint8_t text[sizeof LABEL_INITIATOR + sizeof proof->nonces];
    gsize length = strlen(label);

    memcpy(text, label, length);
    memcpy(text + length, proof->nonces, sizeof proof->nonces);
    if (gnutls_hmac_fast(GNUTLS_MAC_SHA256, proof->secret, sizeof proof->secret, text,
                         length + sizeof proof->nonces, out) == 0)
        return TRUE;
    g_set_error_literal(error, VMF_ERROR, VMF_ERROR_FAILED, "GnuTLS cannot compute HMAC-SHA256");
    return FALSE;
}

static gboolean
vmf_proof_check(const VmfProof *proof, const char *label, const uint8_t *mac, GError **error)
{
    uint8_t expected[VMF_PROOF_MAC];

    if (!vmf_proof_mac(proof, label, expected, error))
        return FALSE;
    if (gnutls_memcmp(mac, expected, sizeof expected) == 0)
        return TRUE;
    g_set_error_literal(error, VMF_ERROR, VMF_ERROR_PEER_UNTRUSTED,
                        "the two pumps do not share this migration's secret");
    return FALSE;
}

gboolean
vmf_proof_start(VmfProof *proof, gboolean initiator, const uint8_t secret[VMF_TICKET_SECRET_SIZE],
                uint8_t out[VMF_PROOF_MAX], gsize *ret, GError **error)
{
    uint8_t *nonce = vmf_proof_nonce(proof, initiator);

    *proof = (VmfProof){.initiator = initiator};
    memcpy(proof->secret, secret, sizeof proof->secret);
    if (gnutls_rnd(GNUTLS_RND_NONCE, nonce, VMF_PROOF_NONCE) < 0) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_FAILED,
                            "the system's random generator failed");
        return FALSE;
    }
    *ret = initiator ? VMF_PROOF_NONCE : 0;
    memcpy(out, nonce, *ret);
    return TRUE;
}

gsize
vmf_proof_wants(const VmfProof *proof)
{
    static const gsize initiator[] = {VMF_PROOF_NONCE + VMF_PROOF_MAC, 0};
    static const gsize listener[] = {VMF_PROOF_NONCE, VMF_PROOF_MAC, 0};

    return proof->initiator ? initiator[proof->step] : listener[proof->step];
}

gboolean
vmf_proof_next(VmfProof *proof, const uint8_t *in, uint8_t out[VMF_PROOF_MAX], gsize *ret,
               GError **error)
{
    guint step = proof->step++;

    *ret = 0;
    if (!proof->initiator && step == 1)
        return vmf_proof_check(proof, LABEL_INITIATOR, in, error);

    memcpy(vmf_proof_nonce(proof, !proof->initiator), in, VMF_PROOF_NONCE);
    if (proof->initiator) {
        /* ours goes out in any case: both ends shall know why this failed */
        if (!vmf_proof_mac(proof, LABEL_INITIATOR, out, error))
            return FALSE;
        *ret = VMF_PROOF_MAC;
        return vmf_proof_check(proof, LABEL_LISTENER, in + VMF_PROOF_NONCE, error);
    }
    memcpy(out, vmf_proof_nonce(proof, FALSE), VMF_PROOF_NONCE);
    *ret = VMF_PROOF_NONCE + VMF_PROOF_MAC;
    return vmf_proof_mac(proof, LABEL_LISTENER, out + VMF_PROOF_NONCE, error);
}

void
vmf_proof_clear(VmfProof *proof)
{
    gnutls_memset(proof, 0, sizeof *proof);
}
