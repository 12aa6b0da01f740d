/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The head of a batch of packed bytes; PROTOCOL.md, "Packed bytes". Pure; any thread. */
#pragma once

#include <glib.h>
#include <stdint.h>

#define VMF_BATCH_MAX (240 * 1024) /* before packing: so that a packed one fits into a chunk */
#define VMF_BATCH_HEAD 12

typedef enum {
    VMF_BATCH_GOES_ON = 1, /* the zstd frame */
    VMF_BATCH_BEGINS,      /* a new one */
    VMF_BATCH_PROOF,       /* no bytes, but what all before it add up to */
} VmfBatchKind;

typedef struct {
    VmfBatchKind kind;
    guint lane;      /* whose zstd frame it is a part of */
    uint32_t length; /* unpacked */
    uint32_t packed;
} VmfBatchHead;

#define VMF_BATCH_PROOF_SIZE 24

/* All bytes of a channel up to somewhere. */
typedef struct {
    uint64_t bytes;
    uint8_t hash[16]; /* XXH3-128 of them, without a seed, in its canonical form */
} VmfProofOfBytes;

void vmf_batch_proof_encode(const VmfProofOfBytes *proof, uint8_t out[VMF_BATCH_PROOF_SIZE]);
void vmf_batch_proof_decode(const uint8_t in[VMF_BATCH_PROOF_SIZE], VmfProofOfBytes *ret);

void vmf_batch_head_encode(const VmfBatchHead *head, uint8_t out[VMF_BATCH_HEAD]);

/* `lanes`: that are agreed on. Fails with VMF_ERROR_PROTOCOL. */
gboolean vmf_batch_head_decode(const uint8_t in[VMF_BATCH_HEAD], guint lanes, VmfBatchHead *ret,
                               GError **error);
