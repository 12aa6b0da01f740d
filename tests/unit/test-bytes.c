/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka-all.h"

#include "base/bytes.h"

static void
test_reads_big_endian(void **state)
{
    const uint8_t data[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    VmfBytes bytes = VMF_BYTES(data, sizeof data);

    assert_int_equal(vmf_bytes_get_u8(&bytes), 1);
    assert_int_equal(vmf_bytes_get_u16(&bytes), 0x0203);
    assert_int_equal(vmf_bytes_get_u32(&bytes), 0x04050607);
    assert_int_equal(vmf_bytes_get_u64(&bytes), 0x08090a0b0c0d0e0f);
    assert_false(bytes.failed);
    assert_int_equal(bytes.position, sizeof data);
}

static void
test_fails_once_and_stays_failed(void **state)
{
    const uint8_t data[] = {1, 2, 3};
    VmfBytes bytes = VMF_BYTES(data, sizeof data);

    assert_int_equal(vmf_bytes_get_u16(&bytes), 0x0102);
    assert_int_equal(vmf_bytes_get_u16(&bytes), 0);
    assert_true(bytes.failed);
    assert_int_equal(vmf_bytes_get_u8(&bytes), 0);
    assert_null(vmf_bytes_get_data(&bytes, 1));
    assert_int_equal(bytes.position, 2);
}

static void
test_put_and_get(void **state)
{
    uint8_t data[14];
    VmfBytes bytes = VMF_BYTES(data, sizeof data);

    vmf_put_u16(data, 0xfedc);
    vmf_put_u32(data + 2, 0x12345678);
    vmf_put_u64(data + 6, G_GUINT64_CONSTANT(0xfedcba9876543210));
    assert_int_equal(vmf_bytes_get_u16(&bytes), 0xfedc);
    assert_int_equal(vmf_bytes_get_u32(&bytes), 0x12345678);
    assert_int_equal(vmf_bytes_get_u64(&bytes), G_GUINT64_CONSTANT(0xfedcba9876543210));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_big_endian),
        cmocka_unit_test(test_fails_once_and_stays_failed),
        cmocka_unit_test(test_put_and_get),
    };

    return cmocka_run_group_tests_name("bytes", tests, NULL, NULL);
}
