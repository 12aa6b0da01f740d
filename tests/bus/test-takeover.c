/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vmferryds that are killed, and what the next one makes of what they left. libvirt's test driver
 * knows no migration: what was under way at a source has always ended by then.
 */
#include "fixture.h"

#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <signal.h>

#include "daemon/keeper.h"
#include "daemon/process-id.h"
#include "daemon/record.h"

#define ID "0123-abcd"

/* ---- a migration that prepares; the source's pump is silent ---- */

static VmfBusMigration *
hold(VmfPair *pair)
{
    g_autofree char *reached = vmf_host_path(pair->a, "silent");
    VmfBusMigration *migration;

    vmf_host_set_mood(pair->a, "silent");
    vmf_pair_start(pair);
    migration = vmf_host_migrate(pair->a, "running", "hostb");
    vmf_wait_file(reached);
    return migration;
}

static void
test_the_destination_comes_back(void **state)
{
    VmfPair *pair = *state;
    g_autoptr(VmfBusMigration) out = hold(pair);
    g_autoptr(VmfBusMigration) in = NULL;
    g_autoptr(GError) error = NULL;

    vmf_host_kill(pair->b);
    vmf_host_start(pair->b);
    in = vmf_host_wait_migration(pair->b);
    assert_string_equal(vmf_bus_migration_get_id(in), vmf_bus_migration_get_id(out));
    assert_string_equal(vmf_bus_migration_get_domain(in), "running");
    assert_string_equal(vmf_bus_migration_get_uuid(in), VMF_UUID_RUNNING);
    assert_string_equal(vmf_bus_migration_get_peer(in), "hosta");
    assert_string_equal(vmf_bus_migration_get_direction(in), "in");
    assert_true(vmf_bus_migration_get_encrypted(in));
    vmf_host_assert_logged_once(pair->b, "taken over from an earlier vmferryd");
    vmf_wait_failed(in, "Failed", "before the data link came");
    if (!vmf_bus_migration_call_cancel_sync(out, NULL, &error))
        fail_msg("Cancel: %s", error->message);
    vmf_wait_property(out, "state", "cancelled");
    vmf_host_assert_clean(pair->a);
    vmf_host_assert_clean(pair->b);
}

static void
test_the_source_comes_back(void **state)
{
    VmfPair *pair = *state;
    g_autoptr(VmfBusMigration) before = hold(pair);
    g_autofree char *id = g_strdup(vmf_bus_migration_get_id(before));
    g_autoptr(VmfBusMigration) out = NULL;
    g_autoptr(VmfBusMigration) in = vmf_host_wait_migration(pair->b);

    vmf_host_kill(pair->a);
    vmf_host_start(pair->a);
    out = vmf_host_wait_migration(pair->a);
    assert_string_equal(vmf_bus_migration_get_id(out), id);
    assert_string_equal(vmf_bus_migration_get_direction(out), "out");
    vmf_wait_failed(out, "Failed", "before libvirt was asked; the guest runs on at the source");
    vmf_wait_failed(in, "Failed", "before libvirt was asked");
    vmf_host_assert_clean(pair->a);
    vmf_host_assert_clean(pair->b);
}

/* ---- records made by hand ---- */

/* Listening where a pump of that id does, by the very name that its daemon uses. */
static GSocket *
listen_as_pump(VmfHost *host)
{
    g_autofree char *folder = vmf_host_path(host, "run/pumps");
    g_autofree char *here = g_get_current_dir();
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new("/proc/self/cwd/run/pumps/" ID);
    GSocket *socket =
        g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, NULL);

    assert_int_equal(g_mkdir_with_parents(folder, 0700), 0);
    assert_int_equal(g_chdir(host->directory), 0);
    assert_true(g_socket_bind(socket, address, FALSE, NULL));
    assert_int_equal(g_chdir(here), 0);
    assert_true(g_socket_listen(socket, NULL));
    return socket;
}

static GSubprocess *
start_pump(VmfHost *host, const char *mood, VmfProcessId *ret)
{
    g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_NONE);
    g_autoptr(GSocket) listener = listen_as_pump(host);
    GSubprocess *pump;

    g_subprocess_launcher_setenv(launcher, "STUB_PUMP_MOOD", mood, TRUE);
    g_subprocess_launcher_take_fd(launcher, dup(g_socket_get_fd(listener)), 3);
    g_subprocess_launcher_set_child_setup(launcher, vmf_process_die_with_parent, NULL, NULL);
    pump = g_subprocess_launcher_spawn(launcher, NULL, vmf_program("STUB_PUMP"), "--control-fd",
                                       "3", "--user", "nobody", NULL);
    assert_non_null(pump);
    assert_true(vmf_process_id_get(
        (pid_t)g_ascii_strtoll(g_subprocess_get_identifier(pump), NULL, 10), ret));
    return pump;
}

/* What a vmferryd that carried the guest "running" to hostb would have left. */
static void
leave_record(VmfHost *host, const VmfProcessId *pump)
{
    const VmfMigrationInit init = {.id = ID,
                                   .domain = "running",
                                   .uuid = VMF_UUID_RUNNING,
                                   .peer = "hostb",
                                   .outgoing = TRUE,
                                   .downtime = 300};
    const VmfJob job = {.data_total = 100, .data_remaining = 50, .iteration = 2};
    g_autoptr(VmfMigration) migration = vmf_migration_new(&init);
    g_autofree char *pumps = vmf_host_path(host, "run/pumps");
    g_autofree char *run = vmf_host_path(host, "run");
    GVariantDict process;

    assert_int_equal(g_mkdir_with_parents(pumps, 0700), 0);
    vmf_migration_set_state(migration, VMF_STATE_RUNNING);
    vmf_migration_note_job(migration, &job);
    g_variant_dict_init(&process, NULL);
    g_variant_dict_insert(&process, "Pid", "i", pump->pid);
    g_variant_dict_insert(&process, "Started", "t", pump->started);
    vmf_migration_keep(migration, "Pump", g_variant_dict_end(&process));
    vmf_keeper_start(migration, run);
}

static void
expect_the_end(VmfPair *pair)
{
    g_autoptr(VmfBusMigration) out = NULL;

    vmf_host_start(pair->a);
    out = vmf_host_wait_migration(pair->a);
    assert_string_equal(vmf_bus_migration_get_id(out), ID);
    assert_int_equal(vmf_bus_migration_get_iteration(out), 2);
    vmf_wait_failed(out, "LibvirtFailed", "as vmferryd was restarted meanwhile");
    vmf_host_assert_clean(pair->a);
}

/* A pump in that mood, to its end. */
static GSubprocess *
end_with_pump(VmfPair *pair, const char *mood)
{
    VmfProcessId id;
    GSubprocess *pump = start_pump(pair->a, mood, &id);

    leave_record(pair->a, &id);
    expect_the_end(pair);
    g_subprocess_wait(pump, NULL, NULL);
    return pump;
}

static void
test_a_pump_that_lives(void **state)
{
    g_autoptr(GSubprocess) pump = end_with_pump(*state, "");

    assert_true(g_subprocess_get_if_exited(pump)); /* it was told to */
}

static void
test_a_pump_that_does_not_obey(void **state)
{
    g_autoptr(GSubprocess) pump = end_with_pump(*state, "stubborn");

    assert_true(g_subprocess_get_if_signaled(pump));
    assert_int_equal(g_subprocess_get_term_sig(pump), SIGKILL);
}

/* Another process has the pump's number: nothing is done to it. */
static void
test_a_number_that_another_has(void **state)
{
    VmfPair *pair = *state;
    VmfProcessId id;
    g_autoptr(GSubprocess) other =
        g_subprocess_new(G_SUBPROCESS_FLAGS_NONE, NULL, "sleep", "60", NULL);

    assert_true(vmf_process_id_get(
        (pid_t)g_ascii_strtoll(g_subprocess_get_identifier(other), NULL, 10), &id));
    id.started--;
    leave_record(pair->a, &id);
    expect_the_end(pair);
    id.started++;
    assert_true(vmf_process_id_lives(&id));
    g_subprocess_force_exit(other);
    g_subprocess_wait(other, NULL, NULL);
}

/* ---- records that are of no use ---- */

static void
write_record(VmfHost *host, const char *name, const char *text)
{
    g_autofree char *below = g_strconcat("run/pumps/", name, ".state", NULL);
    g_autofree char *path = vmf_host_path(host, below);
    g_autofree char *folder = g_path_get_dirname(path);

    assert_int_equal(g_mkdir_with_parents(folder, 0700), 0);
    assert_true(g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
}

static void
test_records_of_no_use(void **state)
{
    static const char *const sensible =
        "[vmferry]\nVersion=1\n[Migration]\nId='0123-abcd'\nDomain='running'\nUuid="
        "'" VMF_UUID_RUNNING "'\nPeer='hostx'\nDirection='in'\nState='running'\n";
    VmfPair *pair = *state;

    write_record(pair->a, "00000001", "[vmferry]\nVersion=9\n");
    write_record(pair->a, "00000002", "[vmferry]\nVersion=1\n[Migration]\nId='00000");
    write_record(pair->a, "00000003", sensible); /* which is about another one */
    write_record(pair->a, "0123-abcd", sensible);
    vmf_host_start(pair->a);
    assert_null(vmf_host_find_migration(pair->a));
    vmf_host_assert_logged_once(pair->a, "00000001.state: version 9");
    vmf_host_assert_logged_once(pair->a, "00000002.state: [Migration] Id is no value");
    vmf_host_assert_logged_once(pair->a, "00000003.state: Id is not that of the file's name");
    vmf_host_assert_logged_once(pair->a, "0123-abcd.state: no peer is called 'hostx' any more");
    vmf_host_assert_clean(pair->a);
}

#define CASE(function)                                                                             \
    cmocka_unit_test_setup_teardown(function, vmf_pair_set_up, vmf_pair_tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_the_destination_comes_back), CASE(test_the_source_comes_back),
        CASE(test_a_pump_that_lives),          CASE(test_a_pump_that_does_not_obey),
        CASE(test_a_number_that_another_has),  CASE(test_records_of_no_use),
    };

    return cmocka_run_group_tests_name("bus-takeover", tests, NULL, NULL);
}
