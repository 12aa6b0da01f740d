/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The vmferry command against a real daemon: what it prints and with what status it ends. */
#include "fixture.h"

#include <json-glib/json-glib.h>
#include <signal.h>
#include <string.h>

#include "ctl/ctl.h"
#include "vmferry-config.h"

typedef struct {
    VmfLab *lab;
    VmfHost *host;
    GSocket *silent;
} Fixture;

static int
set_up(void **state)
{
    Fixture *fixture = g_new0(Fixture, 1);
    guint16 port;

    *state = fixture;
    fixture->lab = vmf_lab_new();
    fixture->host = vmf_lab_add_host(fixture->lab, "hosta");
    fixture->silent = vmf_listen(&port);
    vmf_host_add_peer(fixture->host, "silent", port, NULL);
    vmf_host_add_peer(fixture->host, "away", 1, "LibvirtUri=test:///default");
    return 0;
}

static int
set_up_and_start(void **state)
{
    set_up(state);
    vmf_host_start(((Fixture *)*state)->host);
    return 0;
}

static int
tear_down(void **state)
{
    Fixture *fixture = *state;

    if (fixture->host->daemon)
        vmf_host_stop(fixture->host);
    vmf_lab_free(fixture->lab);
    g_object_unref(fixture->silent);
    g_free(fixture);
    return 0;
}

/* `line` is split at blanks. */
static int
run(VmfHost *host, const char *line, char **ret_out, char **ret_error)
{
    g_auto(GStrv) words = g_strsplit(line, " ", -1);
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_auto(GStrv) argv = NULL;

    g_strv_builder_add(builder, g_getenv("VMFERRY"));
    for (char **word = words; *word; word++)
        if (**word)
            g_strv_builder_add(builder, *word);
    argv = g_strv_builder_end(builder);
    return vmf_host_run(host, (const char *const *)argv, ret_out, ret_error);
}

/* One line on standard error that begins with "vmferry", and nothing else. */
static void
assert_complains(VmfHost *host, const char *line, int status, const char *words)
{
    g_autofree char *output = NULL;
    g_autofree char *complaint = NULL;
    int got = run(host, line, &output, &complaint);

    if (got != status)
        fail_msg("vmferry %s: status %d, not %d: %s", line, got, status, complaint);
    if (!g_str_has_prefix(complaint, "vmferry") || !strstr(complaint, words))
        fail_msg("vmferry %s: '%s' does not say '%s'", line, complaint, words);
    if (strchr(complaint, '\n') != complaint + strlen(complaint) - 1)
        fail_msg("vmferry %s: '%s' is not one line", line, complaint);
    assert_string_equal(output, "");
}

static JsonNode *
run_json(VmfHost *host, const char *line, int status)
{
    g_autofree char *output = NULL;
    g_autoptr(GError) error = NULL;
    JsonNode *node;

    assert_int_equal(run(host, line, &output, NULL), status);
    node = json_from_string(output, &error);
    if (!node)
        fail_msg("vmferry %s: '%s' is not JSON: %s", line, output,
                 error ? error->message : "empty");
    return node;
}

/* ---- usage ---- */

static void
test_help(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    const char *const lines[] = {"--help",         "migrate --help", "status --help",
                                 "cancel --help",  "peers --help",   "postcopy --help",
                                 "inspect --help", "check --help"};

    for (guint i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autofree char *output = NULL;
        g_autofree char *complaint = NULL;

        assert_int_equal(run(host, lines[i], &output, &complaint), VMF_EXIT_OK);
        assert_non_null(strstr(output, "Usage:"));
        assert_string_equal(complaint, "");
    }
}

static void
test_version(void **state)
{
    g_autofree char *output = NULL;

    assert_int_equal(run(((Fixture *)*state)->host, "--version", &output, NULL), VMF_EXIT_OK);
    assert_string_equal(output, "vmferry " VMF_VERSION "\n");
}

static void
test_mistakes(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    const struct {
        const char *line;
        const char *words;
    } cases[] = {
        {"emigrate", "'emigrate'"},
        {"--verison", "'--verison'"},
        {"migrate", "GUEST HOST"},
        {"migrate running", "GUEST HOST"},
        {"migrate running away more", "'more'"},
        {"migrate --quick running away", "--quick"},
        {"status 1 2", "'2'"},
        {"status --jsno", "--jsno"},
        {"cancel", "ID"},
        {"postcopy", "ID"},
        {"postcopy 1 2", "'2'"},
        {"migrate --parallel=many running away", "--parallel"},
        {"cancel 1 2", "'2'"},
        {"peers away", "'away'"},
        {"peers --connect", "--connect"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
        assert_complains(host, cases[i].line, VMF_EXIT_USAGE, cases[i].words);
}

static void
test_no_command(void **state)
{
    g_autofree char *output = NULL;
    g_autofree char *complaint = NULL;

    assert_int_equal(run(((Fixture *)*state)->host, "", &output, &complaint), VMF_EXIT_USAGE);
    assert_string_equal(output, "");
    assert_non_null(strstr(complaint, "Usage:"));
}

static void
test_no_daemon(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    const char *const lines[] = {"migrate running away", "status", "cancel 01234567", "peers",
                                 "peers --connect away"};

    for (guint i = 0; i < G_N_ELEMENTS(lines); i++)
        assert_complains(host, lines[i], VMF_EXIT_NO_DAEMON, "systemctl status vmferryd");
}

/* ---- peers ---- */

static void
test_peers(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autofree char *table = NULL;
    g_autofree char *names = NULL;

    assert_int_equal(run(host, "peers", &table, NULL), VMF_EXIT_OK);
    assert_true(g_str_has_prefix(table, "NAME "));
    assert_non_null(strstr(table, "\naway "));
    assert_non_null(strstr(table, "127.0.0.1:1\n"));
    assert_int_equal(run(host, "peers --names", &names, NULL), VMF_EXIT_OK);
    assert_string_equal(names, "away\nsilent\n");
}

static void
test_peers_as_json(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autoptr(JsonNode) node = run_json(host, "peers --json", VMF_EXIT_OK);
    JsonArray *peers = json_node_get_array(node);
    JsonObject *peer;
    JsonArray *addresses;

    assert_int_equal(json_array_get_length(peers), 2);
    peer = json_array_get_object_element(peers, 0);
    assert_int_equal(json_object_get_size(peer), 8);
    assert_string_equal(json_object_get_string_member(peer, "Name"), "away");
    assert_string_equal(json_object_get_string_member(peer, "LibvirtUri"), "test:///default");
    assert_string_equal(json_object_get_string_member(peer, "Version"), "");
    assert_false(json_object_get_boolean_member(peer, "Connected"));
    addresses = json_object_get_array_member(peer, "Addresses");
    assert_int_equal(json_array_get_length(addresses), 1);
    assert_string_equal(json_array_get_string_element(addresses, 0), "127.0.0.1:1");
    peer = json_object_get_object_member(peer, "Error");
    assert_string_equal(json_object_get_string_member(peer, "Name"), "");
    assert_string_equal(json_object_get_string_member(peer, "Message"), "");
}

static void
test_peers_that_do_not_connect(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autofree char *table = NULL;

    assert_complains(host, "peers --connect nobody", VMF_EXIT_FAILED, "'nobody'");
    assert_complains(host, "peers -c away", VMF_EXIT_FAILED, "cannot reach away");
    assert_complains(host, "features away", VMF_EXIT_FAILED, "cannot reach away");
    assert_complains(host, "features nobody", VMF_EXIT_FAILED, "'nobody'");
    assert_complains(host, "features", VMF_EXIT_USAGE, "HOST");
    /* and the list says so too */
    assert_int_equal(run(host, "peers", &table, NULL), VMF_EXIT_OK);
    assert_non_null(strstr(table, "cannot reach away"));
}

/* ---- migrate, status, cancel ---- */

static void
test_migrate_refused(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;

    assert_complains(host, "migrate nobody away", VMF_EXIT_FAILED, "'nobody'");
    assert_complains(host, "migrate running nobody", VMF_EXIT_FAILED, "'nobody'");
    assert_complains(host, "migrate off away", VMF_EXIT_FAILED, "not running");
    assert_complains(host, "migrate --unencrypted running away", VMF_EXIT_FAILED,
                     "AllowUnencrypted");
    assert_complains(host, "migrate --parallel 33 running away", VMF_EXIT_USAGE, "at most 32");
    assert_complains(host, "migrate --copy-storage=some running away", VMF_EXIT_USAGE,
                     "copy-storage");
    assert_complains(host, "migrate --cache=12X running away", VMF_EXIT_USAGE, "like 256M");
    assert_complains(host, "migrate --cache=99999999999G running away", VMF_EXIT_USAGE, "--cache");
    assert_complains(host, "migrate --zstd=20 running away", VMF_EXIT_USAGE, "1 to 19");
    assert_complains(host, "migrate --downtime=-1 running away", VMF_EXIT_USAGE, "--downtime");
    assert_complains(host, "migrate --xml=/nowhere.xml running away", VMF_EXIT_USAGE,
                     "/nowhere.xml");
}

static void
assert_has_all_properties(JsonObject *migration)
{
    GDBusPropertyInfo **property = vmf_bus_migration_interface_info()->properties;

    for (; *property; property++)
        if (!json_object_has_member(migration, (*property)->name))
            fail_msg("the migration lacks %s", (*property)->name);
}

static void
test_migrate_fails(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autoptr(JsonNode) node = NULL;
    g_autoptr(JsonNode) status = NULL;
    JsonObject *migration;
    JsonObject *error;

    assert_complains(host, "migrate --quiet running away", VMF_EXIT_FAILED, "cannot reach away");
    node =
        run_json(host, "migrate --json --no-delta --cache 3k --zstd 7 --downtime 40 running away",
                 VMF_EXIT_FAILED);
    migration = json_node_get_object(node);
    assert_has_all_properties(migration);
    assert_false(json_object_get_boolean_member(migration, "Delta"));
    assert_int_equal(json_object_get_int_member(migration, "CacheLimit"), 3072);
    assert_int_equal(json_object_get_int_member(migration, "Compression"), 7);
    assert_int_equal(json_object_get_int_member(migration, "DowntimeAllowed"), 40);
    assert_string_equal(json_object_get_string_member(migration, "Domain"), "running");
    assert_string_equal(json_object_get_string_member(migration, "Uuid"), VMF_UUID_RUNNING);
    assert_string_equal(json_object_get_string_member(migration, "Peer"), "away");
    assert_string_equal(json_object_get_string_member(migration, "State"), "failed");
    assert_string_equal(json_object_get_string_member(migration, "Direction"), "out");
    assert_int_equal(json_object_get_int_member(migration, "BytesOnWire"), 0);
    error = json_object_get_object_member(migration, "Error");
    assert_string_equal(json_object_get_string_member(error, "Name"),
                        "org.vmferry1.Error.PeerUnreachable");
    status = run_json(host, "status --json", VMF_EXIT_OK);
    assert_int_equal(json_array_get_length(json_node_get_array(status)), 2);
}

static void
test_status_and_cancel(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autoptr(VmfBusMigration) migration = vmf_host_migrate(host, "running", "silent");
    const char *id = vmf_bus_migration_get_id(migration);
    g_autofree char *status_line = g_strdup_printf("status --json %s", id);
    g_autofree char *cancel_line = g_strdup_printf("cancel %s", id);
    g_autofree char *table = NULL;
    g_autoptr(JsonNode) node = run_json(host, status_line, VMF_EXIT_OK);
    JsonArray *migrations = json_node_get_array(node);
    JsonObject *shown = json_array_get_object_element(migrations, 0);

    assert_int_equal(json_array_get_length(migrations), 1);
    assert_string_equal(json_object_get_string_member(shown, "Id"), id);
    assert_string_equal(json_object_get_string_member(shown, "State"), "preparing");
    assert_true(json_object_get_boolean_member(shown, "Encrypted"));
    assert_int_equal(json_object_get_int_member(shown, "Ended"), 0);
    assert_true(json_object_get_int_member(shown, "Started") > 0);
    assert_int_equal(run(host, "status", &table, NULL), VMF_EXIT_OK);
    assert_non_null(strstr(table, id));
    assert_non_null(strstr(table, "preparing"));

    assert_int_equal(run(host, cancel_line, NULL, NULL), VMF_EXIT_OK);
    vmf_wait_property(migration, "state", "cancelled");
    assert_complains(host, cancel_line, VMF_EXIT_FAILED, "over already");
    assert_complains(host, "cancel 01234567", VMF_EXIT_FAILED, "'01234567'");
    assert_complains(host, "postcopy 01234567", VMF_EXIT_FAILED, "'01234567'");
    assert_complains(host, "status 01234567", VMF_EXIT_FAILED, "'01234567'");
}

static void
test_memory(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autoptr(JsonNode) node = run_json(host, "status --memory --json", VMF_EXIT_OK);
    JsonObject *shown = json_node_get_object(node);
    g_autofree char *line = NULL;

    assert_int_equal(json_object_get_int_member(shown, "MemoryBudget"),
                     vmf_bus_manager_get_memory_budget(host->manager));
    assert_int_equal(json_object_get_int_member(shown, "MemoryGranted"), 0);
    assert_int_equal(run(host, "status --memory", &line, NULL), VMF_EXIT_OK);
    assert_true(g_str_has_prefix(line, "memory for pumps: 0 "));
    assert_complains(host, "status --memory 01234567", VMF_EXIT_USAGE, "not about one");
}

static void
test_no_migrations(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autoptr(JsonNode) node = run_json(host, "status --json", VMF_EXIT_OK);
    g_autofree char *table = NULL;

    assert_int_equal(json_array_get_length(json_node_get_array(node)), 0);
    assert_int_equal(run(host, "status", &table, NULL), VMF_EXIT_OK);
    assert_true(g_str_has_prefix(table, "ID "));
    assert_int_equal(strchr(table, '\n') - table, strlen(table) - 1);
}

/* vmferry migrate running silent, which hangs, once it shows its first line. */
static GSubprocess *
start_migrate(VmfHost *host)
{
    g_autoptr(GSubprocessLauncher) launcher =
        g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDERR_PIPE);
    GSubprocess *process;
    char line[4096];
    gssize length;

    g_subprocess_launcher_setenv(launcher, "DBUS_SESSION_BUS_ADDRESS", host->address, TRUE);
    g_subprocess_launcher_setenv(launcher, "VMFERRY_SESSION_BUS", "1", TRUE);
    process = g_subprocess_launcher_spawn(launcher, NULL, g_getenv("VMFERRY"), "migrate", "running",
                                          "silent", NULL);
    assert_non_null(process);
    length = g_input_stream_read(g_subprocess_get_stderr_pipe(process), line, sizeof line - 1, NULL,
                                 NULL);
    assert_true(length > 0);
    line[length] = '\0';
    assert_true(g_str_has_prefix(line, "running -> silent    0 %"));
    return process;
}

static void
assert_ends(GSubprocess *process, int status, const char *words)
{
    g_autofree char *complaint = NULL;

    assert_true(g_subprocess_communicate_utf8(process, NULL, NULL, NULL, &complaint, NULL));
    assert_true(g_subprocess_get_if_exited(process));
    assert_int_equal(g_subprocess_get_exit_status(process), status);
    if (!strstr(complaint, words))
        fail_msg("'%s' does not say '%s'", complaint, words);
}

static void
test_interrupting_cancels(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autoptr(GSubprocess) process = start_migrate(host);
    g_autoptr(VmfBusMigration) migration = NULL;

    g_subprocess_send_signal(process, SIGINT);
    assert_ends(process, VMF_EXIT_CANCELLED, "the guest runs on at the source");
    migration = vmf_host_wait_migration(host);
    vmf_wait_property(migration, "state", "cancelled");
}

static void
test_cancelled_by_somebody_else(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autoptr(GSubprocess) process = start_migrate(host);
    g_autoptr(VmfBusMigration) migration = vmf_host_wait_migration(host);

    assert_true(vmf_bus_migration_call_cancel_sync(migration, NULL, NULL));
    assert_ends(process, VMF_EXIT_CANCELLED, "cancelled");
}

static void
test_the_daemon_goes_away(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autoptr(GSubprocess) process = start_migrate(host);

    vmf_host_kill(host);
    assert_ends(process, VMF_EXIT_NO_DAEMON, "vmferryd does not come back");
}

/* The next one tells how it ended. */
static void
test_the_daemon_comes_back(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autoptr(GSubprocess) process = start_migrate(host);

    vmf_host_kill(host);
    vmf_host_start(host);
    assert_ends(process, VMF_EXIT_FAILED, "vmferryd was restarted before libvirt was asked");
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up_and_start, tear_down)
#define CASE_WITHOUT_DAEMON(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE_WITHOUT_DAEMON(test_help),
        CASE_WITHOUT_DAEMON(test_version),
        CASE_WITHOUT_DAEMON(test_mistakes),
        CASE_WITHOUT_DAEMON(test_no_command),
        CASE_WITHOUT_DAEMON(test_no_daemon),
        CASE(test_peers),
        CASE(test_peers_as_json),
        CASE(test_peers_that_do_not_connect),
        CASE(test_migrate_refused),
        CASE(test_migrate_fails),
        CASE(test_status_and_cancel),
        CASE(test_memory),
        CASE(test_no_migrations),
        CASE(test_interrupting_cancels),
        CASE(test_cancelled_by_somebody_else),
        CASE(test_the_daemon_goes_away),
        CASE(test_the_daemon_comes_back),
    };

    return cmocka_run_group_tests_name("bus-command", tests, NULL, NULL);
}
