/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Live sections that are not RAM. */
#include "stream-kit.h"

static void
test_dirty_bitmap(void **state)
{
    GByteArray *bytes = kit_stream("pc");

    kit_section(bytes, VMF_SECTION_START, 3, "dirty-bitmap", 1);
    kit_bytes(bytes, "\x1c", 1); /* node, name, start */
    kit_name(bytes, "disk0");
    kit_name(bytes, "bitmap0");
    kit_number(bytes, 65536, 4);
    kit_number(bytes, 1, 1);
    kit_bytes(bytes, "\x40", 1);
    kit_number(bytes, 8, 8);
    kit_number(bytes, 128, 4);
    kit_number(bytes, 2, 8);
    kit_bytes(bytes, "\xff\1", 2);
    kit_bytes(bytes, "\x80\x42", 2); /* bits that are zeroes, in two bytes of flags */
    kit_number(bytes, 136, 8);
    kit_number(bytes, 64, 4);
    kit_bytes(bytes, "\x80\x80\0\x20", 4); /* complete, in four */
    kit_bytes(bytes, "\1", 1);
    kit_footer(bytes, 3);
    kit_number(bytes, 0, 1);
    kit_expect(bytes, &kit_scan,
               "header machine=pc section=dirty-bitmap/1/format bitmap bitmap data=1:2 bitmap "
               "bitmap bitmap close eof");
}

static void
test_dirty_bitmap_fields(void **state)
{
    g_autoptr(GByteArray) bytes = kit_stream("pc");
    g_autoptr(VmfReader) reader = vmf_reader_new(&kit_scan);
    VmfEvent event;

    kit_section(bytes, VMF_SECTION_START, 3, "dirty-bitmap", 1);
    kit_bytes(bytes, "\x1d", 1);
    kit_name(bytes, "disk0");
    kit_name(bytes, "bitmap0");
    kit_number(bytes, 65536, 4);
    kit_number(bytes, 1, 1);
    vmf_reader_feed(reader, bytes->data, bytes->len);
    for (guint i = 0; i < 4; i++)
        assert_int_equal(vmf_reader_next(reader, &event, NULL), VMF_READ_EVENT);
    assert_int_equal(event.type, VMF_EVENT_BITMAP);
    assert_int_equal(event.bitmap.flags,
                     VMF_BITMAP_NODE | VMF_BITMAP_NAME | VMF_BITMAP_START | VMF_BITMAP_EOS);
    assert_string_equal(event.bitmap.node, "disk0");
    assert_string_equal(event.bitmap.name, "bitmap0");
    assert_int_equal(event.bitmap.granularity, 65536);
    assert_int_equal(event.bitmap.start_flags, 1);
}

static void
test_block_migration(void **state)
{
    GByteArray *bytes = kit_stream("pc");
    guint at;

    kit_section(bytes, VMF_SECTION_START, 3, "block", 1);
    kit_number(bytes, 2, 8);
    kit_footer(bytes, 3);
    kit_section(bytes, VMF_SECTION_PART, 3, NULL, 0);
    kit_number(bytes, 9 | 2048 << 9, 8);
    kit_name(bytes, "disk0");
    kit_number(bytes, 1, 8);
    kit_name(bytes, "disk0");
    at = bytes->len;
    g_byte_array_set_size(bytes, at + VMF_BLOCK_CHUNK);
    memset(bytes->data + at, 0xd1, VMF_BLOCK_CHUNK);
    kit_number(bytes, 4 | 50 << 9, 8);
    kit_number(bytes, 2, 8);
    kit_footer(bytes, 3);
    kit_number(bytes, 0, 1);
    kit_expect(bytes, &kit_scan,
               "header machine=pc section=block/1/format disk close section=block/2/format disk "
               "disk data=2:1048576 disk disk close eof");
}

static void
test_vfio(void **state)
{
    GByteArray *bytes = kit_stream("pc");

    kit_section(bytes, VMF_SECTION_START, 3, "0000:00:05.0/vfio", 1);
    kit_number(bytes, VMF_VFIO_SETUP, 8);
    kit_number(bytes, VMF_VFIO_END, 8);
    kit_footer(bytes, 3);
    kit_section(bytes, VMF_SECTION_PART, 3, NULL, 0);
    kit_number(bytes, VMF_VFIO_DATA, 8);
    kit_number(bytes, 5, 8);
    kit_bytes(bytes, "state", 5);
    kit_number(bytes, VMF_VFIO_INIT_SENT, 8);
    kit_footer(bytes, 3);
    kit_section(bytes, VMF_SECTION_FULL, 3, "0000:00:05.0/vfio", 1); /* the same id */
    kit_number(bytes, VMF_VFIO_CONFIG, 8);
    kit_bytes(bytes, "pci", 3);
    kit_number(bytes, VMF_VFIO_END, 8);
    kit_footer(bytes, 3);
    kit_number(bytes, 0, 1);
    kit_expect(bytes, &kit_scan,
               "header machine=pc section=0000:00:05.0/vfio/1/format vfio vfio close "
               "section=0000:00:05.0/vfio/2/format vfio data=3:5 vfio close "
               "section=0000:00:05.0/vfio/4/scanned data=0:19 close eof");
}

static void
test_unknown_live_section_is_scanned(void **state)
{
    GByteArray *bytes = kit_stream("pc");

    kit_section(bytes, VMF_SECTION_START, 3, "spapr/htab", 1);
    kit_bytes(bytes, "\0\0\0\x18", 4);
    kit_footer(bytes, 3);
    kit_number(bytes, 0, 1);
    kit_expect(bytes, &kit_scan,
               "header machine=pc section=spapr/htab/1/scanned data=0:4 close eof");
}

static void
test_refused(void **state)
{
    GByteArray *bytes = kit_stream("pc");

    kit_section(bytes, VMF_SECTION_START, 3, "dirty-bitmap", 1);
    kit_bytes(bytes, "\x84\1", 2);
    kit_expect_error(bytes, &kit_scan, 41, "known flags of a dirty bitmap, found 0x401");
    bytes = kit_stream("pc");
    kit_section(bytes, VMF_SECTION_START, 3, "block", 1);
    kit_number(bytes, 0x10, 8);
    kit_expect_error(bytes, &kit_scan, 34, "a chunk of a block migration, found flags 0x10");
    bytes = kit_stream("pc");
    kit_section(bytes, VMF_SECTION_START, 3, "vfio", 1);
    kit_number(bytes, VMF_VFIO_CONFIG, 8);
    kit_expect_error(bytes, &kit_scan, 33, "expected a tag of VFIO state");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dirty_bitmap),
        cmocka_unit_test(test_dirty_bitmap_fields),
        cmocka_unit_test(test_block_migration),
        cmocka_unit_test(test_vfio),
        cmocka_unit_test(test_unknown_live_section_is_scanned),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests_name("stream-live", tests, NULL, NULL);
}
