/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * XBZRLE: what changed in a page, as QEMU writes and reads it.
 *
 * A delta is { skip, store, `store` bytes } repeated. `skip` counts bytes that stay, `store` bytes
 * that are overwritten with the new content that follows; both are ULEB128 numbers of at most two
 * bytes. `store` is never 0, `skip` is 0 only in the first pair, and what stays at the page's end
 * is not written. Every run is as long as it can be.
 *
 * The encoder's output is that of QEMU's scalar encoder, byte for byte, and it refuses the same
 * pages: the standard one wants room for two more bytes before it looks at each run, so a page
 * whose end stays is refused unless two bytes are left after its delta. Pages over 16 KiB can have
 * runs that two bytes cannot count, of which the standard says nothing: a run that stays is cut by
 * storing one unchanged byte, a page with such a run of changes is refused.
 *
 * There are several encoders, all with the same result; the best that this CPU runs is chosen, or
 * the one that the environment variable VMFERRY_CODEC names (avx512, avx2, sse2, neon, portable).
 *
 * Units: bytes. Page sizes are multiples of 64, up to VMF_XBZRLE_PAGE_MAX. No function reads or
 * writes a byte outside of what it is given. Pure functions, any thread.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

#define VMF_XBZRLE_PAGE_MAX (64u << 10)
#define VMF_XBZRLE_RUN_MAX 0x3fffu

typedef struct VmfXbzrle VmfXbzrle;

/* Looks at the CPU and the environment: keep the answer. Static. */
const VmfXbzrle *vmf_xbzrle_choose(void);

/* Those this CPU can run, the best first; NULL behind the last one. */
const VmfXbzrle *vmf_xbzrle_usable(guint index);

const char *vmf_xbzrle_name(const VmfXbzrle *codec);

#define VMF_XBZRLE_TOO_LARGE (-1)

/*
 * Writes the delta that makes `old` into `page`. Returns its length; 0: the pages are equal;
 * VMF_XBZRLE_TOO_LARGE: it is not possible in `out_size` bytes, and `out` is spoiled.
 */
int vmf_xbzrle_encode(const VmfXbzrle *codec, const uint8_t *old, const uint8_t *page,
                      size_t page_size, uint8_t *out, size_t out_size);

/* Are these runs well-formed and inside a page of `page_size` bytes? */
gboolean vmf_xbzrle_fits(const uint8_t *data, size_t length, size_t page_size);

/* Stores the runs into the page's previous content. FALSE, page spoiled: they do not fit. */
gboolean vmf_xbzrle_apply(const uint8_t *data, size_t length, uint8_t *page, size_t page_size);
