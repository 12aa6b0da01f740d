/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The proof of the secret on an unencrypted data link (PROTOCOL.md, "Unencrypted"): who says what,
 * as a state machine without a socket.
 *
 * Both sides call vmf_proof_next() in turn with exactly as many bytes as vmf_proof_wants(); what it
 * leaves in `out` goes to the other side. A side whose vmf_proof_wants() is 0 is done.
 *
 * Errors: VMF_ERROR_PEER_UNTRUSTED; `out` may hold something to send all the same.
 * Threads: belongs to one.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "link/ticket.h"

#define VMF_PROOF_NONCE 32
#define VMF_PROOF_MAC 32
#define VMF_PROOF_MAX (VMF_PROOF_NONCE + VMF_PROOF_MAC)

typedef struct {
    gboolean initiator;
    guint step;
    uint8_t secret[VMF_TICKET_SECRET_SIZE];
    uint8_t nonces[2 * VMF_PROOF_NONCE]; /* the initiator's, the listener's */
} VmfProof;

/* The initiator's first message is in `out`, of length *ret. */
gboolean vmf_proof_start(VmfProof *proof, gboolean initiator,
                         const uint8_t secret[VMF_TICKET_SECRET_SIZE], uint8_t out[VMF_PROOF_MAX],
                         gsize *ret, GError **error);
gsize vmf_proof_wants(const VmfProof *proof);
gboolean vmf_proof_next(VmfProof *proof, const uint8_t *in, uint8_t out[VMF_PROOF_MAX], gsize *ret,
                        GError **error);

/* Wipes the secret. */
void vmf_proof_clear(VmfProof *proof);
