/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Multifd channels: packets in any pieces, and the pages they decode to. */
#include "stream-kit.h"

#include <zlib.h>
#include <zstd.h>

#include "stream/multifd.h"

#define SLOTS 128
#define HELLO_SIZE 64

static GByteArray *
channel(void)
{
    GByteArray *to = g_byte_array_new();
    static const uint8_t reserved[39];

    kit_number(to, 0x11223344, 4);
    kit_number(to, 1, 4);
    kit_bytes(to, "0123456789abcdef", 16);
    kit_number(to, 5, 1);
    kit_bytes(to, reserved, sizeof reserved);
    return to;
}

/* A packet whose pages have addresses 0, 4096, ... */
static void
packet(GByteArray *to, uint32_t flags, uint32_t normal, uint32_t zero, const void *payload,
       uint32_t length)
{
    char name[256] = "ram0";
    static const uint8_t reserved[28];

    kit_number(to, 0x11223344, 4);
    kit_number(to, 1, 4);
    kit_number(to, flags, 4);
    kit_number(to, SLOTS, 4);
    kit_number(to, normal, 4);
    kit_number(to, length, 4);
    kit_number(to, 9, 8);
    kit_number(to, zero, 4);
    kit_bytes(to, reserved, sizeof reserved);
    kit_bytes(to, name, sizeof name);
    for (guint i = 0; i < SLOTS; i++)
        kit_number(to, (uint64_t)i * KIT_PAGE, 8);
    if (normal > 0)
        kit_bytes(to, payload, length);
}

static void
on_page(const VmfMultifdPacket *from, uint64_t address, const uint8_t *page, gpointer user_data)
{
    GString *log = user_data;

    for (guint i = 1; i < KIT_PAGE; i++)
        assert_int_equal(page[i], page[0]);
    g_string_append_printf(log, "%s@%" G_GINT64_MODIFIER "x=%u ", from->block, address, page[0]);
}

/* Pages and syncs, read in pieces. */
static char *
read_channel(const GByteArray *bytes, guint piece)
{
    g_autoptr(VmfMultifdReader) reader = vmf_multifd_reader_new(KIT_PAGE);
    GString *log = g_string_new(NULL);
    g_autoptr(VmfMultifdDecoder) decoder = vmf_multifd_decoder_new(KIT_PAGE, on_page, log);
    g_autoptr(GByteArray) seen = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    VmfReadStatus status = VMF_READ_MORE;
    VmfMultifdEvent event;

    for (guint fed = 0; fed < bytes->len && !error; fed += piece) {
        vmf_multifd_reader_feed(reader, bytes->data + fed, MIN(piece, bytes->len - fed));
        while ((status = vmf_multifd_reader_next(reader, &event, &error)) == VMF_READ_EVENT) {
            kit_bytes(seen, event.raw, event.raw_length);
            if (event.type == VMF_MULTIFD_PACKET && event.packet.sync)
                g_string_append(log, "sync ");
            if (!vmf_multifd_decoder_put(decoder, &event, &error))
                break;
        }
    }
    if (!error && vmf_multifd_reader_end(reader, &error)) {
        assert_int_equal(seen->len, bytes->len);
        assert_memory_equal(seen->data, bytes->data, seen->len);
    }
    if (error)
        g_string_append_printf(log, "! %s", error->message);
    return g_string_free(log, FALSE);
}

static void
expect(GByteArray *bytes, const char *wanted)
{
    static const guint pieces[] = {1, 7, 4096, G_MAXUINT16, G_MAXINT};

    for (guint i = 0; i < G_N_ELEMENTS(pieces); i++) {
        g_autofree char *log = read_channel(bytes, pieces[i]);

        assert_string_equal(log, wanted);
    }
    g_byte_array_unref(bytes);
}

static void
test_plain_and_zero_pages(void **state)
{
    GByteArray *bytes = channel();
    g_autoptr(GByteArray) pages = g_byte_array_new();

    kit_page_bytes(pages, 3);
    kit_page_bytes(pages, 4);
    packet(bytes, 0, 2, 1, pages->data, pages->len);
    packet(bytes, 1, 0, 0, NULL, 8192); /* as 7.2 does it: a stale size, no payload */
    expect(bytes, "ram0@0=3 ram0@1000=4 ram0@2000=0 sync ");
}

static void
test_zlib_goes_on_over_packets(void **state)
{
    GByteArray *bytes = channel();
    uint8_t page[KIT_PAGE], out[KIT_PAGE];
    z_stream zlib = {0};

    assert_int_equal(deflateInit(&zlib, 1), Z_OK);
    for (guint i = 1; i <= 2; i++) {
        memset(page, (int)i, sizeof page);
        zlib.next_in = page;
        zlib.avail_in = sizeof page;
        zlib.next_out = out;
        zlib.avail_out = sizeof out;
        assert_int_equal(deflate(&zlib, Z_SYNC_FLUSH), Z_OK);
        packet(bytes, 2, 1, 0, out, sizeof out - zlib.avail_out);
    }
    deflateEnd(&zlib);
    expect(bytes, "ram0@0=1 ram0@0=2 ");
}

static void
test_zstd_goes_on_over_packets(void **state)
{
    GByteArray *bytes = channel();
    ZSTD_CStream *zstd = ZSTD_createCStream();
    uint8_t page[KIT_PAGE], out[KIT_PAGE];

    for (guint i = 1; i <= 2; i++) {
        ZSTD_inBuffer from = {page, sizeof page, 0};
        ZSTD_outBuffer to = {out, sizeof out, 0};

        memset(page, (int)i, sizeof page);
        assert_int_equal(ZSTD_compressStream2(zstd, &to, &from, ZSTD_e_flush), 0);
        packet(bytes, 4 | 1, 1, 0, out, (uint32_t)to.pos);
    }
    ZSTD_freeCStream(zstd);
    expect(bytes, "sync ram0@0=1 sync ram0@0=2 ");
}

static void
test_device_state(void **state)
{
    GByteArray *bytes = channel();
    char name[256] = "0000:00:05.0/vfio";

    kit_number(bytes, 0x11223344, 4);
    kit_number(bytes, 1, 4);
    kit_number(bytes, 0x40, 4);
    kit_bytes(bytes, name, sizeof name);
    kit_number(bytes, 0, 4);
    kit_number(bytes, 3, 4);
    kit_bytes(bytes, "abc", 3);
    packet(bytes, 1, 0, 0, NULL, 0);
    expect(bytes, "sync ");
}

static void
test_refused(void **state)
{
    GByteArray *bytes = channel();

    packet(bytes, 0, 1, 0, "x", 1);
    expect(bytes, "! offset 84 (0x54): expected a payload of 1 pages, found 1 bytes");
    bytes = channel();
    packet(bytes, 0, 129, 0, NULL, 0);
    expect(bytes, "! offset 76 (0x4c): expected a packet for 128 pages, found one for 128 with 129 "
                  "and 0 zero pages");
    bytes = channel();
    packet(bytes, 6, 0, 0, NULL, 0);
    expect(bytes, "! offset 72 (0x48): expected multifd flags of one compression, found 0x6");
    bytes = channel();
    packet(bytes, 2, 1, 0, "nozlib", 6);
    expect(bytes, "! packet 9: expected a payload (zlib) that decodes to 1 pages");
    bytes = channel();
    packet(bytes, 8, 1, 0, "qpl", 3);
    expect(bytes, "! packet 9: pages compressed with qpl are not decoded");
    bytes = channel();
    bytes->data[0] = 0;
    expect(bytes, "! offset 0 (0x0): expected multifd magic 0x11223344 and version 1, found "
                  "0x00223344 and 1");
    bytes = channel();
    kit_number(bytes, 0x11, 1);
    expect(bytes, "! offset 65 (0x41): the channel ends early; expected a whole packet");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_and_zero_pages),
        cmocka_unit_test(test_zlib_goes_on_over_packets),
        cmocka_unit_test(test_zstd_goes_on_over_packets),
        cmocka_unit_test(test_device_state),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests_name("stream-multifd", tests, NULL, NULL);
}
