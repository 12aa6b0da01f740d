/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All bytes of a channel at one side, and the proof of them that goes to the other one;
 * PROTOCOL.md, "Packed bytes". Threads: one at a time.
 */
#pragma once

#include "pump/batch.h"
#include "pump/duct.h"

typedef struct VmfProver VmfProver;

VmfProver *vmf_prover_new(void);
void vmf_prover_free(VmfProver *prover);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfProver, vmf_prover_free)

void vmf_prover_add(VmfProver *prover, const uint8_t *data, gsize length);

/* Of all that was added. */
void vmf_prover_get(const VmfProver *prover, VmfProofOfBytes *ret);

/* The same as it is sent; the reference is the caller's. */
VmfParcel vmf_prover_make_parcel(const VmfProver *prover, VmfChunkPool *pool);
