/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The head of a batch of packed bytes; PROTOCOL.md, "Packed bytes". Pure; any thread. */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "pump/pack.h"

typedef struct {
    gboolean begins; /* a new zstd frame */
    uint32_t length; /* unpacked */
    uint32_t packed;
} VmfBatchHead;

void vmf_batch_head_encode(const VmfBatchHead *head, uint8_t out[VMF_BATCH_HEAD]);

/* Fails with VMF_ERROR_PROTOCOL. */
gboolean vmf_batch_head_decode(const uint8_t in[VMF_BATCH_HEAD], VmfBatchHead *ret, GError **error);
