/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/page.h"

#include <string.h>
#include <zlib.h>

#include "base/error.h"
#include "delta/xbzrle.h"

static gboolean
inflate_page(const VmfPage *page, uint8_t *to, size_t page_size)
{
    uLongf size = page_size;

    return uncompress(to, &size, page->data, page->length) == Z_OK && size == page_size;
}

gboolean
vmf_page_apply(const VmfPage *page, uint8_t *to, size_t page_size, GError **error)
{
    gboolean fine = TRUE;

    switch (page->kind) {
    case VMF_PAGE_ZERO:
        memset(to, page->fill, page_size);
        break;
    case VMF_PAGE_XBZRLE:
        fine = vmf_xbzrle_apply(page->data, page->length, to, page_size);
        break;
    case VMF_PAGE_COMPRESSED:
        fine = inflate_page(page, to, page_size);
        break;
    default:
        memcpy(to, page->data, page_size);
        break;
    }
    if (!fine)
        g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_STREAM,
                    "page 0x%" G_GINT64_MODIFIER "x of RAM block \"%s\": expected a record (%s) "
                    "that decodes to %zu bytes",
                    page->address, page->block->name, vmf_page_kind_name(page->kind), page_size);
    return fine;
}
