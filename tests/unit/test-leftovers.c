/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka-all.h"

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>

#include "daemon/leftovers.h"

static void
test_parse(void **state)
{
    g_autoptr(GHashTable) paths = vmf_leftovers_parse_listening(
        "Num       RefCount Protocol Flags    Type St Inode Path\n"
        "ffff8881: 00000002 00000000 00010000 0001 01 12345 /run/vmferry/pumps/0123abcd\n"
        "ffff8882: 00000003 00000000 00000000 0001 03 12346 /run/vmferry/hostb/connected.sock\n"
        "ffff8883: 00000002 00000000 00010000 0001 01 12347 /run/two words\n"
        "ffff8884: 00000002 00000000 00010000 0001 01 12348 @abstract\n"
        "ffff8885: 00000002 00000000 00010000 0001 01 12349\n"
        "nonsense\n");

    assert_true(g_hash_table_contains(paths, "/run/vmferry/pumps/0123abcd"));
    assert_true(g_hash_table_contains(paths, "/run/two words"));
    assert_true(g_hash_table_contains(paths, "@abstract"));
    assert_false(g_hash_table_contains(paths, "/run/vmferry/hostb/connected.sock"));
}

static GSocket *
listen_at(const char *path)
{
    GSocket *socket =
        g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, NULL);
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);

    assert_true(g_socket_bind(socket, address, FALSE, NULL));
    assert_true(g_socket_listen(socket, NULL));
    return socket;
}

/* Only sockets that nobody listens on go; files and sockets in use stay. */
static void
test_remove(void **state)
{
    g_autofree char *run = g_dir_make_tmp("vmf-XXXXXX", NULL);
    g_autofree char *folder = g_build_filename(run, "hostb", NULL);
    g_autofree char *live = g_build_filename(folder, "live.sock", NULL);
    g_autofree char *dead = g_build_filename(folder, "dead.sock", NULL);
    g_autofree char *file = g_build_filename(folder, "file", NULL);
    g_autoptr(GSocket) held = NULL;

    assert_int_equal(g_mkdir(folder, 0700), 0);
    held = listen_at(live);
    g_object_unref(listen_at(dead));
    assert_true(g_file_set_contents(file, "x", 1, NULL));
    vmf_leftovers_remove(run);
    assert_true(g_file_test(live, G_FILE_TEST_EXISTS));
    assert_false(g_file_test(dead, G_FILE_TEST_EXISTS));
    assert_true(g_file_test(file, G_FILE_TEST_EXISTS));
    g_unlink(live);
    g_unlink(file);
    g_rmdir(folder);
    g_rmdir(run);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_remove),
    };

    return cmocka_run_group_tests_name("leftovers", tests, NULL, NULL);
}
