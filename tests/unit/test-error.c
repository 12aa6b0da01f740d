/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka-all.h"

#include <gio/gio.h>
#include <errno.h>
#include <string.h>

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

static void
test_normalize_ends_of_connections(void **state)
{
    const struct {
        GIOErrorEnum from;
        VmfError to;
    } cases[] = {{G_IO_ERROR_TIMED_OUT, VMF_ERROR_TIMED_OUT},
                 {G_IO_ERROR_CLOSED, VMF_ERROR_LINK_BROKEN},
                 {G_IO_ERROR_CONNECTION_CLOSED, VMF_ERROR_LINK_BROKEN},
                 {G_IO_ERROR_NO_SPACE, VMF_ERROR_LIMIT_REACHED},
                 {G_IO_ERROR_TOO_MANY_OPEN_FILES, VMF_ERROR_LIMIT_REACHED},
                 {G_IO_ERROR_NOT_FOUND, VMF_ERROR_FAILED}};

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error =
            vmf_error_normalize(g_error_new_literal(G_IO_ERROR, (int)cases[i].from, "what"));

        assert_true(g_error_matches(error, VMF_ERROR, (int)cases[i].to));
    }
}

static void
test_errno(void **state)
{
    g_autoptr(GError) full = NULL;
    g_autoptr(GError) absent = NULL;

    errno = ENOSPC;
    assert_false(vmf_error_set_errno(&full, "/run/x"));
    assert_true(g_error_matches(full, VMF_ERROR, VMF_ERROR_LIMIT_REACHED));
    assert_string_equal(full->message, "/run/x: No space left on device");
    errno = ENOENT;
    assert_false(vmf_error_set_errno(&absent, "/run/y"));
    assert_true(g_error_matches(absent, VMF_ERROR, VMF_ERROR_FAILED));
}

static void
test_remote_text_is_cleaned(void **state)
{
    g_autofree char *plain = vmf_text_clean("caf\xc3\xa9 is open");
    g_autofree char *lines = vmf_text_clean("a\nvmferryd: b\t\x1b[2Jc\x7f");
    g_autofree char *novel = g_strnfill(5000, 'x');
    g_autofree char *cut = vmf_text_clean(novel);
    g_autoptr(GError) remote = vmf_error_normalize(
        g_dbus_error_new_for_dbus_error("org.vmferry1.Error.DomainExists", "one\ntwo"));

    assert_string_equal(plain, "caf\xc3\xa9 is open");
    assert_string_equal(lines, "a vmferryd: b  [2Jc ");
    assert_int_equal(strlen(cut), 1000);
    assert_string_equal(remote->message, "one two");
}

/* The cut may fall into a character. */
static void
test_cut_text_is_still_text(void **state)
{
    g_autoptr(GString) text = g_string_new("x");
    g_autofree char *cut = NULL;

    for (int i = 0; i < 1000; i++)
        g_string_append(text, "\xc3\xa9");
    cut = vmf_text_clean(text->str);
    assert_true(g_utf8_validate(cut, -1, NULL));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_distinct),
        cmocka_unit_test(test_gdbus_maps_both_ways),
        cmocka_unit_test(test_normalize),
        cmocka_unit_test(test_normalize_ends_of_connections),
        cmocka_unit_test(test_errno),
        cmocka_unit_test(test_remote_text_is_cleaned),
        cmocka_unit_test(test_cut_text_is_still_text),
    };

    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
