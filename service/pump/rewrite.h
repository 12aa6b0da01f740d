/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The delta stage: bytes of QEMU's main connection in, bytes of an ordinary QEMU stream out, fewer
 * of them. A page that is what the destination has already is left out; one that differs a little
 * goes as XBZRLE over the content sent last, if that is smaller; all else goes as it came.
 *
 * What makes it right:
 * - The base of a page is the content last sent for it in this stream, whoever coded it. A record
 *   whose result is not known (compressed by QEMU) leaves no base; the next one goes whole.
 * - A page's first record is never left out, so a destination that discarded its memory gets
 *   every page; and firmware, which it has loaded by itself, is sent whole once.
 * - Zero records are never left out, and a record that names its RAM block neither, so that the
 *   destination always continues the block that QEMU thinks it does.
 * - From the first discard or POSTCOPY_LISTEN on, all passes untouched: pages may come once only.
 * - Where the reader is not sure, all passes untouched from there, and `why` says so. A migration
 *   never fails because of this.
 *
 * It also holds the state of devices against what the destination can load (pump/tail.h), if that
 * is known: this is where the stream is read. What it refuses fails the migration:
 * vmf_rewrite_error(). Not in post-copy, whose stream does not describe its state.
 *
 * Pure but for memory. Output is put together in chunks of the pool; what passes untouched is
 * passed by reference. Nothing is held back behind vmf_rewrite_flush() but a record that is cut by
 * the end of the input.
 * Units: bytes. Threads: belongs to one at a time.
 */
#pragma once

#include "link/chunk.h"
#include "pump/bases.h"
#include "stream/loadable.h"

typedef struct VmfRewrite VmfRewrite;

/* Takes the reference; headroom is in front of the bytes. */
typedef void (*VmfRewriteSink)(gpointer owner, VmfSlice bytes);

typedef struct {
    gboolean unchanged;          /* may leave pages out */
    gboolean xbzrle;             /* may send XBZRLE */
    gboolean proves;             /* XBZRLE is taken apart again before it goes */
    guint64 cache;               /* memory for contents */
    const VmfLoadable *loadable; /* NULL: nothing is held against it; borrowed */
    /* The state of devices begins with what goes to the sink next. NULL: need not be told. */
    void (*tail)(gpointer owner);
} VmfRewriteSetup;

typedef struct {
    guint64 zero, unchanged, delta, whole; /* page records, by what became of them */
    guint64 delta_from, delta_bytes;       /* bytes of pages, and of the XBZRLE data they became */
    guint64 in, out;                       /* bytes */
    VmfBasesFigures bases;
} VmfRewriteFigures;

VmfRewrite *vmf_rewrite_new(const VmfRewriteSetup *setup, VmfChunkPool *pool, VmfRewriteSink sink,
                            gpointer owner);
void vmf_rewrite_free(VmfRewrite *rewrite);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfRewrite, vmf_rewrite_free)

/* The slice stays the caller's. */
void vmf_rewrite_put(VmfRewrite *rewrite, const VmfSlice *bytes);

/* The input rests: what is ready goes. */
void vmf_rewrite_flush(VmfRewrite *rewrite);

/* The input is over; all goes. */
void vmf_rewrite_end(VmfRewrite *rewrite);

/* At any moment. Switched off it forgets all bases; switched on it begins anew. */
void vmf_rewrite_set_cache(VmfRewrite *rewrite, guint64 size);
void vmf_rewrite_set_on(VmfRewrite *rewrite, gboolean on);

/* From here on everything passes untouched. The first reason stays. `why` is copied. */
void vmf_rewrite_give_up(VmfRewrite *rewrite, const char *why);

/* Why everything passes untouched; NULL: it does not. */
const char *vmf_rewrite_why(const VmfRewrite *rewrite);

/* The destination could not load what comes: nothing goes any more. NULL: that is not so. */
const GError *vmf_rewrite_error(const VmfRewrite *rewrite);

/* The guest runs at the destination and waits for what comes. */
gboolean vmf_rewrite_is_postcopy(const VmfRewrite *rewrite);

void vmf_rewrite_get_figures(const VmfRewrite *rewrite, VmfRewriteFigures *ret);

/* Up to `count` points of vmf_sampler_curve(), how many; and the pages that it is made from. */
guint vmf_rewrite_get_curve(const VmfRewrite *rewrite, VmfSamplerPoint *ret_points, guint count,
                            guint64 *ret_repeats);
