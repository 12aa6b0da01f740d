/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/xbzrle.h"

#include <string.h>

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

/* `page` may be NULL: only look. */
static gboolean
walk(const uint8_t *data, size_t length, uint8_t *page, size_t page_size)
{
    const uint8_t *end = data + length;
    size_t at = 0;
    gboolean first = TRUE;

    while (data < end) {
        size_t skip, store;

        if (!take_number(&data, end, &skip) || (skip == 0 && !first) || skip > page_size - at)
            return FALSE;
        at += skip;
        if (!take_number(&data, end, &store) || store == 0 || store > page_size - at ||
            store > (size_t)(end - data))
            return FALSE;
        if (page)
            memcpy(page + at, data, store);
        at += store;
        data += store;
        first = FALSE;
    }
    return TRUE;
}

gboolean
vmf_xbzrle_fits(const uint8_t *data, size_t length, size_t page_size)
{
    return walk(data, length, NULL, page_size);
}

gboolean
vmf_xbzrle_apply(const uint8_t *data, size_t length, uint8_t *page, size_t page_size)
{
    return walk(data, length, page, page_size);
}
