/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tail of a stream, the state of devices, held until its description tells what is in it: then
 * the destination gets all of it, or, if it could not load it, nothing.
 *
 * The description is the last thing that QEMU sends, right behind the state, so what waits here
 * waits for QEMU only. A tail without one, or one that is too long, is let go unjudged.
 * Pure; one thread. Units: bytes.
 */
#pragma once

#include "stream/loadable.h"

#define VMF_TAIL_MAX                                                                               \
    (16u << 20) /* state of devices is some 100 KiB, unless they are passed through */

typedef struct VmfTail VmfTail;

typedef enum {
    VMF_TAIL_HELD,    /* more is to come */
    VMF_TAIL_RELEASE, /* all of it may go, and whatever follows */
    VMF_TAIL_REFUSED, /* none of it; vmf_tail_put() says why */
} VmfTailVerdict;

/* `loadable` is borrowed. */
VmfTail *vmf_tail_new(const VmfLoadable *loadable);
void vmf_tail_free(VmfTail *tail);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfTail, vmf_tail_free)

/* More of it, copied. Error: VMF_ERROR_INCOMPATIBLE with VMF_TAIL_REFUSED. */
VmfTailVerdict vmf_tail_put(VmfTail *tail, const uint8_t *data, gsize length, GError **error);

/* The input rests: HELD, or RELEASE if what is held looks like the end of a stream. */
VmfTailVerdict vmf_tail_rest(const VmfTail *tail);

/* What is held. */
const GByteArray *vmf_tail_bytes(const VmfTail *tail);
