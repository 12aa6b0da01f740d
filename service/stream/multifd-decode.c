/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/multifd.h"

#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/error.h"

struct VmfMultifdDecoder {
    guint page_size;
    VmfMultifdPageFunc page;
    gpointer user_data;
    VmfMultifdPacket packet; /* the one whose payload comes; its addresses are copied */
    uint8_t *addresses;
    guint next; /* normal page to be filled */
    uint32_t payload_left;
    gboolean device; /* the payload is VFIO state */
    uint8_t *buffer; /* the page being filled */
    size_t filled;
    z_stream zlib;
    gboolean zlib_open;
    ZSTD_DStream *zstd;
};

VmfMultifdDecoder *
vmf_multifd_decoder_new(guint page_size, VmfMultifdPageFunc page, gpointer user_data)
{
    VmfMultifdDecoder *decoder = g_new0(VmfMultifdDecoder, 1);

    decoder->page_size = page_size;
    decoder->page = page;
    decoder->user_data = user_data;
    decoder->buffer = g_malloc(page_size);
    return decoder;
}

void
vmf_multifd_decoder_free(VmfMultifdDecoder *decoder)
{
    if (!decoder)
        return;
    if (decoder->zlib_open)
        inflateEnd(&decoder->zlib);
    ZSTD_freeDStream(decoder->zstd);
    g_free(decoder->addresses);
    g_free(decoder->buffer);
    g_free(decoder);
}

static gboolean
broken(const VmfMultifdDecoder *decoder, GError **error)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_STREAM,
                "packet %" G_GUINT64_FORMAT ": expected a payload (%s) that decodes to %u pages",
                decoder->packet.number, vmf_multifd_method_name(decoder->packet.method),
                decoder->packet.normal_pages);
    return FALSE;
}

/* The buffer got `n` bytes more; hands the page over when it is full. */
static void
grow(VmfMultifdDecoder *decoder, size_t n)
{
    decoder->filled += n;
    if (decoder->filled < decoder->page_size)
        return;
    decoder->page(&decoder->packet, vmf_multifd_address(&decoder->packet, decoder->next),
                  decoder->buffer, decoder->user_data);
    decoder->next++;
    decoder->filled = 0;
}

static gboolean
is_full(const VmfMultifdDecoder *decoder)
{
    return decoder->next == decoder->packet.normal_pages;
}

static gboolean
copy(VmfMultifdDecoder *decoder, const uint8_t *bytes, size_t length)
{
    while (length > 0 && !is_full(decoder)) {
        size_t n = MIN(length, decoder->page_size - decoder->filled);

        memcpy(decoder->buffer + decoder->filled, bytes, n);
        bytes += n;
        length -= n;
        grow(decoder, n);
    }
    return length == 0;
}

static gboolean
inflate_pages(VmfMultifdDecoder *decoder, const uint8_t *bytes, size_t length)
{
    z_stream *zlib = &decoder->zlib;

    if (!decoder->zlib_open && inflateInit(zlib) != Z_OK)
        return FALSE;
    decoder->zlib_open = TRUE;
    zlib->next_in = (Bytef *)bytes;
    zlib->avail_in = (uInt)length;
    for (;;) {
        size_t room = is_full(decoder) ? 0 : decoder->page_size - decoder->filled;
        uint8_t spill;
        int result;

        /* A full packet may still have the marks of its flush, which give no byte. */
        zlib->next_out = room ? decoder->buffer + decoder->filled : &spill;
        zlib->avail_out = room ? (uInt)room : 1;
        result = inflate(zlib, Z_SYNC_FLUSH);
        if (result != Z_OK && result != Z_BUF_ERROR)
            return FALSE;
        if (!room)
            return zlib->avail_out == 1 && zlib->avail_in == 0;
        if (zlib->avail_out == room)
            return zlib->avail_in == 0;
        grow(decoder, room - zlib->avail_out);
    }
}

static gboolean
decompress_pages(VmfMultifdDecoder *decoder, const uint8_t *bytes, size_t length)
{
    ZSTD_inBuffer in = {.src = bytes, .size = length};

    if (!decoder->zstd)
        decoder->zstd = ZSTD_createDStream();
    for (;;) {
        size_t room = is_full(decoder) ? 0 : decoder->page_size - decoder->filled;
        uint8_t spill;
        ZSTD_outBuffer out = {.dst = room ? decoder->buffer + decoder->filled : &spill,
                              .size = room ? room : 1};

        if (ZSTD_isError(ZSTD_decompressStream(decoder->zstd, &out, &in)))
            return FALSE;
        if (!room)
            return out.pos == 0 && in.pos == in.size;
        if (out.pos == 0)
            return in.pos == in.size;
        grow(decoder, out.pos);
    }
}

static gboolean
finish_packet(VmfMultifdDecoder *decoder, GError **error)
{
    const VmfMultifdPacket *packet = &decoder->packet;

    if (!is_full(decoder) || decoder->filled > 0)
        return broken(decoder, error);
    memset(decoder->buffer, 0, decoder->page_size);
    for (guint i = 0; i < packet->zero_pages; i++)
        decoder->page(packet, vmf_multifd_address(packet, packet->normal_pages + i),
                      decoder->buffer, decoder->user_data);
    return TRUE;
}

static gboolean
begin_packet(VmfMultifdDecoder *decoder, const VmfMultifdPacket *packet, GError **error)
{
    gsize pages = packet->normal_pages + packet->zero_pages;

    if (packet->normal_pages > 0 && packet->method > VMF_MULTIFD_ZSTD) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED,
                    "packet %" G_GUINT64_FORMAT ": pages compressed with %s are not decoded",
                    packet->number, vmf_multifd_method_name(packet->method));
        return FALSE;
    }
    g_free(decoder->addresses);
    decoder->addresses = g_memdup2(packet->addresses, pages * sizeof(uint64_t));
    decoder->packet = *packet;
    decoder->packet.addresses = decoder->addresses;
    decoder->payload_left = packet->payload;
    decoder->device = FALSE;
    decoder->next = 0;
    decoder->filled = 0;
    return packet->payload > 0 || finish_packet(decoder, error);
}

static gboolean
take_payload(VmfMultifdDecoder *decoder, const uint8_t *bytes, size_t length, GError **error)
{
    gboolean fine;

    if (decoder->device)
        return TRUE;
    switch (decoder->packet.method) {
    case VMF_MULTIFD_ZLIB:
        fine = inflate_pages(decoder, bytes, length);
        break;
    case VMF_MULTIFD_ZSTD:
        fine = decompress_pages(decoder, bytes, length);
        break;
    default:
        fine = copy(decoder, bytes, length);
        break;
    }
    if (!fine)
        return broken(decoder, error);
    decoder->payload_left -= (uint32_t)length;
    return decoder->payload_left > 0 || finish_packet(decoder, error);
}

gboolean
vmf_multifd_decoder_put(VmfMultifdDecoder *decoder, const VmfMultifdEvent *event, GError **error)
{
    switch (event->type) {
    case VMF_MULTIFD_PACKET:
        return begin_packet(decoder, &event->packet, error);
    case VMF_MULTIFD_DATA:
        return take_payload(decoder, event->data.bytes, event->data.length, error);
    case VMF_MULTIFD_DEVICE:
        decoder->device = TRUE;
        return TRUE;
    case VMF_MULTIFD_HELLO:
        break;
    }
    return TRUE;
}
