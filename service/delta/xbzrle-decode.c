/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/xbzrle.h"

#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* FALSE: no number below 2^14 stands here. */
static gboolean
take_number(const uint8_t **data, const uint8_t *end, size_t *ret_number)
{
    const uint8_t *at = *data;

    if (at == end)
        return FALSE;
    *ret_number = *at & 0x7f;
    if (*at++ & 0x80) {
        if (at == end || *at & 0x80)
            return FALSE;
        *ret_number |= (size_t)*at++ << 7;
    }
    *data = at;
    return TRUE;
}

typedef void (*StoreFunc)(uint8_t *to, const uint8_t *from, size_t length);

/* Two copies that overlap, so that every length from `size` to twice that takes the same way. */
#define COPY_TWICE(to, from, length, size)                                                         \
    do {                                                                                           \
        memcpy(to, from, size);                                                                    \
        memcpy((to) + (length) - (size), (from) + (length) - (size), size);                        \
    } while (0)

/* Exactly `length` bytes, at least 1: most runs are short, and memcpy() is a call for each. */
static inline void
store_run(uint8_t *to, const uint8_t *from, size_t length)
{
    if (length >= 8) {
        if (length <= 16)
            COPY_TWICE(to, from, length, 8);
        else if (length <= 32)
            COPY_TWICE(to, from, length, 16);
        else
            memcpy(to, from, length);
    } else if (length >= 4) {
        COPY_TWICE(to, from, length, 4);
    } else {
        to[0] = from[0];
        to[length / 2] = from[length / 2];
        to[length - 1] = from[length - 1];
    }
}

/* `page` may be NULL: only look. */
static inline __attribute__((always_inline)) gboolean
walk(const uint8_t *data, size_t length, uint8_t *page, size_t page_size, StoreFunc store_bytes)
{
    const uint8_t *end = length > 0 ? data + length : data; /* which may be NULL then */
    size_t left = page_size; /* of the page, behind what was done */

    while (data < end) {
        gboolean first = left == page_size;
        size_t skip, store;

        /* both numbers in one byte each, as they nearly always are */
        if (G_LIKELY(end - data >= 2 && ((data[0] | data[1]) & 0x80) == 0)) {
            skip = data[0];
            store = data[1];
            data += 2;
        } else if (!take_number(&data, end, &skip) || !take_number(&data, end, &store)) {
            return FALSE;
        }
        if ((skip == 0 && !first) || store == 0 || skip + store > left ||
            store > (size_t)(end - data))
            return FALSE;
        if (page)
            store_bytes(page + page_size - left + skip, data, store);
        left -= skip + store;
        data += store;
    }
    return TRUE;
}

gboolean
vmf_xbzrle_fits(const uint8_t *data, size_t length, size_t page_size)
{
    return walk(data, length, NULL, page_size, store_run);
}

#if defined(__x86_64__)
/* Up to 64 bytes without a branch: what the mask leaves out is neither read nor written. */
static inline __attribute__((always_inline, target("avx512f,avx512bw,bmi2"))) void
store_run_masked(uint8_t *to, const uint8_t *from, size_t length)
{
    __mmask64 mask;

    if (G_UNLIKELY(length > 64)) {
        memcpy(to, from, length);
        return;
    }
    mask = _bzhi_u64(~0ull, (unsigned)length);
    _mm512_mask_storeu_epi8(to, mask, _mm512_maskz_loadu_epi8(mask, from));
}

static __attribute__((target("avx512f,avx512bw,bmi2"))) gboolean
apply_masked(const uint8_t *data, size_t length, uint8_t *page, size_t page_size)
{
    return walk(data, length, page, page_size, store_run_masked);
}
#endif

gboolean
vmf_xbzrle_apply(const uint8_t *data, size_t length, uint8_t *page, size_t page_size)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("bmi2"))
        return apply_masked(data, length, page, page_size);
#endif
    return walk(data, length, page, page_size, store_run);
}
