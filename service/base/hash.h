/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * XXH3 with the widest registers that this processor has, by the library's own names (xxhash.h).
 *
 * Any thread. After a call, vmf_hash_settle(): the library's AVX code leaves the upper halves of
 * registers in use, and after that every SSE instruction waits for them.
 */
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#include <xxh_x86dispatch.h>

__attribute__((target("avx"))) static inline void
vmf_hash_clear_upper_halves(void)
{
    _mm256_zeroupper();
}

static inline void
vmf_hash_settle(void)
{
    if (__builtin_cpu_supports("avx"))
        vmf_hash_clear_upper_halves();
}
#else
#include <xxhash.h>

static inline void
vmf_hash_settle(void)
{
}
#endif
