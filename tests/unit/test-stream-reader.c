/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sections, commands, packages, device state, and where a stream may end. */
#include "stream-kit.h"

#define RAM "list block=ram0 page=zero@0 page=whole@1000 eos close"

static void
test_device_state_is_a_tail(void **state)
{
    kit_expect(kit_whole(), &kit_opaque,
               "header machine=pc section=ram/1/format " RAM
               " section=ram/3/format eos close data=7:27");
}

static void
test_device_state_by_footers(void **state)
{
    kit_expect(kit_whole(), &kit_scan,
               "header machine=pc section=ram/1/format " RAM " section=ram/3/format eos close "
               "section=dev/4/scanned data=0:4 close eof");
}

static void
test_device_state_by_layout(void **state)
{
    g_autoptr(VmfLayout) layout = vmf_layout_new();
    VmfReaderOptions options = {.connection = VMF_CONNECTION_MAIN, .layout = layout};

    vmf_layout_add(layout, "other", 0, 1);
    vmf_layout_add(layout, "dev", 0, 4);
    kit_expect(kit_whole(), &options,
               "header machine=pc section=ram/1/format " RAM " section=ram/3/format eos close "
               "section=dev/4/described data=0:4 close eof");
}

static void
test_wrong_layout_is_noticed(void **state)
{
    g_autoptr(VmfLayout) layout = vmf_layout_new();
    VmfReaderOptions options = {.connection = VMF_CONNECTION_MAIN, .layout = layout};
    g_autoptr(GByteArray) whole = kit_whole();

    vmf_layout_add(layout, "dev", 0, 3);
    kit_expect_error(kit_whole(), &options, whole->len - 7, "expected the footer (0x7e)");
}

static void
test_tail_is_read_again(void **state)
{
    g_autoptr(GByteArray) bytes = kit_whole();
    g_autoptr(VmfReader) reader = vmf_reader_new(&kit_opaque);
    g_autoptr(VmfLayout) layout = vmf_layout_new();
    g_autofree char *first = kit_read_pieces(reader, bytes, 11);
    guint tail = bytes->len - 27;
    VmfEvent event;

    vmf_layout_add(layout, "dev", 0, 4);
    assert_true(vmf_reader_reread_tail(reader, layout));
    vmf_reader_feed(reader, bytes->data + tail, 27);
    assert_int_equal(vmf_reader_next(reader, &event, NULL), VMF_READ_EVENT);
    assert_int_equal(event.type, VMF_EVENT_SECTION);
    assert_int_equal(event.offset, tail);
    assert_int_equal(event.section.extent, VMF_EXTENT_DESCRIBED);
    assert_int_equal(event.section.what->version, 3);
    assert_false(vmf_reader_reread_tail(reader, layout));
}

/* A footer's bytes inside the state are taken for one only if something plausible follows. */
static void
test_false_footers(void **state)
{
    GByteArray *bytes = kit_stream("pc");

    kit_ram_start(bytes, 1);
    kit_ram_end(bytes);
    kit_section(bytes, VMF_SECTION_PART, 2, NULL, 0);
    kit_ram_end(bytes);
    kit_section(bytes, VMF_SECTION_FULL, 7, "dev", 3);
    kit_bytes(bytes, "\x7e\x7e", 2);
    kit_footer(bytes, 7);
    kit_bytes(bytes, "\x04\0\0\0\1\2\1\1", 8); /* looks like a section, but for its name */
    kit_footer(bytes, 6);
    kit_footer(bytes, 7);
    kit_section(bytes, VMF_SECTION_FULL, 8, "dev2", 3);
    kit_footer(bytes, 8);
    kit_number(bytes, 0, 1);
    kit_expect(bytes, &kit_scan,
               "header machine=pc section=ram/1/format list block=ram0 eos close "
               "section=ram/2/format eos close section=dev/4/scanned data=0:20 close "
               "section=dev2/4/scanned close eof");
}

/* Devices may be saved before the first page: there the scan is the only way. */
static void
test_early_device(void **state)
{
    GByteArray *bytes = kit_stream("pc");

    kit_ram_start(bytes, 1);
    kit_ram_end(bytes);
    kit_section(bytes, VMF_SECTION_FULL, 9, "early", 1);
    kit_bytes(bytes, "xyz", 3);
    kit_footer(bytes, 9);
    kit_section(bytes, VMF_SECTION_PART, 2, NULL, 0);
    kit_ram_end(bytes);
    kit_number(bytes, 0, 1);
    kit_expect(bytes, &kit_opaque,
               "header machine=pc section=ram/1/format list block=ram0 eos close "
               "section=early/4/scanned data=0:3 close section=ram/2/format eos close eof");
}

static void
test_without_footers(void **state)
{
    GByteArray *bytes = kit_stream(NULL);

    kit_ram_start(bytes, 1);
    kit_number(bytes, 0x10, 8);
    kit_section(bytes, VMF_SECTION_END, 2, NULL, 0);
    kit_number(bytes, 0x10, 8);
    kit_section(bytes, VMF_SECTION_FULL, 7, "dev", 3);
    kit_bytes(bytes, "abc", 3);
    kit_expect(bytes, &kit_scan,
               "header section=ram/1/format list block=ram0 eos close section=ram/3/format eos "
               "close data=7:20");
}

static void
test_configuration(void **state)
{
    GByteArray *bytes = kit_stream("virt-7.2");

    kit_number(bytes, 5, 1);
    kit_name(bytes, "configuration/target-page-bits");
    kit_number(bytes, 1, 4);
    kit_number(bytes, 14, 4);
    kit_number(bytes, 5, 1);
    kit_name(bytes, "configuration/capabilities");
    kit_number(bytes, 1, 4);
    kit_number(bytes, 2, 4);
    kit_name(bytes, "x-ignore-shared");
    kit_name(bytes, "validate-uuid");
    kit_number(bytes, 5, 1);
    kit_name(bytes, "configuration/uuid");
    kit_number(bytes, 1, 4);
    kit_bytes(bytes, "0123456789abcdef", 16);
    kit_number(bytes, 0, 1);
    kit_expect(bytes, &kit_scan,
               "header machine=virt-7.2 bits capabilities capability=x-ignore-shared "
               "capability=validate-uuid uuid eof");
}

static void
test_postcopy(void **state)
{
    GByteArray *bytes = kit_stream("pc");
    g_autoptr(GByteArray) package = g_byte_array_new();

    kit_command(package, VMF_COMMAND_POSTCOPY_LISTEN, NULL, 0);
    kit_section(package, VMF_SECTION_FULL, 7, "dev", 3);
    kit_bytes(package, "abc", 3);
    kit_footer(package, 7);
    kit_command(package, VMF_COMMAND_POSTCOPY_RUN, NULL, 0);
    kit_ram_start(bytes, 1);
    kit_ram_end(bytes);
    kit_command(bytes, VMF_COMMAND_PACKAGED, "\0\0\0\x2d", 4);
    bytes->data[bytes->len - 1] = (uint8_t)package->len;
    kit_bytes(bytes, package->data, package->len);
    kit_section(bytes, VMF_SECTION_END, 2, NULL, 0);
    kit_ram_end(bytes);
    kit_number(bytes, 0, 1);
    g_byte_array_ref(bytes);
    kit_expect(bytes, &kit_scan,
               "header machine=pc section=ram/1/format list block=ram0 eos close "
               "command=packaged command=postcopy-listen section=dev/4/scanned data=0:3 close "
               "command=postcopy-run unpack section=ram/3/format eos close eof");
    kit_expect(bytes, &kit_opaque,
               "header machine=pc section=ram/1/format list block=ram0 eos close "
               "command=packaged command=postcopy-listen data=6:30 unpack section=ram/3/format "
               "eos close eof");
}

static void
test_package_that_lies(void **state)
{
    GByteArray *bytes = kit_stream("pc");

    kit_command(bytes, VMF_COMMAND_PACKAGED, "\0\0\0\3", 4);
    kit_command(bytes, VMF_COMMAND_POSTCOPY_LISTEN, NULL, 0);
    kit_expect_error(bytes, &kit_scan, 15 + 9 + 3, "the package ends inside an item");
}

static void
test_recovery_connection(void **state)
{
    VmfReaderOptions options = {.connection = VMF_CONNECTION_RECOVERY};
    GByteArray *bytes = g_byte_array_new();

    kit_command(bytes, VMF_COMMAND_RECV_BITMAP, "\4ram0", 5);
    kit_command(bytes, VMF_COMMAND_POSTCOPY_RESUME, NULL, 0);
    kit_section(bytes, VMF_SECTION_PART, 2, NULL, 0);
    kit_ram_end(bytes);
    kit_number(bytes, 0, 1);
    assert_int_equal(vmf_connection_sniff(bytes->data, 8), VMF_CONNECTION_RECOVERY);
    kit_expect(bytes, &options,
               "command=recv-bitmap command=postcopy-resume section=ram/2/format eos close eof");
}

/* Cut anywhere, a stream is an error that says where it ends; but for its very end. */
static void
test_truncated_anywhere(void **state)
{
    g_autoptr(GByteArray) whole = kit_whole();

    for (guint length = 0; length < whole->len; length++) {
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        g_autoptr(VmfReader) reader = vmf_reader_new(&kit_scan);
        g_autofree char *log = NULL;
        g_autofree char *where = g_strdup_printf(" ! offset %u ", length);

        kit_bytes(bytes, whole->data, length);
        log = kit_read_pieces(reader, bytes, MAX(length, 1));
        assert_non_null(strstr(log, where));
        assert_non_null(strstr(log, "ends early"));
    }
}

static void
test_refused_by_name(void **state)
{
    static const struct {
        const char *bytes;
        gsize length;
        const char *what;
    } cases[] = {
        {"QEVM\0\0\0\2", 8, "version 2 of old QEMU"},
        {"QEVM\0\0\0\4", 8, "expected stream version 3, found 4"},
        {"XEVM\0\0\0\3", 8, "expected a migration stream"},
        {"\x11\x22\x33\x44\0\0\0\1", 8, "multifd connection"},
        {"\x16\x03\1\2\0\1\0\1", 8, "encrypted with TLS"},
        {"QEVM\0\0\0\3\5", 9, "found type 0x05"},
        {"QEVM\0\0\0\3\x7e", 9, "found type 0x7e"},
        {"QEVM\0\0\0\3\2\0\0\0\1", 13, "section that was started, found 1"},
        {"QEVM\0\0\0\3\7\xff\xff\xff\xff", 13, "machine type of at most 255"},
        {"QEVM\0\0\0\3\x08\0\x0c\0\0", 13, "expected a command of 1 to 11, found 12"},
        {"QEVM\0\0\0\3\x08\0\2\0\0", 13, "expected 4 bytes with ping, found 0"},
        {"QEVM\0\0\0\3\7\0\0\0\2pc\5\1x\0\0\0\1", 22, "configuration that is known"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        GByteArray *bytes = g_byte_array_new();
        g_autofree char *log = NULL;

        kit_bytes(bytes, cases[i].bytes, cases[i].length);
        log = kit_read(bytes, &kit_scan);
        assert_non_null(strstr(log, cases[i].what));
    }
}

static void
test_sniff(void **state)
{
    assert_int_equal(vmf_connection_sniff((const uint8_t *)"QEVM", 4), VMF_CONNECTION_MAIN);
    assert_int_equal(vmf_connection_sniff((const uint8_t *)"QEV", 3), VMF_CONNECTION_UNKNOWN);
    assert_int_equal(vmf_connection_sniff((const uint8_t *)"\x11\x22\x33\x44", 4),
                     VMF_CONNECTION_MULTIFD);
    assert_int_equal(vmf_connection_sniff((const uint8_t *)"\x16\x03\x01", 3), VMF_CONNECTION_TLS);
    assert_int_equal(vmf_connection_sniff((const uint8_t *)"\0\0\0\0\0\0\x10\x08", 8),
                     VMF_CONNECTION_PREEMPT);
    assert_int_equal(vmf_connection_sniff((const uint8_t *)"\0\0\0\0\0\0\0\0", 8),
                     VMF_CONNECTION_UNKNOWN);
    assert_int_equal(vmf_connection_sniff((const uint8_t *)"LibvirtQemudSave", 16),
                     VMF_CONNECTION_IMAGE);
    assert_int_equal(vmf_connection_sniff((const uint8_t *)"hello world", 11),
                     VMF_CONNECTION_UNKNOWN);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_device_state_is_a_tail),
        cmocka_unit_test(test_device_state_by_footers),
        cmocka_unit_test(test_device_state_by_layout),
        cmocka_unit_test(test_wrong_layout_is_noticed),
        cmocka_unit_test(test_tail_is_read_again),
        cmocka_unit_test(test_false_footers),
        cmocka_unit_test(test_early_device),
        cmocka_unit_test(test_without_footers),
        cmocka_unit_test(test_configuration),
        cmocka_unit_test(test_postcopy),
        cmocka_unit_test(test_package_that_lies),
        cmocka_unit_test(test_recovery_connection),
        cmocka_unit_test(test_truncated_anywhere),
        cmocka_unit_test(test_refused_by_name),
        cmocka_unit_test(test_sniff),
    };

    return cmocka_run_group_tests_name("stream-reader", tests, NULL, NULL);
}
