/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The other end of pump/pack.h: keeps what came, and takes it apart as far as it is asked to. So a
 * few bytes that unpack to many fill no memory: what was not asked for stays packed.
 *
 * Units: bytes. Memory: what was put and not taken, the windows of the lanes that were used, one
 * chunk. Threads: one at a time. Errors: VMF_ERROR_PROTOCOL: a batch that does not unpack, or not
 * to as many bytes as it said, a lane or a window larger than agreed on, packed bytes cut by others
 * or by the end; VMF_ERROR_FAILED: what came out is not what went in, as a proof says. Final.
 */
#pragma once

#include "pump/pack.h"

typedef struct VmfUnpack VmfUnpack;

/* What was agreed on. */
typedef struct {
    guint window_log; /* the largest; 0: nothing packed may come */
    guint lanes;      /* up to VMF_LANES_MAX; 0: 1 */
    gboolean proves;  /* proofs may come */
} VmfUnpackSetup;

VmfUnpack *vmf_unpack_new(const VmfUnpackSetup *setup, VmfChunkPool *pool);
void vmf_unpack_free(VmfUnpack *unpack);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfUnpack, vmf_unpack_free)

/* The slice stays the caller's. */
void vmf_unpack_put(VmfUnpack *unpack, const VmfSlice *bytes, gboolean packed);

/* These went by it, as nothing was put that was not taken. */
void vmf_unpack_pass(VmfUnpack *unpack, const VmfSlice *bytes);

/* All that was put was taken and told of, and it did not end inside a batch. */
gboolean vmf_unpack_is_empty(const VmfUnpack *unpack);

typedef enum {
    VMF_UNPACK_BYTES,
    VMF_UNPACK_MORE, /* needs more put */
    VMF_UNPACK_ERROR,
} VmfUnpackAnswer;

/* The next bytes; the reference is the caller's. *ret_used: how many that were put they were. */
VmfUnpackAnswer vmf_unpack_take(VmfUnpack *unpack, VmfSlice *ret, gsize *ret_used, GError **error);

/* Nothing more is put, all was taken: FALSE if that is in the middle of a batch. */
gboolean vmf_unpack_end(const VmfUnpack *unpack, GError **error);
