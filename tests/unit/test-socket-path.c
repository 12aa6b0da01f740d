/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka-all.h"

#include <string.h>

#include "daemon/socket-path.h"

static void
assert_path(const char *guest, const char *expected)
{
    g_autofree char *path = vmf_socket_path("/run/vmferry", "hostb", guest);

    assert_non_null(path);
    assert_string_equal(path, expected);
}

static void
test_names_are_encoded(void **state)
{
    assert_path("web", "/run/vmferry/hostb/web.sock");
    assert_path("Web-1_a.b", "/run/vmferry/hostb/Web-1_a.b.sock");
    assert_path("two words", "/run/vmferry/hostb/two~20words.sock");
    assert_path("50%~", "/run/vmferry/hostb/50~25~7E.sock");
    assert_path("caf\xc3\xa9", "/run/vmferry/hostb/caf~C3~A9.sock");
    assert_path("a\nb", "/run/vmferry/hostb/a~0Ab.sock");
}

static void
test_a_dot_in_front_is_encoded(void **state)
{
    assert_path(".", "/run/vmferry/hostb/~2E.sock");
    assert_path("..", "/run/vmferry/hostb/~2E..sock");
    assert_path(".hidden", "/run/vmferry/hostb/~2Ehidden.sock");
}

static void
test_no_name_leaves_the_folder(void **state)
{
    const char *names[] = {"../../etc/passwd", "/etc/passwd", "a/b", "./x"};

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = vmf_socket_path("/run/vmferry", "hostb", names[i]);

        assert_true(g_str_has_prefix(path, "/run/vmferry/hostb/"));
        assert_null(strchr(path + strlen("/run/vmferry/hostb/"), '/'));
    }
}

/* "/run/vmferry/hostb/" and ".sock" leave 83 bytes. */
static void
test_a_path_has_at_most_107_bytes(void **state)
{
    g_autofree char *fits = g_strnfill(83, 'x');
    g_autofree char *longer = g_strnfill(84, 'x');
    g_autofree char *expected = g_strdup_printf("/run/vmferry/hostb/%s.sock", fits);
    g_autofree char *cut = vmf_socket_path("/run/vmferry", "hostb", longer);

    assert_path(fits, expected);
    assert_int_equal(strlen(expected), VMF_SOCKET_PATH_MAX);
    assert_int_equal(strlen(cut), VMF_SOCKET_PATH_MAX);
    /* 65 x, then SHA-256 of the whole name */
    assert_memory_equal(cut + 19, fits, 65);
    assert_string_equal(cut + 19 + 65, "~~7197490a0df09feb.sock");
}

static void
test_long_names_stay_distinct(void **state)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree char *front = g_strnfill(200, 'x');

    for (int i = 0; i < 1000; i++) {
        g_autofree char *name = g_strdup_printf("%s%d", front, i);
        char *path = vmf_socket_path("/run/vmferry", "hostb", name);

        assert_int_equal(strlen(path), VMF_SOCKET_PATH_MAX);
        assert_true(g_hash_table_add(seen, path));
    }
}

/* A cut name cannot be imitated: ~~ is in no name that is not cut. */
static void
test_a_short_name_cannot_be_a_cut_one(void **state)
{
    g_autofree char *longer = g_strnfill(84, 'x');
    g_autofree char *cut = vmf_socket_path("/run/vmferry", "hostb", longer);
    g_autofree char *name = g_strndup(cut + 19, strlen(cut) - 19 - strlen(".sock"));
    g_autofree char *imitation = vmf_socket_path("/run/vmferry", "hostb", name);

    assert_string_not_equal(cut, imitation);
}

/* RUN and peer may take 67 bytes, slashes included, so that 40 are left for a guest. */
static void
test_room_for_a_guest_is_kept(void **state)
{
    g_autofree char *longest = g_strnfill(67 - strlen("/run/vmferry/") - 1, 'p');
    g_autofree char *longer = g_strnfill(67 - strlen("/run/vmferry/"), 'p');
    g_autofree char *fits = vmf_socket_path("/run/vmferry", longest, "guest");

    assert_non_null(fits);
    assert_null(vmf_socket_path("/run/vmferry", longer, "guest"));
}

static void
test_pump_sockets(void **state)
{
    g_autofree char *path = vmf_pump_socket_path("/run/vmferry", "0123abcd");

    assert_string_equal(path, "/run/vmferry/pumps/0123abcd");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_encoded),
        cmocka_unit_test(test_a_dot_in_front_is_encoded),
        cmocka_unit_test(test_no_name_leaves_the_folder),
        cmocka_unit_test(test_a_path_has_at_most_107_bytes),
        cmocka_unit_test(test_long_names_stay_distinct),
        cmocka_unit_test(test_a_short_name_cannot_be_a_cut_one),
        cmocka_unit_test(test_room_for_a_guest_is_kept),
        cmocka_unit_test(test_pump_sockets),
    };

    return cmocka_run_group_tests_name("socket-path", tests, NULL, NULL);
}
