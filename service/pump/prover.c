/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pump/prover.h"

#include <string.h>

#include "base/hash.h"

struct VmfProver {
    XXH3_state_t *hash;
    uint64_t bytes; /* that it is of */
};

VmfProver *
vmf_prover_new(void)
{
    VmfProver *prover = g_new0(VmfProver, 1);

    prover->hash = XXH3_createState();
    XXH3_128bits_reset(prover->hash);
    return prover;
}

void
vmf_prover_free(VmfProver *prover)
{
    XXH3_freeState(prover->hash);
    g_free(prover);
}

void
vmf_prover_add(VmfProver *prover, const uint8_t *data, gsize length)
{
    XXH3_128bits_update(prover->hash, data, length);
    vmf_hash_settle();
    prover->bytes += length;
}

void
vmf_prover_get(const VmfProver *prover, VmfProofOfBytes *ret)
{
    XXH128_canonical_t hash;

    XXH128_canonicalFromHash(&hash, XXH3_128bits_digest(prover->hash));
    ret->bytes = prover->bytes;
    memcpy(ret->hash, hash.digest, sizeof ret->hash);
}

VmfParcel
vmf_prover_make_parcel(const VmfProver *prover, VmfChunkPool *pool)
{
    const VmfBatchHead head = {.kind = VMF_BATCH_PROOF, .packed = VMF_BATCH_PROOF_SIZE};
    const gsize size = VMF_BATCH_HEAD + VMF_BATCH_PROOF_SIZE;
    VmfChunk *chunk = vmf_chunk_new(pool, VMF_CHUNK_HEADROOM + size);
    uint8_t *to = chunk->data + VMF_CHUNK_HEADROOM;
    VmfProofOfBytes proof;

    vmf_prover_get(prover, &proof);
    vmf_batch_head_encode(&head, to);
    vmf_batch_proof_encode(&proof, to + VMF_BATCH_HEAD);
    return (VmfParcel){.bytes = {chunk, to, size}, .packed = TRUE};
}
