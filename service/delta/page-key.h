/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The name of a page: its RAM block's index and its number inside the block. Pages that follow one
 * another have keys that do.
 */
#pragma once

#include <stdint.h>

#define VMF_PAGE_KEY_BITS 44 /* of the number: 2^44 pages of 4 KiB are 2^56 bytes */

static inline uint64_t
vmf_page_key(unsigned block, uint64_t number)
{
    return (uint64_t)block << VMF_PAGE_KEY_BITS | number;
}
