/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * record-trace OUT: which pages a migration stream (on standard input) sends, and in which order.
 * OUT gets four bytes for each whole page: the number of its RAM block in the highest one, its
 * number inside the block in the others; big-endian. Pages of zeros are left out, no cache holds
 * them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "stream/stream.h"

static void
put_page(FILE *out, const VmfPage *page)
{
    uint8_t bytes[4];

    vmf_put_u32(bytes, page->block->index << 24 | (uint32_t)(page->address >> 12));
    if (fwrite(bytes, sizeof bytes, 1, out) != 1)
        exit(1);
}

int
main(int argc, char **argv)
{
    VmfReaderOptions options = {.connection = VMF_CONNECTION_MAIN};
    g_autoptr(VmfReader) reader = vmf_reader_new(&options);
    static uint8_t bytes[1 << 20];
    VmfEvent event;
    FILE *out;
    ssize_t n;

    if (argc != 2 || !(out = fopen(argv[1], "wb"))) {
        fprintf(stderr, "usage: record-trace OUT <STREAM\n");
        return 2;
    }
    while ((n = read(STDIN_FILENO, bytes, sizeof bytes)) > 0) {
        vmf_reader_feed(reader, bytes, (size_t)n);
        while (vmf_reader_next(reader, &event, NULL) == VMF_READ_EVENT)
            if (event.type == VMF_EVENT_PAGE && event.page.kind == VMF_PAGE_WHOLE)
                put_page(out, &event.page);
        fflush(out);
    }
    return fclose(out) == 0 ? 0 : 1;
}
