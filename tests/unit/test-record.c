/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What one vmferryd leaves for the next: as it was, or refused by name. */
#include "cmocka-all.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "daemon/keeper.h"
#include "daemon/kept.h"
#include "daemon/record.h"
#include "link/features.h"
#include "policy/decision.h"
#include "valgrind.h"
#include "vmferry-bus.h"

#define ID "0123-abcd"
#define UUID "3f1c2a5e-0000-4000-8000-00000000abcd"
#define MUTATIONS 4000

typedef struct {
    char *run;
    char *path;
    VmfMigration *migration;
    VmfBusMigration *bus; /* what a client would see */
} Fixture;

static VmfBusMigration *
bus_of(VmfMigration *migration)
{
    return vmf_bus_object_get_migration(VMF_BUS_OBJECT(vmf_migration_get_object(migration)));
}

static int
set_up(void **state)
{
    const VmfMigrationInit init = {
        .id = ID,
        .domain = "two words",
        .uuid = UUID,
        .peer = "hostb",
        .outgoing = TRUE,
        .encrypted = TRUE,
        .postcopy = TRUE,
        .bandwidth = 24,
        .downtime = 300,
        .delta = {TRUE, 1 << 20, 3},
    };
    Fixture *fixture = g_new0(Fixture, 1);
    g_autofree char *pumps = NULL;

    fixture->run = g_dir_make_tmp("vmf-XXXXXX", NULL);
    pumps = g_build_filename(fixture->run, "pumps", NULL);
    assert_int_equal(g_mkdir(pumps, 0700), 0);
    fixture->path = vmf_record_path(fixture->run, ID);
    fixture->migration = vmf_migration_new(&init);
    fixture->bus = bus_of(fixture->migration);
    *state = fixture;
    return 0;
}

static int
tear_down(void **state)
{
    Fixture *fixture = *state;
    g_autofree char *pumps = g_build_filename(fixture->run, "pumps", NULL);

    g_object_unref(fixture->bus);
    g_object_unref(fixture->migration);
    (void)g_remove(fixture->path);
    assert_int_equal(g_rmdir(pumps), 0); /* nothing else was left */
    g_rmdir(fixture->run);
    g_free(fixture->run);
    g_free(fixture->path);
    g_free(fixture);
    return 0;
}

static GVariant *
read_record(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    GVariant *sections = vmf_record_read(fixture->path, &error);

    if (!sections)
        fail_msg("%s", error->message);
    return sections;
}

static VmfMigration *
restore(Fixture *fixture)
{
    g_autoptr(GVariant) sections = read_record(fixture);
    g_autoptr(GError) error = NULL;
    VmfMigration *migration = vmf_migration_restore(sections, &error);

    if (!migration)
        fail_msg("%s", error->message);
    return migration;
}

/* ---- as it was ---- */

static void
test_a_migration_comes_back(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GPtrArray) decisions = vmf_decisions_new();
    const VmfJob job = {.data_total = 100, .data_remaining = 60, .iteration = 3};
    g_autoptr(VmfMigration) migration = NULL;
    g_autoptr(VmfBusMigration) bus = NULL;
    g_autoptr(GVariant) shown = NULL;
    VmfDelta delta;

    vmf_decisions_add(decisions, g_get_monotonic_time(), "plan", g_strdup("it's 'quoted'\n"),
                      g_strdup("[x]=;#"));
    vmf_keeper_start(fixture->migration, fixture->run);
    vmf_migration_set_state(fixture->migration, VMF_STATE_RUNNING);
    vmf_migration_note_job(fixture->migration, &job);
    vmf_migration_set_decisions(fixture->migration, decisions);
    migration = restore(fixture);
    bus = bus_of(migration);
    assert_string_equal(vmf_migration_get_id(migration), ID);
    assert_string_equal(vmf_migration_get_domain(migration), "two words");
    assert_string_equal(vmf_migration_get_uuid(migration), UUID);
    assert_true(vmf_migration_is_outgoing(migration));
    assert_int_equal(vmf_migration_get_state(migration), VMF_STATE_RUNNING);
    assert_int_equal(vmf_bus_migration_get_bandwidth(bus), 24);
    assert_int_equal(vmf_bus_migration_get_downtime_allowed(bus), 300);
    assert_int_equal(vmf_migration_get_iteration(migration), 3);
    assert_int_equal(vmf_bus_migration_get_started(bus),
                     vmf_bus_migration_get_started(fixture->bus));
    assert_true(vmf_bus_migration_get_progress(bus) > 0.3);
    vmf_migration_get_delta(migration, &delta);
    assert_true(delta.on && delta.cache == 1 << 20 && delta.compression == 3);
    assert_true(vmf_migration_request_postcopy(migration, NULL));
    shown = vmf_migration_get_decisions(migration);
    assert_true(g_variant_equal(shown, vmf_bus_migration_get_decisions(fixture->bus)));
}

/* What was asked for is, where less was granted, too. */
static void
test_asked_and_granted_come_back(void **state)
{
    Fixture *fixture = *state;
    const VmfDelta asked = {TRUE, 1 << 30, VMF_COMPRESSION_AUTO, 3};
    const VmfDelta granted = {TRUE, 1 << 16, VMF_COMPRESSION_AUTO, 0};
    g_autoptr(VmfMigration) migration = NULL;
    VmfDelta delta;

    vmf_keeper_start(fixture->migration, fixture->run);
    assert_true(vmf_migration_request_delta(fixture->migration, &asked, NULL));
    vmf_migration_grant_delta(fixture->migration, &granted);
    vmf_migration_set_state(fixture->migration, VMF_STATE_RUNNING);
    migration = restore(fixture);
    vmf_migration_get_delta(migration, &delta);
    assert_true(delta.on && delta.cache == 1 << 30 && delta.expected == 3);
    vmf_migration_get_granted_delta(migration, &delta);
    assert_true(delta.on && delta.cache == 1 << 16);
    assert_int_equal(delta.compression, VMF_COMPRESSION_AUTO);
}

/* Progress is never less than what somebody may have seen. */
static void
test_progress_does_not_go_back(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(VmfMigration) migration = NULL;
    g_autoptr(VmfBusMigration) bus = NULL;
    const VmfJob less = {.data_total = 100, .data_remaining = 90};

    vmf_keeper_start(fixture->migration, fixture->run);
    vmf_migration_note_outlook(fixture->migration, 0.5, -1);
    migration = restore(fixture);
    bus = bus_of(migration);
    vmf_migration_note_job(migration, &less);
    assert_true(vmf_bus_migration_get_progress(bus) == 0.5);
}

static void
test_stalled_is_running(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(VmfMigration) migration = NULL;
    g_autoptr(VmfBusMigration) bus = NULL;

    vmf_keeper_start(fixture->migration, fixture->run);
    vmf_migration_set_state(fixture->migration, VMF_STATE_RUNNING);
    vmf_migration_set_stalled(fixture->migration, TRUE);
    migration = restore(fixture);
    bus = bus_of(migration);
    assert_true(vmf_migration_is_stalled(migration));
    assert_int_equal(vmf_bus_migration_get_stalls(bus), 1);
    vmf_migration_set_stalled(migration, FALSE);
    assert_string_equal(vmf_bus_migration_get_state(bus), "running");
}

static void
test_it_goes_with_the_end(void **state)
{
    Fixture *fixture = *state;

    vmf_keeper_start(fixture->migration, fixture->run);
    assert_true(g_file_test(fixture->path, G_FILE_TEST_EXISTS));
    vmf_migration_finish(fixture->migration, NULL);
    assert_false(g_file_test(fixture->path, G_FILE_TEST_EXISTS));
    vmf_migration_keep(fixture->migration, "Late", g_variant_new("a{sv}", NULL));
    assert_false(g_file_test(fixture->path, G_FILE_TEST_EXISTS));
}

static void
test_what_is_kept_besides(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(VmfOptions) options = vmf_options_new();
    g_autoptr(VmfOffer) offer = vmf_offer_new(vmf_features());
    const VmfAgreementTerms terms = {ID, "hosta", "hostb", 42};
    g_autoptr(VmfAgreement) agreement =
        vmf_agreement_new(vmf_features(), &terms, offer, offer, NULL);
    const VmfKeptIncoming incoming = {(char *)"there", TRUE, agreement};
    g_autoptr(VmfKeptIncoming) back = NULL;
    g_autoptr(VmfOptions) again = NULL;
    g_autoptr(GVariant) before = vmf_agreement_describe(agreement);
    g_autoptr(GVariant) after = NULL;
    g_autoptr(GVariant) sections = NULL;
    VmfProcessId pump;

    options->timeout = 30;
    options->on_timeout = VMF_ON_TIMEOUT_ABORT;
    vmf_keeper_start(fixture->migration, fixture->run);
    vmf_kept_set_options(fixture->migration, options);
    vmf_kept_set_incoming(fixture->migration, &incoming);
    sections = read_record(fixture);
    again = vmf_kept_get_options(sections, NULL);
    assert_int_equal(again->timeout, 30);
    assert_int_equal(again->on_timeout, VMF_ON_TIMEOUT_ABORT);
    assert_true(vmf_kept_get_pump(sections, &pump, NULL));
    assert_int_equal(pump.pid, 0);
    back = vmf_kept_get_incoming(sections, ID, NULL);
    assert_string_equal(back->name, "there");
    assert_true(back->resume);
    assert_string_equal(vmf_agreement_get_destination(back->agreement), "hostb");
    after = vmf_agreement_describe(back->agreement);
    assert_true(g_variant_equal(before, after));
}

/* ---- refused ---- */

static void
refuse(Fixture *fixture, const char *words)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) sections = vmf_record_read(fixture->path, &error);

    if (sections)
        fail_msg("it was read, and should not: %s", words);
    assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION));
    if (!strstr(error->message, words) || !strstr(error->message, fixture->path))
        fail_msg("'%s' does not say '%s' and the file", error->message, words);
}

static void
put(Fixture *fixture, const char *text)
{
    assert_true(
        g_file_set_contents_full(fixture->path, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
}

static void
test_files_that_are_none(void **state)
{
    Fixture *fixture = *state;
    g_autofree char *much = g_strnfill(VMF_RECORD_BYTES_MAX + 1, '#');

    refuse(fixture, "No such file");
    put(fixture, "");
    refuse(fixture, "version 0");
    put(fixture, "what is this");
    refuse(fixture, "not a key file");
    put(fixture, "[vmferry]\nVersion=2\n");
    refuse(fixture, "version 2, this vmferryd reads 1");
    put(fixture, "[vmferry]\nVersion=1\n[Migration]\nId=0123\n[Pump]\nPid=[[[\n");
    refuse(fixture, "[Pump] Pid is no value");
    put(fixture, much);
    refuse(fixture, "too large");
    g_unlink(fixture->path);
    assert_int_equal(g_mkdir(fixture->path, 0700), 0);
    refuse(fixture, "not a file");
    g_rmdir(fixture->path);
    assert_int_equal(symlink("/etc/hostname", fixture->path), 0);
    refuse(fixture, "symbolic links");
}

static void
test_files_that_others_can_write(void **state)
{
    Fixture *fixture = *state;

    put(fixture, "[vmferry]\nVersion=1\n");
    assert_int_equal(g_chmod(fixture->path, 0620), 0);
    refuse(fixture, "others can write");
}

static void
test_values_that_are_not_sensible(void **state)
{
    static const struct {
        const char *lines;
        const char *words;
    } cases[] = {
        {"", "Id"},
        {"Id='../../etc'\n", "Id"},
        {"Id='" ID "'\nDomain='a/b'\n", "Domain"},
        {"Id='" ID "'\nDomain='a'\nUuid='1'\n", "Uuid"},
        {"Id='" ID "'\nDomain='a'\nUuid='" UUID "'\n", "Peer"},
        {"Id='" ID "'\nDomain='a'\nUuid='" UUID "'\nPeer='b'\nDirection='up'\n", "Direction"},
        {"Id='" ID "'\nDomain='a'\nUuid='" UUID "'\nPeer='b'\nDirection='in'\n", "State"},
        {"Id='" ID "'\nDomain='a'\nUuid='" UUID "'\nPeer='b'\nDirection='in'\nState='completed'\n",
         "'completed' is not one that runs"},
        {"Id='" ID "'\nDomain='a'\nUuid='" UUID
         "'\nPeer='b'\nDirection='in'\nState='running'\nProgress='much'\n",
         "Progress"},
    };
    Fixture *fixture = *state;

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text =
            g_strconcat("[vmferry]\nVersion=1\n[Migration]\n", cases[i].lines, NULL);
        g_autoptr(GVariant) sections = NULL;
        g_autoptr(GError) error = NULL;

        put(fixture, text);
        sections = read_record(fixture);
        assert_null(vmf_migration_restore(sections, &error));
        assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT));
        if (!strstr(error->message, cases[i].words))
            fail_msg("'%s' does not say '%s'", error->message, cases[i].words);
    }
}

/* Whatever is in it, it is read or refused; what is read says nothing that is out of bounds. */
static void
read_anything(Fixture *fixture, const char *text, gsize size)
{
    g_autoptr(GVariant) sections = NULL;
    g_autoptr(VmfMigration) migration = NULL;
    g_autoptr(VmfKeptIncoming) incoming = NULL;
    g_autoptr(VmfOptions) options = NULL;
    VmfProcessId pump;

    assert_true(g_file_set_contents_full(fixture->path, text, (gssize)size,
                                         G_FILE_SET_CONTENTS_NONE, 0600, NULL));
    sections = vmf_record_read(fixture->path, NULL);
    if (!sections)
        return;
    migration = vmf_migration_restore(sections, NULL);
    if (migration)
        assert_true(vmf_migration_id_is_valid(vmf_migration_get_id(migration)));
    incoming = vmf_kept_get_incoming(sections, ID, NULL);
    options = vmf_kept_get_options(sections, NULL);
    if (options)
        assert_true(options->on_timeout <= VMF_ON_TIMEOUT_ABORT);
    (void)vmf_kept_get_pump(sections, &pump, NULL);
}

static void
test_torn_and_mutated(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GRand) random = g_rand_new_with_seed(1);
    g_autofree char *whole = NULL;
    gsize size;

    vmf_keeper_start(fixture->migration, fixture->run);
    assert_true(g_file_get_contents(fixture->path, &whole, &size, NULL));
    for (gsize end = 0; end < size; end += 7)
        read_anything(fixture, whole, end);
    for (int i = 0; i < MUTATIONS; i++) {
        g_autofree char *text = g_memdup2(whole, size);

        for (int n = g_rand_int_range(random, 1, 6); n > 0; n--)
            text[g_rand_int_range(random, 0, (gint32)size)] =
                (char)(n % 2 ? g_rand_int_range(random, 0, 256) : "[]{}()='\n<>"[i % 11]);
        read_anything(fixture, text, size);
    }
}

static void
test_the_list(void **state)
{
    Fixture *fixture = *state;
    g_autofree char *torn = g_strconcat(fixture->path, ".new", NULL);
    g_autoptr(GPtrArray) paths = NULL;

    put(fixture, "");
    assert_true(g_file_set_contents(torn, "half", -1, NULL));
    paths = vmf_record_list(fixture->run);
    assert_int_equal(paths->len, 1);
    assert_string_equal(paths->pdata[0], fixture->path);
    assert_false(g_file_test(torn, G_FILE_TEST_EXISTS));
}

/* ---- processes ---- */

static void
test_processes(void **state)
{
    VmfProcessId self, child;
    siginfo_t ended;
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        pause();
        _exit(0);
    }
    assert_true(vmf_process_id_get(getpid(), &self));
    assert_true(vmf_process_id_lives(&self));
    assert_true(vmf_process_id_get(pid, &child));
    assert_true(vmf_process_id_lives(&child));
    child.started++; /* another one had that number */
    assert_false(vmf_process_id_lives(&child));
    vmf_process_id_kill(&child);
    child.started--;
    assert_true(vmf_process_id_lives(&child));
    vmf_process_id_kill(&child);
    assert_int_equal(waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOWAIT), 0);
    assert_false(vmf_process_id_lives(&child)); /* a zombie */
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_false(vmf_process_id_lives(&child));
    assert_false(vmf_process_id_get(0, &child));
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_migration_comes_back),
        CASE(test_asked_and_granted_come_back),
        CASE(test_progress_does_not_go_back),
        CASE(test_stalled_is_running),
        CASE(test_it_goes_with_the_end),
        CASE(test_what_is_kept_besides),
        CASE(test_files_that_are_none),
        CASE(test_files_that_others_can_write),
        CASE(test_values_that_are_not_sensible),
        CASE(test_torn_and_mutated),
        CASE(test_the_list),
        cmocka_unit_test(test_processes),
    };

    g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_FATAL_MASK);
    vmf_leave_out_under_valgrind("test_processes", "it has no pidfd_open()");
    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
