/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RAM records, the block list, and what records make of pages. */
#include "stream-kit.h"

#include <zlib.h>

#include "stream/page.h"

#define START "header machine=pc section=ram/1/format list block=ram0"
#define RECORDS_AT 53 /* where records start behind kit_ram_start() */

static GByteArray *
start(void)
{
    GByteArray *bytes = kit_stream("pc");

    kit_ram_start(bytes, 2);
    assert_int_equal(bytes->len, RECORDS_AT);
    return bytes;
}

static void
record(GByteArray *to, uint64_t word, const char *name)
{
    kit_number(to, word, 8);
    if (name)
        kit_name(to, name);
}

static void
test_every_record(void **state)
{
    GByteArray *bytes = start();
    uint8_t page[KIT_PAGE] = "text";
    uint8_t packed[KIT_PAGE];
    uLongf length = sizeof packed;

    assert_int_equal(compress(packed, &length, page, sizeof page), Z_OK);
    record(bytes, 0x02, "ram0");
    kit_number(bytes, 0xab, 1);
    record(bytes, 0x1028, NULL);
    kit_page_bytes(bytes, 1);
    record(bytes, 0x1060, NULL);
    kit_bytes(bytes, "\1\0\3\x10\1x", 6);
    record(bytes, 0x120, NULL);
    kit_number(bytes, length, 4);
    kit_bytes(bytes, packed, length);
    record(bytes, 0x200, NULL);
    kit_ram_end(bytes);
    kit_number(bytes, 0, 1);
    kit_expect(bytes, &kit_scan,
               START " page=zero@0 page=whole@1000 page=xbzrle@1000 page=compressed@0 flush eos "
                     "close eof");
}

static void
test_bad_records(void **state)
{
    static const struct {
        uint64_t word;
        const char *name;
        const char *body;
        gsize body_length;
        guint where;
        const char *what;
    } cases[] = {
        {0x22, NULL, "", 1, 0, "before it is continued"},
        {0x80, NULL, "", 0, 0, "RDMA"},
        {0x01, NULL, "", 0, 0, "found flags 0x001"},
        {0x0a, NULL, "", 0, 0, "found flags 0x00a"},
        {0x400, NULL, "", 0, 0, "found flags 0x400"},
        {0x1010, NULL, "", 0, 0, "expected address 0"},
        {0x02, "ram1", "", 1, 8, "a RAM block of the list, found \"ram1\""},
        {0x2002, "ram0", "", 1, 0, "expected a page inside"},
        {0xfffffffffffff002, "ram0", "", 1, 0, "expected a page inside"},
        {0x40, "ram0", "\2\0\1", 4, 13, "expected XBZRLE encoding 1, found 2"},
        {0x40, "ram0", "\1\x10\1", 4, 14, "at most 4096 bytes of XBZRLE, found 4097"},
        {0x40, "ram0", "\1\0\4\xff\x1f\2ab", 8, 16, "XBZRLE runs inside a page"},
        {0x100, "ram0", "\0\1\0\0", 4, 13, "at most 4110 bytes of a compressed page"},
        {0x1004, NULL, "", 0, 0, "one RAM block list"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        GByteArray *bytes = start();

        record(bytes, cases[i].word, cases[i].name);
        kit_bytes(bytes, cases[i].body, cases[i].body_length);
        kit_expect_error(bytes, &kit_scan, RECORDS_AT + cases[i].where, cases[i].what);
    }
}

static void
test_list_that_does_not_add_up(void **state)
{
    GByteArray *bytes = kit_stream("pc");

    kit_section(bytes, VMF_SECTION_START, 2, "ram", 4);
    kit_number(bytes, 0x1004, 8);
    kit_name(bytes, "a");
    kit_number(bytes, 0x2000, 8);
    kit_expect_error(bytes, &kit_scan, 40, "expected RAM blocks of 4096 bytes more");

    bytes = kit_stream("pc");
    kit_section(bytes, VMF_SECTION_START, 2, "ram", 4);
    kit_number(bytes, 0x2004, 8);
    for (guint i = 0; i < 2; i++) {
        kit_name(bytes, "a");
        kit_number(bytes, 0x1000, 8);
    }
    kit_expect_error(bytes, &kit_scan, 50, "every RAM block once");
}

/* After POSTCOPY_ADVISE, blocks of huge pages carry their page size, unmarked. */
static void
test_huge_pages_in_the_list(void **state)
{
    g_autoptr(GByteArray) bytes = kit_stream("pc");
    g_autoptr(GByteArray) advice = g_byte_array_new();
    g_autoptr(VmfReader) reader = vmf_reader_new(&kit_scan);
    g_autofree char *log = NULL;

    kit_number(advice, 0x201000, 8);
    kit_number(advice, 0x1000, 8);
    kit_command(bytes, VMF_COMMAND_POSTCOPY_ADVISE, advice->data, advice->len);
    kit_section(bytes, VMF_SECTION_START, 2, "ram", 4);
    kit_number(bytes, 0x401004, 8);
    kit_name(bytes, "small");
    kit_number(bytes, 0x1000, 8);
    kit_name(bytes, "huge");
    kit_number(bytes, 0x400000, 8);
    kit_number(bytes, 0x200000, 8);
    kit_ram_end(bytes);
    kit_number(bytes, 0, 1);
    log = kit_read_pieces(reader, bytes, 5);
    assert_string_equal(log, "header machine=pc command=postcopy-advise section=ram/1/format list "
                             "block=small block=huge eos close eof");
    assert_int_equal(vmf_reader_ram_blocks(reader), 2);
    assert_int_equal(vmf_reader_ram_block(reader, 0)->page_size, 0);
    assert_int_equal(vmf_reader_ram_block(reader, 1)->page_size, 0x200000);
    assert_int_equal(vmf_reader_ram_block(reader, 1)->length, 0x400000);
}

static void
test_mapped_ram(void **state)
{
    GByteArray *bytes = kit_stream("pc");
    guint at;

    kit_number(bytes, 5, 1);
    kit_name(bytes, "configuration/capabilities");
    kit_number(bytes, 1, 4);
    kit_number(bytes, 1, 4);
    kit_name(bytes, "mapped-ram");
    kit_ram_start(bytes, 3);
    at = bytes->len + 28 + 1000; /* the file has 1000 bytes before the stream */
    kit_number(bytes, 1, 4);
    kit_number(bytes, KIT_PAGE, 8);
    kit_number(bytes, at, 8);
    kit_number(bytes, at + 16, 8);
    kit_bytes(bytes, "\5\0\0\0\0\0\0\0padding-", 16);
    kit_page_bytes(bytes, 1);
    kit_page_bytes(bytes, 0);
    kit_page_bytes(bytes, 3);
    kit_ram_end(bytes);
    kit_number(bytes, 0, 1);
    kit_expect(bytes, &kit_scan,
               "header machine=pc capabilities capability=mapped-ram section=ram/1/format list "
               "block=ram0 data=4:16 page=mapped@0 data=4:4096 page=mapped@2000 eos close eof");
}

static void
test_preempt_connection(void **state)
{
    VmfReaderOptions options = {.connection = VMF_CONNECTION_PREEMPT};
    GByteArray *bytes = g_byte_array_new();

    record(bytes, 0x1008, "ram0");
    kit_page_bytes(bytes, 1);
    g_byte_array_ref(bytes);
    kit_expect(bytes, &options, "page=whole@1000"); /* 10.0 ends it like that */
    record(bytes, 0x10, NULL);
    kit_expect(bytes, &options, "page=whole@1000 eos");
}

/* A writer that was not given a record has to name the block the next one continues. */
static void
test_writer_names_blocks_again(void **state)
{
    static const VmfRamBlock a = {.name = "a"}, b = {.name = "b"};
    KitReading reading = {.written = g_byte_array_new()};
    g_autoptr(VmfWriter) writer = vmf_writer_new(kit_write, &reading);
    VmfEvent event = {.type = VMF_EVENT_PAGE, .page = {.kind = VMF_PAGE_ZERO, .block = &a}};

    assert_true(vmf_writer_put(writer, &event, NULL));
    event.page.block = &b;
    event.page.continued = TRUE;
    assert_true(vmf_writer_put(writer, &event, NULL));
    assert_true(vmf_writer_put(writer, &event, NULL));
    assert_int_equal(reading.written->len, 31);
    assert_memory_equal(reading.written->data,
                        "\0\0\0\0\0\0\0\x02\1a\0\0\0\0\0\0\0\0\x02\1b\0\0\0\0\0\0\0\0\x22\0", 31);
    g_byte_array_unref(reading.written);
}

static void
test_pages_are_made(void **state)
{
    static const VmfRamBlock block = {.name = "ram0"};
    uint8_t page[KIT_PAGE], packed[200];
    VmfPage xbzrle = {.kind = VMF_PAGE_XBZRLE, .block = &block};
    VmfPage zero = {.kind = VMF_PAGE_ZERO, .block = &block, .fill = 7};
    VmfPage compressed = {.kind = VMF_PAGE_COMPRESSED, .block = &block, .data = packed};
    uLongf length = sizeof packed;
    g_autoptr(GError) error = NULL;

    assert_true(vmf_page_apply(&zero, page, sizeof page, NULL));
    assert_int_equal(page[0], 7);
    assert_int_equal(page[KIT_PAGE - 1], 7);
    xbzrle.data = (const uint8_t *)"\x80\x10\2xy\xfc\x0f\2zz";
    xbzrle.length = 10;
    assert_true(vmf_page_apply(&xbzrle, page, sizeof page, NULL));
    assert_memory_equal(page + 2047, "\7xy\7", 4);
    assert_memory_equal(page + 4093, "\7zz", 3);
    compress(packed, &length, page, 100);
    compressed.length = (uint32_t)length;
    assert_false(vmf_page_apply(&compressed, page, sizeof page, &error));
    assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_BAD_STREAM));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_record),
        cmocka_unit_test(test_bad_records),
        cmocka_unit_test(test_list_that_does_not_add_up),
        cmocka_unit_test(test_huge_pages_in_the_list),
        cmocka_unit_test(test_mapped_ram),
        cmocka_unit_test(test_preempt_connection),
        cmocka_unit_test(test_writer_names_blocks_again),
        cmocka_unit_test(test_pages_are_made),
    };

    return cmocka_run_group_tests_name("stream-ram", tests, NULL, NULL);
}
