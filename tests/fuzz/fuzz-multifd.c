/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A multifd channel and its decoder. The first byte is the size of the pieces. */
#include "fuzz.h"

#include "stream/multifd.h"

#define PAGE_SIZE 4096

static void
on_page(const VmfMultifdPacket *packet, uint64_t address, const uint8_t *page, gpointer user_data)
{
    volatile uint8_t last = page[PAGE_SIZE - 1];

    (void)last;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    g_autoptr(VmfMultifdReader) reader = vmf_multifd_reader_new(PAGE_SIZE);
    g_autoptr(VmfMultifdDecoder) decoder = vmf_multifd_decoder_new(PAGE_SIZE, on_page, NULL);
    gboolean decoding = TRUE;
    size_t piece;

    if (length < 1)
        return 0;
    piece = data[0] + 1u;
    for (size_t fed = 1; fed < length; fed += piece) {
        size_t n = MIN(piece, length - fed);
        g_autofree uint8_t *copy = g_memdup2(data + fed, n);
        VmfReadStatus status;
        VmfMultifdEvent event;

        vmf_multifd_reader_feed(reader, copy, n);
        while ((status = vmf_multifd_reader_next(reader, &event, NULL)) == VMF_READ_EVENT)
            decoding = decoding && vmf_multifd_decoder_put(decoder, &event, NULL);
        if (status == VMF_READ_ERROR)
            return 0;
    }
    vmf_multifd_reader_end(reader, NULL);
    return 0;
}
