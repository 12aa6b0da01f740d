/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * XBZRLE runs over a page of a size that the first byte chooses. What the decoder takes must come
 * out of every encoder so that it decodes to the same page.
 */
#include "fuzz.h"

#include <string.h>

#include "delta/xbzrle.h"

static void
encode_again(const uint8_t *old, const uint8_t *page, size_t page_size)
{
    g_autofree uint8_t *rebuilt = g_memdup2(old, page_size);
    const VmfXbzrle *codec;

    for (guint i = 0; (codec = vmf_xbzrle_usable(i)); i++) {
        g_autofree uint8_t *out = g_malloc(page_size);
        int length = vmf_xbzrle_encode(codec, old, page, page_size, out, page_size);

        if (length == VMF_XBZRLE_TOO_LARGE)
            continue;
        memcpy(rebuilt, old, page_size);
        if (!vmf_xbzrle_apply(out, (size_t)length, rebuilt, page_size) ||
            memcmp(rebuilt, page, page_size) != 0)
            g_error("%s: the delta does not make the page", vmf_xbzrle_name(codec));
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    size_t page_size = length > 0 ? (size_t)4096 << data[0] % 5 : 0;
    g_autofree uint8_t *old = g_malloc(page_size);
    g_autofree uint8_t *page = NULL, *runs = NULL;
    gboolean fits;

    if (length < 1)
        return 0;
    for (size_t i = 0; i < page_size; i++)
        old[i] = (uint8_t)(i * i >> 7);
    page = g_memdup2(old, page_size);
    runs = g_memdup2(data + 1, length - 1);
    fits = vmf_xbzrle_fits(runs, length - 1, page_size);
    if (vmf_xbzrle_apply(runs, length - 1, page, page_size) != fits)
        g_error("runs fit, or they do not");
    if (fits)
        encode_again(old, page, page_size);
    return 0;
}
