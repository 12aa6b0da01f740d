/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a channel brings to its outlet: bytes as they are, or unpacked, and no more of them than the
 * outlet can soon write. It says how many bytes of the channel were delivered, packed ones when all
 * that they unpack to was.
 *
 * Threads: belongs to one. Errors: see pump/unpack.h.
 */
#pragma once

#include "pump/outlet.h"
#include "pump/unpack.h"

#define VMF_DELIVERY_AHEAD (1024 * 1024) /* bytes that are unpacked before the outlet has room */

typedef struct VmfDelivery VmfDelivery;

typedef struct {
    /* Bytes were written to the socket; so many of the channel's are done with. */
    void (*delivered)(gpointer owner, gsize written, gsize of_channel);
    /* What came cannot be unpacked. Nothing more is written. */
    void (*broken)(gpointer owner, const GError *error);
} VmfDeliveryEvents;

/* The outlet is the owner's, and lives longer. */
VmfDelivery *vmf_delivery_new(VmfOutlet *outlet, const VmfUnpackSetup *setup, VmfChunkPool *pool,
                              const VmfDeliveryEvents *events, gpointer owner);
void vmf_delivery_free(VmfDelivery *delivery);

/* Events may come from inside. The slice stays the caller's. */
void vmf_delivery_put(VmfDelivery *delivery, const VmfSlice *bytes, gboolean packed);

/* After all that was put the outlet shall end. */
void vmf_delivery_end(VmfDelivery *delivery);

/* The outlet wrote that much. */
void vmf_delivery_written(VmfDelivery *delivery, gsize bytes);

/* Nothing more is written. */
void vmf_delivery_stop(VmfDelivery *delivery);
