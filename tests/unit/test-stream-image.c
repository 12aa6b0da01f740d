/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka-all.h"

#include <string.h>

#include "base/error.h"
#include "stream/image.h"

static void
make(uint8_t header[VMF_IMAGE_HEADER_SIZE], const char *magic, const uint32_t fields[5],
     gboolean swapped)
{
    memset(header, 0, VMF_IMAGE_HEADER_SIZE);
    memcpy(header, magic, 16);
    for (guint i = 0; i < 5; i++) {
        uint32_t value = swapped ? GUINT32_SWAP_LE_BE(fields[i]) : fields[i];

        memcpy(header + 16 + 4 * i, &value, sizeof value);
    }
}

static void
test_header_in_both_byte_orders(void **state)
{
    static const uint32_t fields[] = {2, 70000, 1, VMF_IMAGE_XZ, 6000};
    uint8_t header[VMF_IMAGE_HEADER_SIZE];

    for (int swapped = 0; swapped < 2; swapped++) {
        VmfImage image;

        make(header, "LibvirtQemudSave", fields, swapped);
        assert_true(vmf_image_parse(header, &image, NULL));
        assert_false(image.partial);
        assert_int_equal(image.version, 2);
        assert_int_equal(image.data_length, 70000);
        assert_true(image.was_running);
        assert_int_equal(image.compression, VMF_IMAGE_XZ);
        assert_int_equal(image.cookie_offset, 6000);
    }
}

static void
test_partial_image_is_named(void **state)
{
    static const uint32_t fields[] = {2, 100, 0, 0, 0};
    uint8_t header[VMF_IMAGE_HEADER_SIZE];
    VmfImage image;

    make(header, "LibvirtQemudPart", fields, FALSE);
    assert_true(vmf_image_parse(header, &image, NULL));
    assert_true(image.partial);
    assert_false(image.was_running);
}

static void
test_refused(void **state)
{
    static const struct {
        const char *magic;
        uint32_t fields[5];
        VmfError code;
    } cases[] = {
        {"LibvirtQemudNone", {2, 100, 0, 0, 0}, VMF_ERROR_BAD_STREAM},
        {"LibvirtQemudSave", {0, 100, 0, 0, 0}, VMF_ERROR_NOT_SUPPORTED},
        {"LibvirtQemudSave", {4, 100, 0, 0, 0}, VMF_ERROR_NOT_SUPPORTED},
        {"LibvirtQemudSave", {2, 100, 0, 7, 0}, VMF_ERROR_NOT_SUPPORTED},
        {"LibvirtQemudSave", {2, 0xffffffff, 0, 0, 0}, VMF_ERROR_BAD_STREAM},
        {"LibvirtQemudSave", {2, 100, 0, 0, 101}, VMF_ERROR_BAD_STREAM},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint8_t header[VMF_IMAGE_HEADER_SIZE];
        g_autoptr(GError) error = NULL;
        VmfImage image;

        make(header, cases[i].magic, cases[i].fields, FALSE);
        assert_false(vmf_image_parse(header, &image, &error));
        assert_true(g_error_matches(error, VMF_ERROR, (int)cases[i].code));
    }
}

static void
test_names(void **state)
{
    assert_string_equal(vmf_image_compression_name(VMF_IMAGE_RAW), "raw");
    assert_string_equal(vmf_image_compression_name(VMF_IMAGE_LZOP), "lzop");
    assert_string_equal(vmf_image_compression_name(VMF_IMAGE_SPARSE), "sparse");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_in_both_byte_orders),
        cmocka_unit_test(test_partial_image_is_named),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests_name("stream-image", tests, NULL, NULL);
}
