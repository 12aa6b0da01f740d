/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <emmintrin.h>

#include <glib.h>
#include <stdint.h>

#define CHUNK 16

static inline uint64_t
equal(const uint8_t *old, const uint8_t *page)
{
    return (uint64_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)old),
                                                      _mm_loadu_si128((const __m128i *)page)));
}

static inline uint64_t
differing(const uint8_t *old, const uint8_t *page)
{
    return ~(equal(old, page) | equal(old + 16, page + 16) << 16 |
             equal(old + 32, page + 32) << 32 | equal(old + 48, page + 48) << 48);
}

static inline void
copy_chunk(uint8_t *to, const uint8_t *from)
{
    _mm_storeu_si128((__m128i *)to, _mm_loadu_si128((const __m128i *)from));
}

#include "delta/xbzrle-encode.h"

static gboolean
usable(void)
{
    return TRUE;
}

const VmfXbzrle vmf_xbzrle_sse2 = {"sse2", usable, encode};
