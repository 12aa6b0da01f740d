/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka-all.h"

#include <gio/gio.h>

#include "base/error.h"

static void
test_names_are_distinct(void **state)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (int code = 0; code < VMF_ERROR_LAST; code++) {
        const char *name = vmf_error_name((VmfError)code);

        assert_true(g_str_has_prefix(name, VMF_ERROR_PREFIX));
        assert_true(g_dbus_is_interface_name(name));
        assert_true(g_hash_table_add(seen, (gpointer)name));
        assert_int_equal(vmf_error_from_name(name), code);
    }
    assert_int_equal(vmf_error_from_name("org.example.Nothing"), VMF_ERROR_FAILED);
    assert_int_equal(vmf_error_from_name(NULL), VMF_ERROR_FAILED);
}

static void
test_gdbus_maps_both_ways(void **state)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *name = NULL;

    (void)vmf_error_quark();
    error = g_dbus_error_new_for_dbus_error("org.vmferry1.Error.NoSuchPeer", "who?");
    assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_NO_SUCH_PEER));
    name = g_dbus_error_encode_gerror(error);
    assert_string_equal(name, "org.vmferry1.Error.NoSuchPeer");
}

static void
test_normalize(void **state)
{
    g_autoptr(GError) remote = NULL;
    g_autoptr(GError) foreign = NULL;
    g_autoptr(GError) cancelled = NULL;

    remote = vmf_error_normalize(
        g_dbus_error_new_for_dbus_error("org.vmferry1.Error.DomainExists", "it is there"));
    assert_true(g_error_matches(remote, VMF_ERROR, VMF_ERROR_DOMAIN_EXISTS));
    assert_string_equal(remote->message, "it is there");

    foreign = vmf_error_normalize(g_error_new(G_FILE_ERROR, G_FILE_ERROR_NOENT, "no file"));
    assert_true(g_error_matches(foreign, VMF_ERROR, VMF_ERROR_FAILED));
    assert_string_equal(foreign->message, "no file");

    cancelled = vmf_error_normalize(g_error_new(G_IO_ERROR, G_IO_ERROR_CANCELLED, "stop"));
    assert_true(g_error_matches(cancelled, VMF_ERROR, VMF_ERROR_CANCELLED));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_distinct),
        cmocka_unit_test(test_gdbus_maps_both_ways),
        cmocka_unit_test(test_normalize),
    };

    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
