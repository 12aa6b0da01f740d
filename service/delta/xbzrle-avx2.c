/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <immintrin.h>

#include <glib.h>
#include <stdint.h>

#define CHUNK 32

static inline uint32_t
equal(const uint8_t *old, const uint8_t *page)
{
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(
        _mm256_loadu_si256((const __m256i *)old), _mm256_loadu_si256((const __m256i *)page)));
}

static inline uint64_t
differing(const uint8_t *old, const uint8_t *page)
{
    return ~((uint64_t)equal(old + 32, page + 32) << 32 | equal(old, page));
}

static inline void
copy_chunk(uint8_t *to, const uint8_t *from)
{
    _mm256_storeu_si256((__m256i *)to, _mm256_loadu_si256((const __m256i *)from));
}

#include "delta/xbzrle-encode.h"

static gboolean
usable(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") &&
           __builtin_cpu_supports("popcnt");
}

const VmfXbzrle vmf_xbzrle_avx2 = {"avx2", usable, encode};
