/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packing a channel's bytes with zstd, and taking them apart again. PROTOCOL.md, "Packed bytes",
 * says what they look like.
 *
 * What is packed is one zstd stream, cut into batches of up to VMF_BATCH_MAX bytes, each of which
 * can be unpacked as soon as it is there. How hard it tries may change with every batch; another
 * way than before begins a new frame, which knows nothing of the bytes before. Bytes may also go as
 * they are, between two batches.
 *
 * Units: bytes. Memory: the window and tables of zstd on both sides. Threads: one at a time.
 */
#pragma once

#include "pump/duct.h"

#define VMF_BATCH_MAX (240 * 1024) /* before packing: so that a packed one fits into a chunk */
#define VMF_BATCH_HEAD 12
#define VMF_WINDOW_LOG_MIN 17
#define VMF_WINDOW_LOG_MAX 27

#define VMF_PACK_TRY_MAX (16 * 1024)

/* How hard it tries. */
typedef struct {
    gboolean raw; /* not at all */
    int level;    /* zstd's */
    gboolean far; /* looks back over the whole window agreed on */
} VmfPackWay;

typedef struct VmfPack VmfPack;

/* Takes the reference. `taken`: bytes that went into it. */
typedef void (*VmfPackSink)(gpointer owner, const VmfParcel *parcel, gsize taken);

/* proves: what is put is hashed, for vmf_pack_prove(). */
VmfPack *vmf_pack_new(guint window_log, gboolean proves, VmfChunkPool *pool, VmfPackSink sink,
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

/* If it proves: what follows is unpacked only if all that was put came out as it went in. */
void vmf_pack_prove(VmfPack *pack);
