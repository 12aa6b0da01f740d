/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The checksums of a data link that is not encrypted. PROTOCOL.md, "Checksums", is what it does.
 *
 * They find what the network, a switch or a network card damaged, which TCP's own checksum lets
 * through once in a while; not what somebody changed on purpose.
 *
 * A frame is handed on when all of it has come and is right: until then its pieces are held, which
 * is a frame at most. Nothing is copied.
 * Units: bytes. Threads: belongs to one.
 */
#pragma once

#include "link/chunk.h"

#define VMF_SUM_HEAD 12

typedef struct VmfSums VmfSums;

VmfSums *vmf_sums_new(void);
void vmf_sums_free(VmfSums *sums);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfSums, vmf_sums_free)

/* What goes in front of a frame; the caller's. */
VmfSlice vmf_sums_seal(const VmfSlice *frame, VmfChunkPool *pool);

typedef enum {
    VMF_SUMS_FRAME, /* a whole one, which is right: vmf_sums_frame() */
    VMF_SUMS_MORE,  /* all was taken, and more is to come */
    VMF_SUMS_ERROR, /* VMF_ERROR_LINK_BROKEN: it was damaged. Final. */
} VmfSumsAnswer;

/* Takes from the front of what came, up to the end of a frame, and moves `bytes` past it. */
VmfSumsAnswer vmf_sums_open(VmfSums *sums, VmfSlice *bytes, GError **error);

/* The frame's pieces, to be dropped before the next vmf_sums_open(). */
VmfSliceQueue *vmf_sums_frame(VmfSums *sums);
