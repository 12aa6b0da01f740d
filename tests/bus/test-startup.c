/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How vmferryd starts, and how it says that it cannot. */
#include "fixture.h"

#include <glib/gstdio.h>
#include <string.h>

#include "vmferry-config.h"

typedef struct {
    VmfLab *lab;
    VmfHost *host;
} Fixture;

static int
set_up(void **state)
{
    Fixture *fixture = g_new0(Fixture, 1);

    *state = fixture;
    fixture->lab = vmf_lab_new();
    fixture->host = vmf_lab_add_host(fixture->lab, "hosta");
    return 0;
}

static int
tear_down(void **state)
{
    Fixture *fixture = *state;

    if (fixture->host->daemon)
        vmf_host_stop(fixture->host);
    vmf_lab_free(fixture->lab);
    g_free(fixture);
    return 0;
}

/* vmferryd with further arguments (NULL-terminated): its status and what it says. */
static int
run_daemon(VmfHost *host, const char *const *arguments, char **ret_out, char **ret_error)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_auto(GStrv) argv = NULL;

    g_strv_builder_add(builder, g_getenv("VMFERRYD"));
    g_strv_builder_addv(builder, (const char **)arguments);
    argv = g_strv_builder_end(builder);
    return vmf_host_run(host, (const char *const *)argv, ret_out, ret_error);
}

/* It ends with status 1, and says every one of the words, which end in NULL, on one line. */
static void assert_does_not_start(VmfHost *host, const char *word, ...) G_GNUC_NULL_TERMINATED;

static void
assert_does_not_start(VmfHost *host, const char *word, ...)
{
    g_autofree char *config = vmf_host_path(host, "vmferryd.conf");
    const char *const arguments[] = {"--session-bus", "--config", config, NULL};
    g_autofree char *output = NULL;
    g_autofree char *complaint = NULL;
    va_list words;

    assert_int_equal(run_daemon(host, arguments, &output, &complaint), 1);
    assert_string_equal(output, "");
    va_start(words, word);
    for (; word; word = va_arg(words, const char *))
        if (!strstr(complaint, word))
            fail_msg("'%s' does not say '%s'", complaint, word);
    va_end(words);
    /* the last line is the reason */
    assert_true(g_str_has_suffix(complaint, "\n"));
    assert_non_null(strstr(complaint, "vmferryd: warning: "));
}

static void
test_it_starts_and_ends(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autofree char *pumps = vmf_host_path(host, "run/pumps");
    GStatBuf status;

    vmf_host_start(host);
    assert_int_equal(g_stat(pumps, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    vmf_host_stop(host);
    vmf_host_start(host);
    vmf_host_kill(host);
    vmf_host_start(host);
}

static void
test_version_and_help(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    const char *const version[] = {"--version", NULL};
    const char *const help[] = {"--help", NULL};
    g_autofree char *first = NULL;
    g_autofree char *second = NULL;

    assert_int_equal(run_daemon(host, version, &first, NULL), 0);
    assert_string_equal(first, "vmferryd " VMF_VERSION "\n");
    assert_int_equal(run_daemon(host, help, &second, NULL), 0);
    assert_non_null(strstr(second, "--config"));
}

static void
test_wrong_usage(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    const char *const option[] = {"--confg", NULL};
    const char *const argument[] = {"start", NULL};
    g_autofree char *first = NULL;
    g_autofree char *second = NULL;

    assert_int_equal(run_daemon(host, option, NULL, &first), 2);
    assert_non_null(strstr(first, "--confg"));
    assert_int_equal(run_daemon(host, argument, NULL, &second), 2);
    assert_non_null(strstr(second, "'start'"));
}

static void
test_a_configuration_that_is_not_there(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    const char *const arguments[] = {"--session-bus", "--config", "/nowhere/vmferryd.conf", NULL};
    g_autofree char *complaint = NULL;

    assert_int_equal(run_daemon(host, arguments, NULL, &complaint), 1);
    assert_non_null(strstr(complaint, "/nowhere/vmferryd.conf"));
}

static void
test_wrong_configurations(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    const struct {
        const char *group;
        const char *key;
        const char *value;
        const char *word;
    } cases[] = {
        {"Network", "Port", "70000", "from 1 to 65535"},
        {"Network", "Prot", "1", "no such setting"},
        {"Netwrok", "Port", "1", "no such group"},
        {"Network", "Address", "hosta", "not an IP address"},
        {"Security", "AllowUnencrypted", "maybe", "AllowUnencrypted"},
        {"Limits", "Migrations", "0", "from 1 to 64"},
        {"Paths", "RunDirectory", "run", "absolute"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *config = vmf_host_path(host, "vmferryd.conf");
        g_autofree char *group = g_strdup_printf("[%s]", cases[i].group);
        g_autofree char *before = NULL;

        assert_true(g_file_get_contents(config, &before, NULL, NULL));
        vmf_host_set(host, cases[i].group, cases[i].key, cases[i].value);
        assert_does_not_start(host, config, group, cases[i].word, NULL);
        assert_true(g_file_set_contents(config, before, -1, NULL));
    }
}

static void
test_wrong_peers(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;

    vmf_host_add_peer(host, "hostb", 1, "MayRecieve=false");
    assert_does_not_start(host, "peers.d/hostb.conf", "[Peer]", "MayRecieve", NULL);
    vmf_host_add_peer(host, "hostb", 1, "MayReceive=perhaps");
    assert_does_not_start(host, "peers.d/hostb.conf", "[Peer]", "MayReceive", NULL);
    vmf_host_add_peer(host, "hostb", 1, NULL);
    vmf_host_add_peer(host, "pumps", 1, NULL);
    assert_does_not_start(host, "peers.d/pumps.conf", "[Peer] Name", NULL);
}

static void
test_certificates_that_are_missing(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    const char *const files[] = {"serverkey.pem", "servercert.pem", "cacert.pem"};

    for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *below = g_strconcat("pki/", files[i], NULL);
        g_autofree char *path = vmf_host_path(host, below);

        assert_int_equal(g_unlink(path), 0);
        assert_does_not_start(host, path, NULL);
    }
}

static void
test_a_port_that_is_taken(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    guint16 port;
    g_autoptr(GSocket) taken = vmf_listen(&port);
    g_autofree char *text = g_strdup_printf("%u", port);

    vmf_host_set(host, "Network", "Port", text);
    assert_does_not_start(host, "cannot listen on port", text, NULL);
}

static void
test_a_run_directory_that_cannot_be_made(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;

    vmf_host_set(host, "Paths", "RunDirectory", "/proc/self/nothing/run");
    assert_does_not_start(host, "/proc/self/nothing/run", NULL);
}

static void
test_a_second_daemon_on_the_bus(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    guint16 port;
    GSocket *socket = vmf_listen(&port);
    g_autofree char *text = g_strdup_printf("%u", port);

    g_object_unref(socket);
    vmf_host_start(host);
    vmf_host_set(host, "Network", "Port", text);
    assert_does_not_start(host, "another vmferryd has the name", NULL);
}

static void
test_no_bus(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;

    g_free(host->address);
    host->address = g_strdup("unix:path=/nowhere/bus");
    assert_does_not_start(host, "no session bus: ", NULL);
}

/* A daemon without its bus is of no use to anybody. */
static void
test_the_bus_goes_away(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autoptr(GSubprocess) daemon = NULL;

    vmf_host_start(host);
    daemon = g_object_ref(host->daemon);
    g_subprocess_force_exit(host->bus_daemon);
    vmf_wait_gone(vmf_host_get_pid(host));
    g_subprocess_wait(daemon, NULL, NULL);
    assert_true(g_subprocess_get_if_exited(daemon));
    assert_int_equal(g_subprocess_get_exit_status(daemon), 1);
    vmf_host_kill(host);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_it_starts_and_ends),
        CASE(test_version_and_help),
        CASE(test_wrong_usage),
        CASE(test_a_configuration_that_is_not_there),
        CASE(test_wrong_configurations),
        CASE(test_wrong_peers),
        CASE(test_certificates_that_are_missing),
        CASE(test_a_port_that_is_taken),
        CASE(test_a_run_directory_that_cannot_be_made),
        CASE(test_a_second_daemon_on_the_bus),
        CASE(test_no_bus),
        CASE(test_the_bus_goes_away),
    };

    return cmocka_run_group_tests_name("bus-startup", tests, NULL, NULL);
}
