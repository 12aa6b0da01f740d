/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench-cache TRACE PAGES...: the hits of the page cache on a recorded trace
 * (tests/bench/record-trace) for each size, one number a line. What is in a page does not matter to
 * it, so pages are 64 bytes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "delta/page-cache.h"

#define PAGE 64u

static uint64_t
count_hits(VmfBytes trace, uint64_t pages)
{
    g_autoptr(VmfPageCache) cache = vmf_page_cache_new(PAGE, pages * PAGE);
    uint8_t page[PAGE] = {1}, out[PAGE];
    VmfPageCacheFigures figures;

    while (trace.position < trace.length) {
        uint32_t name = vmf_bytes_get_u32(&trace);
        size_t length;

        page[1]++; /* one byte changes each time */
        vmf_page_cache_encode(cache, vmf_page_key(name >> 24, name & 0xffffff), page, out,
                              sizeof out, &length);
    }
    vmf_page_cache_figures(cache, &figures);
    return figures.hits;
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *bytes = NULL;
    gsize length;

    if (argc < 3) {
        fprintf(stderr, "usage: bench-cache TRACE PAGES...\n");
        return 2;
    }
    if (!g_file_get_contents(argv[1], &bytes, &length, &error))
        g_error("%s", error->message);
    for (int i = 2; i < argc; i++)
        printf("%" G_GUINT64_FORMAT "\n",
               count_hits(VMF_BYTES((uint8_t *)bytes, length), strtoull(argv[i], NULL, 0)));
    return EXIT_SUCCESS;
}
