/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <immintrin.h>

#include <glib.h>
#include <stdint.h>

#define CHUNK 64

static inline uint64_t
differing(const uint8_t *old, const uint8_t *page)
{
    return _mm512_cmpneq_epi8_mask(_mm512_loadu_si512(old), _mm512_loadu_si512(page));
}

static inline void
copy_chunk(uint8_t *to, const uint8_t *from)
{
    _mm512_storeu_si512(to, _mm512_loadu_si512(from));
}

#include "delta/xbzrle-encode.h"

static gboolean
usable(void)
{
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("bmi2") &&
           __builtin_cpu_supports("popcnt");
}

const VmfXbzrle vmf_xbzrle_avx512 = {"avx512", usable, encode};
