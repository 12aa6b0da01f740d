/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka-all.h"

#include <glib/gstdio.h>
#include <string.h>

#include "base/error.h"
#include "daemon/config.h"

/* A folder of its own for each case, with what the case writes into it. */
typedef struct {
    char *directory;
    GPtrArray *files;
} Fixture;

static int
set_up(void **state)
{
    Fixture *fixture = g_new0(Fixture, 1);

    fixture->directory = g_dir_make_tmp("vmf-config-XXXXXX", NULL);
    assert_non_null(fixture->directory);
    fixture->files = g_ptr_array_new_with_free_func(g_free);
    *state = fixture;
    return 0;
}

static int
tear_down(void **state)
{
    Fixture *fixture = *state;

    for (guint i = 0; i < fixture->files->len; i++)
        (void)g_unlink(fixture->files->pdata[i]);
    assert_int_equal(g_rmdir(fixture->directory), 0);
    g_ptr_array_unref(fixture->files);
    g_free(fixture->directory);
    g_free(fixture);
    return 0;
}

/* Borrowed path. */
static const char *
write_file(Fixture *fixture, const char *name, const char *text)
{
    char *path = g_build_filename(fixture->directory, name, NULL);

    assert_true(g_file_set_contents(path, text, -1, NULL));
    g_ptr_array_add(fixture->files, path);
    return path;
}

/* The message names the file and every one of `words`. */
static void
assert_bad_configuration(const GError *error, const char *path, const char *const *words)
{
    assert_non_null(error);
    assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION));
    if (!strstr(error->message, path))
        fail_msg("'%s' does not name %s", error->message, path);
    for (; *words; words++)
        if (!strstr(error->message, *words))
            fail_msg("'%s' does not say '%s'", error->message, *words);
}

static void
test_a_missing_file_means_defaults(void **state)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfConfig) config = vmf_config_load("/nowhere/vmferryd.conf", &error);

    assert_non_null(config);
    assert_null(config->address);
    assert_int_equal(config->port, 16530);
    assert_string_equal(config->tls_directory, "/etc/pki/vmferry");
    assert_string_equal(config->libvirt_uri, "qemu:///system");
    assert_string_equal(config->pump_user, "vmferry");
    assert_int_equal(config->pump_patience, 120);
    assert_string_equal(config->run_directory, "/run/vmferry");
    assert_false(config->allow_unencrypted);
    assert_int_equal(config->max_migrations, 8);
    assert_int_equal(config->max_connections, 64);
    assert_int_equal(config->keep_finished, 600);
}

static void
test_every_setting_is_read(void **state)
{
    const char *path = write_file(*state, "vmferryd.conf",
                                  "# comment\n"
                                  "[Network]\nAddress=192.0.2.1\nPort=1\n"
                                  "[Security]\nTlsDirectory=/tls\nAllowUnencrypted=true\n"
                                  "[Libvirt]\nUri=test:///default\n"
                                  "[Pump]\nPath=/pump\nUser=nobody\n"
                                  "[Paths]\nRunDirectory=/var/run/v\n"
                                  "[Limits]\nMigrations=64\nConnections=4096\nKeepFinished=1\n");
    g_autoptr(VmfConfig) config = vmf_config_load(path, NULL);

    assert_non_null(config);
    assert_string_equal(config->address, "192.0.2.1");
    assert_int_equal(config->port, 1);
    assert_string_equal(config->tls_directory, "/tls");
    assert_true(config->allow_unencrypted);
    assert_string_equal(config->libvirt_uri, "test:///default");
    assert_string_equal(config->pump_path, "/pump");
    assert_string_equal(config->pump_user, "nobody");
    assert_string_equal(config->run_directory, "/var/run/v");
    assert_int_equal(config->max_migrations, 64);
    assert_int_equal(config->max_connections, 4096);
    assert_int_equal(config->keep_finished, 1);
}

static void
test_refusals(void **state)
{
    const struct {
        const char *text;
        const char *words[4];
    } cases[] = {
        {"[Netwrok]\nPort=1\n", {"[Netwrok]", "no such"}},
        {"[Netwrok]\n", {"[Netwrok]", "no such"}},
        {"[Network]\nPrt=1\n", {"[Network]", "Prt", "no such"}},
        {"[Limits]\nPort=1\n", {"[Limits]", "Port", "no such"}},
        {"[Network]\nPort=0\n", {"[Network]", "Port", "from 1 to 65535"}},
        {"[Network]\nPort=65536\n", {"[Network]", "Port", "from 1 to 65535"}},
        {"[Network]\nPort=-1\n", {"[Network]", "Port"}},
        {"[Network]\nPort=99999999999999999999\n", {"[Network]", "Port"}},
        {"[Network]\nPort=http\n", {"[Network]", "Port", "http"}},
        {"[Network]\nPort=\n", {"[Network]", "Port"}},
        {"[Network]\nAddress=host.example.org\n", {"[Network]", "Address", "IP address"}},
        {"[Network]\nAddress=\n", {"[Network]", "Address"}},
        {"[Security]\nAllowUnencrypted=maybe\n", {"[Security]", "AllowUnencrypted"}},
        {"[Security]\nTlsDirectory=pki\n", {"[Security]", "TlsDirectory", "absolute"}},
        {"[Security]\nTlsDirectory=\n", {"[Security]", "TlsDirectory"}},
        {"[Libvirt]\nUri=\n", {"[Libvirt]", "Uri"}},
        {"[Pump]\nPath=vmferry-pump\n", {"[Pump]", "Path", "absolute"}},
        {"[Pump]\nUser=\n", {"[Pump]", "User"}},
        {"[Pump]\nPatience=86401\n", {"Patience", "0 to 86400"}},
        {"[Paths]\nRunDirectory=run\n", {"[Paths]", "RunDirectory", "absolute"}},
        {"[Limits]\nMigrations=0\n", {"[Limits]", "Migrations", "from 1 to 64"}},
        {"[Limits]\nMigrations=65\n", {"[Limits]", "Migrations", "from 1 to 64"}},
        {"[Limits]\nConnections=0\n", {"[Limits]", "Connections", "from 1 to 4096"}},
        {"[Limits]\nConnections=4097\n", {"[Limits]", "Connections", "from 1 to 4096"}},
        {"[Limits]\nKeepFinished=0\n", {"[Limits]", "KeepFinished", "from 1 to 86400"}},
        {"[Limits]\nKeepFinished=86401\n", {"[Limits]", "KeepFinished", "from 1 to 86400"}},
        {"Port=1\n", {NULL}},
        {"[Network\n", {NULL}},
        {"[Pump]\nUser=\xff\n", {"[Pump]", "User"}},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        const char *path = write_file(*state, "vmferryd.conf", cases[i].text);
        g_autoptr(GError) error = NULL;
        g_autoptr(VmfConfig) config = vmf_config_load(path, &error);

        if (config)
            fail_msg("'%s' was taken", cases[i].text);
        assert_bad_configuration(error, path, cases[i].words);
    }
}

static void
test_peers_are_read_in_order_of_names(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GPtrArray) peers = NULL;
    const VmfPeerConfig *peer;

    write_file(fixture, "b.conf",
               "[Peer]\nName=b.example.org\nAddresses=b1:1;192.0.2.7;\n"
               "LibvirtUri=qemu+ssh://b/system\nMaySend=false\nMayReceive=false\n"
               "MayUseLibvirt=true\n");
    write_file(fixture, "a.conf", "[Peer]\nName=a\n");
    write_file(fixture, "c.conf.sample", "[Peer]\nName=c\n");
    write_file(fixture, ".d.conf", "[Peer]\nName=d\n");
    peers = vmf_peer_configs_load(fixture->directory, NULL);
    assert_non_null(peers);
    assert_int_equal(peers->len, 2);

    peer = peers->pdata[0];
    assert_string_equal(peer->name, "a");
    assert_string_equal(peer->addresses[0], "a");
    assert_null(peer->addresses[1]);
    assert_string_equal(peer->libvirt_uri, "qemu+tls://a/system");
    assert_true(peer->may_send);
    assert_true(peer->may_receive);
    assert_false(peer->may_use_libvirt);

    peer = peers->pdata[1];
    assert_string_equal(peer->name, "b.example.org");
    assert_string_equal(peer->addresses[0], "b1:1");
    assert_string_equal(peer->addresses[1], "192.0.2.7");
    assert_null(peer->addresses[2]);
    assert_string_equal(peer->libvirt_uri, "qemu+ssh://b/system");
    assert_false(peer->may_send);
    assert_false(peer->may_receive);
    assert_true(peer->may_use_libvirt);
}

static void
test_an_absent_directory_holds_no_peers(void **state)
{
    g_autoptr(GPtrArray) peers = vmf_peer_configs_load("/nowhere/peers.d", NULL);

    assert_non_null(peers);
    assert_int_equal(peers->len, 0);
}

static void
test_peer_refusals(void **state)
{
    const struct {
        const char *text;
        const char *words[4];
    } cases[] = {
        {"", {"[Peer]", "Name"}},
        {"[Peer]\nMaySend=true\n", {"[Peer]", "Name"}},
        {"[Peer]\nName=\n", {"[Peer]", "Name"}},
        {"[Peer]\nName=pumps\n", {"[Peer]", "Name"}},
        {"[Peer]\nName=../etc\n", {"[Peer]", "Name"}},
        {"[Peer]\nName=a\nAddresses=a;;b\n", {"[Peer]", "Addresses"}},
        {"[Peer]\nName=a\nMaySend=perhaps\n", {"[Peer]", "MaySend"}},
        {"[Peer]\nName=a\nLibvirtUri=\n", {"[Peer]", "LibvirtUri"}},
        {"[Peer]\nName=a\nAdresses=a\n", {"[Peer]", "Adresses", "no such"}},
        {"[Peers]\nName=a\n", {"[Peers]", "no such"}},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        const char *path = write_file(*state, "one.conf", cases[i].text);
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) peers = vmf_peer_configs_load(((Fixture *)*state)->directory, &error);

        if (peers)
            fail_msg("'%s' was taken", cases[i].text);
        assert_bad_configuration(error, path, cases[i].words);
    }
}

static void
test_two_files_of_one_peer_are_refused(void **state)
{
    Fixture *fixture = *state;
    const char *words[] = {"[Peer]", "Name", "same.example.org", NULL};
    const char *second;
    g_autoptr(GError) error = NULL;

    write_file(fixture, "1.conf", "[Peer]\nName=same.example.org\n");
    second = write_file(fixture, "2.conf", "[Peer]\nName=same.example.org\n");
    assert_null(vmf_peer_configs_load(fixture->directory, &error));
    assert_bad_configuration(error, second, words);
}

static void
test_peer_names(void **state)
{
    g_autofree char *longest = g_strnfill(63, 'a');
    g_autofree char *longer = g_strnfill(64, 'a');
    const char *good[] = {"a", "7", "host-1.example.org", "pumps.example.org", longest};
    const char *bad[] = {"", "pumps", ".", "..", "-a", "a/b", "a b", "a_b", "h\xc3\xb6", longer};

    for (guint i = 0; i < G_N_ELEMENTS(good); i++)
        if (!vmf_peer_name_is_valid(good[i]))
            fail_msg("'%s' should be valid", good[i]);
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        if (vmf_peer_name_is_valid(bad[i]))
            fail_msg("'%s' should not be valid", bad[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_missing_file_means_defaults),
        cmocka_unit_test_setup_teardown(test_every_setting_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_peers_are_read_in_order_of_names, set_up, tear_down),
        cmocka_unit_test(test_an_absent_directory_holds_no_peers),
        cmocka_unit_test_setup_teardown(test_peer_refusals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_files_of_one_peer_are_refused, set_up, tear_down),
        cmocka_unit_test(test_peer_names),
    };

    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
