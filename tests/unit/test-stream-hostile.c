/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Streams that are cut or that lie, as `inspect` reads them: an error that says where and what was
 * expected there, and no memory for what was only promised. The first argument is the folder of
 * small streams that real QEMUs wrote.
 */
#include "stream-kit.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "inspect/inspection.h"
#include "inspect/json.h"

#define MEMORY_MAX (32 * 1024) /* KiB, more than before the lies */

static const char *streams;

/* Reads it from a file, as far as it goes, and renders it. NULL: there was no error. */
static GError *
error_of(const uint8_t *bytes, gsize length)
{
    int fd = memfd_create("stream", MFD_CLOEXEC);
    VmfSource *source;
    g_autoptr(VmfInspection) inspection = NULL;
    g_autofree char *json = NULL;
    const VmfInspectParts all = {0};
    GError *error = NULL;
    gboolean found;

    assert_int_equal(write(fd, bytes, length), length);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    source = vmf_source_new(fd, &error);
    inspection = source ? vmf_inspection_new(source, &error) : NULL;
    if (!inspection)
        return error;
    vmf_inspection_run(inspection, NULL, NULL, &error);
    json = vmf_inspect_to_json(inspection, &all, &found);
    assert_non_null(json);
    return error;
}

static void
assert_error(const char *what, const uint8_t *bytes, gsize length, guint64 offset,
             const char *expected)
{
    g_autoptr(GError) error = error_of(bytes, length);
    g_autofree char *where = g_strdup_printf("offset %" G_GUINT64_FORMAT " ", offset);

    if (!error)
        fail_msg("%s: no error", what);
    if (!g_error_matches(error, VMF_ERROR, VMF_ERROR_BAD_STREAM) ||
        !g_str_has_prefix(error->message, where) || !strstr(error->message, expected))
        fail_msg("%s: \"%s\" is not at %sor does not say \"%s\"", what, error->message, where,
                 expected);
}

/* ---- cut anywhere ---- */

/* Where a stream may end: behind the end of QEMU's loading loop, or behind its description. */
static gboolean
may_end(const uint8_t *bytes, gsize length, gsize whole)
{
    gsize at, json;

    if (length == whole)
        return TRUE;
    if (!vmf_description_find(bytes, whole, &at, &json))
        return length == whole;
    return length == at - 5; /* a type and a length in front of the JSON */
}

static void
test_cut_anywhere(void **state)
{
    static const char *const names[] = {"10-plain", "no-return-path", "bitmaps", "postcopy"};

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_strdup_printf("%s/%s.stream", streams, names[i]);
        g_autofree char *bytes = NULL;
        gsize whole;

        assert_true(g_file_get_contents(path, &bytes, &whole, NULL));
        for (gsize length = 8; length < whole; length++)
            if (!may_end((const uint8_t *)bytes, length, whole))
                assert_error(names[i], (const uint8_t *)bytes, length, length, "ends early");
    }
}

/* ---- lies ---- */

static GByteArray *
start_ram(const char *block, uint64_t total, uint64_t length)
{
    GByteArray *to = kit_stream("pc");

    kit_section(to, VMF_SECTION_START, 2, "ram", 4);
    kit_number(to, total | 4, 8);
    kit_name(to, block);
    kit_number(to, length, 8);
    return to;
}

/* A stream whose lie stands at the end; what is said of it, and where. */
typedef struct {
    const char *what;
    GByteArray *(*make)(void);
    int from_end; /* the offset, counted back from the end */
    const char *expected;
} Lie;

static GByteArray *
make_machine(void)
{
    GByteArray *to = kit_stream(NULL);

    kit_bytes(to, "\7\xff\xff\xff\xffpc", 7);
    return to;
}

static GByteArray *
make_capabilities(void)
{
    GByteArray *to = kit_stream("pc");

    kit_number(to, 5, 1);
    kit_name(to, "configuration/capabilities");
    kit_number(to, 1, 4);
    kit_number(to, 0xffffffff, 4);
    return to;
}

static GByteArray *
make_block_sum(void)
{
    GByteArray *to = start_ram("ram0", 2 * KIT_PAGE, KIT_PAGE);

    kit_name(to, "ram1");
    kit_number(to, 2 * KIT_PAGE, 8);
    return to;
}

static GByteArray *
make_page_outside(void)
{
    GByteArray *to = start_ram("ram0", KIT_PAGE, KIT_PAGE);

    kit_number(to, KIT_PAGE | 8, 8);
    kit_name(to, "ram0");
    kit_page_bytes(to, 1);
    return to;
}

static GByteArray *
make_unknown_flags(void)
{
    GByteArray *to = start_ram("ram0", KIT_PAGE, KIT_PAGE);

    kit_number(to, 0x400, 8);
    kit_bytes(to, "garbage", 7);
    return to;
}

static GByteArray *
make_xbzrle_overrun(void)
{
    GByteArray *to = start_ram("ram0", KIT_PAGE, KIT_PAGE);

    kit_number(to, 0x40, 8);
    kit_name(to, "ram0");
    kit_number(to, 1, 1);
    kit_number(to, 5, 2);
    kit_bytes(to, "\xff\x1f\2ab", 5); /* skips 4095 bytes and stores 2 */
    return to;
}

static GByteArray *
make_xbzrle_length(void)
{
    GByteArray *to = start_ram("ram0", KIT_PAGE, KIT_PAGE);

    kit_number(to, 0x40, 8);
    kit_name(to, "ram0");
    kit_number(to, 1, 1);
    kit_number(to, 0xffff, 2);
    return to;
}

static GByteArray *
make_compressed_length(void)
{
    GByteArray *to = start_ram("ram0", KIT_PAGE, KIT_PAGE);

    kit_number(to, 0x100, 8);
    kit_name(to, "ram0");
    kit_number(to, 0xffffffff, 4);
    return to;
}

static GByteArray *
make_package(void)
{
    GByteArray *to = kit_stream("pc");

    kit_command(to, VMF_COMMAND_PACKAGED, "\xff\xff\xff\xff", 4);
    kit_command(to, VMF_COMMAND_POSTCOPY_LISTEN, NULL, 0);
    return to;
}

static GByteArray *
make_bitmap_bits(void)
{
    GByteArray *to = kit_stream("pc");

    kit_section(to, VMF_SECTION_START, 3, "dirty-bitmap", 1);
    kit_number(to, 0x4c, 1);
    kit_name(to, "disk");
    kit_name(to, "bitmap");
    kit_number(to, 0, 8);
    kit_number(to, 128, 4);
    kit_number(to, G_MAXUINT64, 8);
    return to;
}

static GByteArray *
make_description(void)
{
    GByteArray *to = kit_stream("pc");

    kit_number(to, 0, 1);
    kit_number(to, 6, 1);
    kit_number(to, 0xffffffff, 4);
    kit_bytes(to, "{}", 2);
    return to;
}

/* A mapped-ram file whose bitmap alone would have `length` / 32768 bytes. */
static GByteArray *
make_mapped_block(uint64_t length)
{
    GByteArray *to = kit_stream("pc");

    kit_number(to, 5, 1);
    kit_name(to, "configuration/capabilities");
    kit_number(to, 1, 4);
    kit_number(to, 1, 4);
    kit_name(to, "mapped-ram");
    kit_section(to, VMF_SECTION_START, 2, "ram", 4);
    kit_number(to, length | 4, 8);
    kit_name(to, "ram0");
    kit_number(to, length, 8);
    kit_number(to, 1, 4);
    kit_number(to, KIT_PAGE, 8);
    kit_number(to, to->len + 16, 8);
    kit_number(to, (to->len + 8 + (length >> 15) + 0xfffff) & ~G_GUINT64_CONSTANT(0xfffff), 8);
    return to;
}

static GByteArray *
make_mapped(void)
{
    return make_mapped_block(G_GUINT64_CONSTANT(1) << 46);
}

static GByteArray *
make_mapped_larger(void)
{
    return make_mapped_block(G_GUINT64_CONSTANT(1) << 60);
}

static GByteArray *
make_multifd(void)
{
    GByteArray *to = g_byte_array_new();

    kit_bytes(to, "\x11\x22\x33\x44\0\0\0\1", 8);
    kit_bytes(to, (const char[16 + 1 + 39]){0}, 16 + 1 + 39);
    kit_bytes(to, "\x11\x22\x33\x44\0\0\0\1\0\0\0\4", 12); /* zstd */
    kit_number(to, 128, 4);
    kit_number(to, 1, 4);
    kit_number(to, 0xffffffff, 4);
    kit_number(to, 0, 8);
    kit_number(to, 0, 4);
    kit_bytes(to, (const char[28 + 256 + 1024]){0}, 28 + 256 + 1024);
    return to;
}

static void
test_lies(void **state)
{
    static const Lie lies[] = {
        {"a machine type of 4 GiB", make_machine, 6, "expected a machine type of at most 255"},
        {"4 billion capabilities", make_capabilities, 4, "expected at most 256 capabilities"},
        {"blocks beyond their sum", make_block_sum, 13, "expected RAM blocks of 4096 bytes more"},
        {"a page outside of its block", make_page_outside, 8 + 5 + KIT_PAGE,
         "expected a page inside RAM block \"ram0\""},
        {"unknown flags", make_unknown_flags, 15, "expected a RAM record, found flags 0x400"},
        {"XBZRLE over the page", make_xbzrle_overrun, 5, "expected XBZRLE runs inside a page"},
        {"an XBZRLE record of 64 KiB", make_xbzrle_length, 2,
         "expected at most 4096 bytes of XBZRLE"},
        {"a compressed page of 4 GiB", make_compressed_length, 4, "expected at most 4110 bytes"},
        {"a package of 4 GiB", make_package, 0, "ends early; expected"},
        {"bits without end", make_bitmap_bits, 0, "ends early"},
        {"a description of 4 GiB", make_description, 0, "ends early; expected more"},
        {"a bitmap of 2 GiB", make_mapped, 0, "ends early"},
        {"a block of 1 EiB", make_mapped_larger, 0, "at most 64 TiB"},
        {"a multifd payload of 4 GiB", make_multifd, 0, "ends early"},
    };
    struct rusage before, after;

    getrusage(RUSAGE_SELF, &before);
    for (guint i = 0; i < G_N_ELEMENTS(lies); i++) {
        g_autoptr(GByteArray) bytes = lies[i].make();

        assert_error(lies[i].what, bytes->data, bytes->len, bytes->len - (guint)lies[i].from_end,
                     lies[i].expected);
    }
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < MEMORY_MAX);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_cut_anywhere),
    };

    if (argc != 2)
        return 2;
    streams = argv[1];
    return cmocka_run_group_tests_name("stream-hostile", tests, NULL, NULL);
}
