/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arm_neon.h>

#include <glib.h>
#include <stdint.h>

#define CHUNK 16

/* 0xff where a byte differs. */
static inline uint8x16_t
unequal(const uint8_t *old, const uint8_t *page)
{
    return vmvnq_u8(vceqq_u8(vld1q_u8(old), vld1q_u8(page)));
}

/* There is no instruction for this: each byte keeps its bit, and neighbours are added thrice. */
static inline uint64_t
differing(const uint8_t *old, const uint8_t *page)
{
    static const uint8_t bits[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t bit = vld1q_u8(bits);
    uint8x16_t a = vandq_u8(unequal(old, page), bit);
    uint8x16_t b = vandq_u8(unequal(old + 16, page + 16), bit);
    uint8x16_t c = vandq_u8(unequal(old + 32, page + 32), bit);
    uint8x16_t d = vandq_u8(unequal(old + 48, page + 48), bit);
    uint8x16_t sum = vpaddq_u8(vpaddq_u8(a, b), vpaddq_u8(c, d));

    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sum, sum)), 0);
}

static inline void
copy_chunk(uint8_t *to, const uint8_t *from)
{
    vst1q_u8(to, vld1q_u8(from));
}

#include "delta/xbzrle-encode.h"

static gboolean
usable(void)
{
    return TRUE;
}

const VmfXbzrle vmf_xbzrle_neon = {"neon", usable, encode};
