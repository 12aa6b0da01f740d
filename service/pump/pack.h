/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packing a channel's bytes with zstd, in one lane, and taking them apart again. PROTOCOL.md,
 * "Packed bytes", says what they look like.
 *
 * What a lane packs is one zstd stream, cut into batches of up to VMF_BATCH_MAX bytes, each of
 * which can be unpacked as soon as it is there. How hard it tries may change with every batch;
 * another way than before begins a new frame, which knows nothing of the bytes before. Bytes may
 * also go as they are, between two batches. Lanes know nothing of one another, so that each may
 * have a thread of its own (pump/packer.h).
 *
 * Units: bytes. Memory: the window and tables of zstd on both sides; lanes but the first look back
 * over 2 MiB at most. Threads: one at a time.
 */
#pragma once

#include "pump/batch.h"
#include "pump/duct.h"

#define VMF_WINDOW_LOG_MIN 17
#define VMF_WINDOW_LOG_MAX 27
#define VMF_WINDOW_LOG_NEAR 21 /* of a way that does not look far, and of further lanes */
#define VMF_LANES_MAX 8

#define VMF_PACK_TRY_MAX (16 * 1024)

/* How hard it tries. */
typedef struct {
    gboolean raw; /* not at all */
    int level;    /* zstd's */
    gboolean far; /* looks back over the whole window agreed on, in the first lane */
} VmfPackWay;

typedef struct VmfPack VmfPack;

/* Takes the reference. `taken`: bytes that went into it. */
typedef void (*VmfPackSink)(gpointer owner, const VmfParcel *parcel, gsize taken);

/* The window that a lane may have where one of 2^window_log bytes was agreed on. */
guint vmf_lane_window_log(guint lane, guint window_log);

VmfPack *vmf_pack_new(guint window_log, guint lane, VmfChunkPool *pool, VmfPackSink sink,
                      gpointer owner);
void vmf_pack_free(VmfPack *pack);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfPack, vmf_pack_free)

/* From the next batch on. */
void vmf_pack_set_way(VmfPack *pack, const VmfPackWay *way);

/* The slice stays the caller's. */
void vmf_pack_put(VmfPack *pack, const VmfSlice *bytes);

/* What these bytes would be packed, by themselves; nothing of it goes anywhere. */
gsize vmf_pack_try(VmfPack *pack, const uint8_t *data, gsize length);

/* What was put can be unpacked when this was. */
void vmf_pack_flush(VmfPack *pack);
