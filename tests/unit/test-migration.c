/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka-all.h"

#include <gio/gio.h>

#include "base/error.h"
#include "daemon/migration.h"
#include "vmferry-bus.h"

#define UUID "3f1c2a5e-0000-4000-8000-00000000abcd"

typedef struct {
    VmfMigration *migration;
    VmfBusMigration *bus; /* what a client would see */
    int finished;
    int cancels;
} Fixture;

static void
on_finished(VmfMigration *migration, Fixture *fixture)
{
    assert_true(vmf_migration_is_finished(migration));
    fixture->finished++;
}

static void
on_cancel(VmfMigration *migration, Fixture *fixture)
{
    fixture->cancels++;
}

static int
set_up_direction(void **state, gboolean outgoing)
{
    const VmfMigrationInit init = {
        .id = "0123-abcd",
        .domain = "web",
        .uuid = UUID,
        .peer = "hostb",
        .outgoing = outgoing,
        .encrypted = TRUE,
    };
    Fixture *fixture = g_new0(Fixture, 1);

    fixture->migration = vmf_migration_new(&init);
    fixture->bus =
        vmf_bus_object_get_migration(VMF_BUS_OBJECT(vmf_migration_get_object(fixture->migration)));
    g_signal_connect(fixture->migration, "finished", G_CALLBACK(on_finished), fixture);
    g_signal_connect(fixture->migration, "cancel", G_CALLBACK(on_cancel), fixture);
    *state = fixture;
    return 0;
}

static int
set_up(void **state)
{
    return set_up_direction(state, TRUE);
}

static int
set_up_incoming(void **state)
{
    return set_up_direction(state, FALSE);
}

static int
tear_down(void **state)
{
    Fixture *fixture = *state;

    g_object_unref(fixture->bus);
    g_object_unref(fixture->migration);
    g_free(fixture);
    return 0;
}

static void
assert_error(Fixture *fixture, const char *name, const char *message)
{
    const char *got_name;
    const char *got_message;

    g_variant_get(vmf_bus_migration_get_error(fixture->bus), "(&s&s)", &got_name, &got_message);
    assert_string_equal(got_name, name);
    assert_string_equal(got_message, message);
}

static void
test_a_new_migration(void **state)
{
    Fixture *fixture = *state;
    gint64 now = g_get_real_time();

    assert_string_equal(vmf_migration_get_id(fixture->migration), "0123-abcd");
    assert_string_equal(
        g_dbus_object_get_object_path(G_DBUS_OBJECT(vmf_migration_get_object(fixture->migration))),
        "/org/vmferry1/migration/0123_abcd");
    assert_int_equal(vmf_migration_get_state(fixture->migration), VMF_STATE_PREPARING);
    assert_false(vmf_migration_is_finished(fixture->migration));
    assert_string_equal(vmf_bus_migration_get_id(fixture->bus), "0123-abcd");
    assert_string_equal(vmf_bus_migration_get_domain(fixture->bus), "web");
    assert_string_equal(vmf_bus_migration_get_uuid(fixture->bus), UUID);
    assert_string_equal(vmf_bus_migration_get_peer(fixture->bus), "hostb");
    assert_string_equal(vmf_bus_migration_get_direction(fixture->bus), "out");
    assert_string_equal(vmf_bus_migration_get_engine(fixture->bus), "pump");
    assert_string_equal(vmf_bus_migration_get_origin(fixture->bus), "vmferry");
    assert_true(vmf_bus_migration_get_encrypted(fixture->bus));
    assert_string_equal(vmf_bus_migration_get_state(fixture->bus), "preparing");
    assert_in_range(vmf_bus_migration_get_started(fixture->bus), now - 60 * G_USEC_PER_SEC, now);
    assert_int_equal(vmf_bus_migration_get_ended(fixture->bus), 0);
    assert_error(fixture, "", "");
}

static void
test_ids(void **state)
{
    const char *good[] = {"01234567", "3f1c2a5e-0000-4000-8000-00000000abcd"};
    const char *bad[] = {"",         "0123456",   "3f1c2a5e-0000-4000-8000-00000000abcd0",
                         "0123456G", "../../../", "0123456A",
                         "0123 567", "0123_567"};

    for (guint i = 0; i < G_N_ELEMENTS(good); i++)
        assert_true(vmf_migration_id_is_valid(good[i]));
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_false(vmf_migration_id_is_valid(bad[i]));
}

static void
test_states_go_forward_only(void **state)
{
    Fixture *fixture = *state;
    const struct {
        VmfState set;
        const char *expected;
    } steps[] = {
        {VMF_STATE_PREPARING, "preparing"}, {VMF_STATE_RUNNING, "running"},
        {VMF_STATE_PREPARING, "running"},   {VMF_STATE_RUNNING, "running"},
        {VMF_STATE_SWITCHING, "switching"}, {VMF_STATE_RUNNING, "switching"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(steps); i++) {
        vmf_migration_set_state(fixture->migration, steps[i].set);
        assert_string_equal(vmf_bus_migration_get_state(fixture->bus), steps[i].expected);
    }
    vmf_migration_finish(fixture->migration, NULL);
    vmf_migration_set_state(fixture->migration, VMF_STATE_SWITCHING);
    assert_string_equal(vmf_bus_migration_get_state(fixture->bus), "completed");
    assert_int_equal(vmf_migration_get_state(fixture->migration), VMF_STATE_COMPLETED);
}

/* What the state was shows through again. */
static void
test_stalled(void **state)
{
    Fixture *fixture = *state;
    gint64 now = g_get_real_time();
    g_autoptr(GError) error = NULL;

    vmf_migration_set_state(fixture->migration, VMF_STATE_RUNNING);
    vmf_migration_set_stalled(fixture->migration, TRUE);
    vmf_migration_set_stalled(fixture->migration, TRUE);
    vmf_migration_note_try(fixture->migration);
    vmf_migration_note_try(fixture->migration);
    assert_string_equal(vmf_bus_migration_get_state(fixture->bus), "stalled");
    assert_int_equal(vmf_migration_get_state(fixture->migration), VMF_STATE_RUNNING);
    assert_in_range(vmf_bus_migration_get_stalled_since(fixture->bus), now, g_get_real_time());
    assert_int_equal(vmf_bus_migration_get_tries(fixture->bus), 2);
    assert_int_equal(vmf_bus_migration_get_stalls(fixture->bus), 1);
    vmf_migration_set_state(fixture->migration, VMF_STATE_SWITCHING);
    assert_string_equal(vmf_bus_migration_get_state(fixture->bus), "stalled");
    vmf_migration_set_stalled(fixture->migration, FALSE);
    assert_string_equal(vmf_bus_migration_get_state(fixture->bus), "switching");
    assert_int_equal(vmf_bus_migration_get_stalled_since(fixture->bus), 0);
    assert_int_equal(vmf_bus_migration_get_tries(fixture->bus), 0);
    vmf_migration_set_stalled(fixture->migration, TRUE);
    error = g_error_new_literal(VMF_ERROR, VMF_ERROR_LINK_BROKEN, "gone");
    vmf_migration_finish(fixture->migration, error);
    assert_string_equal(vmf_bus_migration_get_state(fixture->bus), "failed");
    assert_int_equal(vmf_bus_migration_get_stalled_since(fixture->bus), 0);
    assert_int_equal(vmf_bus_migration_get_stalls(fixture->bus), 2);
    vmf_migration_set_stalled(fixture->migration, TRUE);
    assert_string_equal(vmf_bus_migration_get_state(fixture->bus), "failed");
}

static void
test_completion(void **state)
{
    Fixture *fixture = *state;
    gint64 now;

    vmf_migration_note_job(fixture->migration,
                           &(VmfJob){.data_total = 100, .data_remaining = 40, .bandwidth = 10});
    vmf_migration_finish(fixture->migration, NULL);
    now = g_get_real_time();
    assert_string_equal(vmf_bus_migration_get_state(fixture->bus), "completed");
    assert_true(vmf_bus_migration_get_progress(fixture->bus) == 1);
    assert_int_equal(vmf_bus_migration_get_remaining(fixture->bus), 0);
    assert_int_equal(vmf_bus_migration_get_expected_end(fixture->bus), 0);
    assert_in_range(vmf_bus_migration_get_ended(fixture->bus),
                    vmf_bus_migration_get_started(fixture->bus), now);
    assert_error(fixture, "", "");
    assert_int_equal(fixture->finished, 1);
}

static void
assert_finish(Fixture *fixture, const GError *error, const char *state, const char *name)
{
    vmf_migration_finish(fixture->migration, error);
    assert_string_equal(vmf_bus_migration_get_state(fixture->bus), state);
    assert_error(fixture, name, error->message);
    assert_int_equal(fixture->finished, 1);
    assert_true(vmf_bus_migration_get_progress(fixture->bus) < 1);
}

static void
test_failure_keeps_its_name(void **state)
{
    g_autoptr(GError) error =
        g_error_new_literal(VMF_ERROR, VMF_ERROR_PEER_UNREACHABLE, "no answer");

    assert_finish(*state, error, "failed", "org.vmferry1.Error.PeerUnreachable");
}

static void
test_cancelled_is_a_state_of_its_own(void **state)
{
    g_autoptr(GError) error = g_error_new_literal(VMF_ERROR, VMF_ERROR_CANCELLED, "asked for");

    assert_finish(*state, error, "cancelled", "org.vmferry1.Error.Cancelled");
}

static void
test_a_foreign_error_is_a_plain_failure(void **state)
{
    /* the number of VMF_ERROR_CANCELLED in another domain must not count as ours */
    g_autoptr(GError) error = g_error_new_literal(G_IO_ERROR, VMF_ERROR_CANCELLED, "what?");

    assert_finish(*state, error, "failed", "org.vmferry1.Error.Failed");
}

static void
test_the_first_end_counts(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GError) error = g_error_new_literal(VMF_ERROR, VMF_ERROR_PUMP_FAILED, "late");
    guint64 ended;

    vmf_migration_finish(fixture->migration, NULL);
    ended = vmf_bus_migration_get_ended(fixture->bus);
    vmf_migration_finish(fixture->migration, error);
    vmf_migration_finish(fixture->migration, NULL);
    assert_string_equal(vmf_bus_migration_get_state(fixture->bus), "completed");
    assert_error(fixture, "", "");
    assert_int_equal(vmf_bus_migration_get_ended(fixture->bus), ended);
    assert_int_equal(fixture->finished, 1);
}

static gpointer
finish_in_a_thread(gpointer migration)
{
    vmf_migration_finish(migration, NULL);
    return NULL;
}

/* Whichever thread ends it, the signal comes on the main loop. */
static void
test_finished_is_emitted_on_the_main_loop(void **state)
{
    Fixture *fixture = *state;
    GMainContext *context = g_main_context_default();
    GThread *thread;

    assert_true(g_main_context_acquire(context));
    thread = g_thread_new("finish", finish_in_a_thread, fixture->migration);
    g_thread_join(thread);
    assert_true(vmf_migration_is_finished(fixture->migration));
    assert_int_equal(fixture->finished, 0);
    while (fixture->finished == 0)
        g_main_context_iteration(context, TRUE);
    g_main_context_release(context);
    assert_int_equal(fixture->finished, 1);
}

static double
progress_after(Fixture *fixture, guint64 total, guint64 remaining)
{
    vmf_migration_note_job(fixture->migration,
                           &(VmfJob){.data_total = total, .data_remaining = remaining});
    return vmf_bus_migration_get_progress(fixture->bus);
}

static void
test_progress_never_goes_back(void **state)
{
    Fixture *fixture = *state;
    double half;

    assert_true(progress_after(fixture, 1000, 1000) == 0);
    half = progress_after(fixture, 1000, 500);
    assert_true(half > 0.45 && half < 0.5);
    assert_true(progress_after(fixture, 1000, 900) == half);
    assert_true(progress_after(fixture, 0, 0) == half);
    assert_true(progress_after(fixture, 10, 5000) == half);
    assert_true(progress_after(fixture, 1000, 250) > half);
    /* 1 is for "completed" alone */
    assert_true(progress_after(fixture, 1000, 0) < 1);
    assert_int_equal(vmf_bus_migration_get_remaining(fixture->bus), 0);
}

static void
test_what_libvirt_says(void **state)
{
    Fixture *fixture = *state;
    const VmfJob job = {
        .data_total = 1000 << 20,
        .data_remaining = 100 << 20,
        .dirty_rate = 2560, /* pages of 4 KiB: 10 MiB/s */
        .page_size = 4096,
        .bandwidth = 60 << 20,
        .iteration = 3,
        .downtime = 12,
    };
    gint64 end;

    vmf_migration_note_job(fixture->migration, &job);
    assert_int_equal(vmf_bus_migration_get_remaining(fixture->bus), 100 << 20);
    assert_int_equal(vmf_bus_migration_get_dirty_rate(fixture->bus), 2560);
    assert_int_equal(vmf_bus_migration_get_iteration(fixture->bus), 3);
    assert_int_equal(vmf_bus_migration_get_downtime(fixture->bus), 12);
    /* 100 MiB at 60 - 10 MiB/s: in two seconds */
    end = (gint64)vmf_bus_migration_get_expected_end(fixture->bus) - g_get_real_time();
    assert_in_range(end, G_USEC_PER_SEC, 2 * G_USEC_PER_SEC);
    vmf_migration_note_iteration(fixture->migration, 2);
    assert_int_equal(vmf_bus_migration_get_iteration(fixture->bus), 3);
    vmf_migration_note_iteration(fixture->migration, 4);
    assert_int_equal(vmf_bus_migration_get_iteration(fixture->bus), 4);
}

static void
test_an_end_that_cannot_be_known(void **state)
{
    Fixture *fixture = *state;
    const VmfJob job = {
        .data_total = 1000, .data_remaining = 500, .dirty_rate = 100, .bandwidth = 100 * 4096};

    vmf_migration_note_job(fixture->migration, &job);
    assert_int_equal(vmf_bus_migration_get_expected_end(fixture->bus), 0);
}

static gpointer
wait_for_figures(gpointer migration)
{
    gint64 start = g_get_monotonic_time();

    vmf_migration_wait_figures(migration, 10000);
    return GINT_TO_POINTER(g_get_monotonic_time() - start < 5 * (gint64)G_USEC_PER_SEC);
}

/* Who waits for them, so that they are told before the end is, goes on when they come, or late. */
static void
test_the_last_figures_are_waited_for(void **state)
{
    Fixture *fixture = *state;
    gint64 start = g_get_monotonic_time();
    g_autoptr(GThread) thread = NULL;

    vmf_migration_wait_figures(fixture->migration, 50);
    assert_true(g_get_monotonic_time() - start >= 50000);
    thread = g_thread_new("waits", wait_for_figures, fixture->migration);
    vmf_migration_note_job(fixture->migration, &(VmfJob){.downtime = 7});
    assert_true(GPOINTER_TO_INT(g_thread_join(g_steal_pointer(&thread))));
    assert_int_equal(vmf_bus_migration_get_downtime(fixture->bus), 7);
}

/* The completed statistics may come after the end; only the downtime is news then. */
static void
test_statistics_after_the_end(void **state)
{
    Fixture *fixture = *state;

    vmf_migration_finish(fixture->migration, NULL);
    vmf_migration_note_job(fixture->migration,
                           &(VmfJob){.data_total = 10, .data_remaining = 5, .downtime = 42});
    assert_int_equal(vmf_bus_migration_get_downtime(fixture->bus), 42);
    assert_int_equal(vmf_bus_migration_get_remaining(fixture->bus), 0);
    assert_true(vmf_bus_migration_get_progress(fixture->bus) == 1);
}

static void
note_statistics(Fixture *fixture)
{
    g_autoptr(GVariant) statistics = g_variant_ref_sink(g_variant_new_parsed(
        "{'bytes-from-qemu': <@t 1>, 'bytes-to-qemu': <@t 2>, 'bytes-wire-out': <@t 3>,"
        " 'bytes-wire-in': <@t 4>, 'link-rate': <@t 5>, 'buffered': <'of no number'>}"));

    vmf_migration_note_statistics(fixture->migration, statistics, 1);
    assert_int_equal(vmf_bus_migration_get_link_rate(fixture->bus), 0);
}

/* The pump's own estimate is about what may be in flight, and jumps with every burst. */
static void
note_wire(Fixture *fixture, guint64 bytes, double seconds)
{
    g_autoptr(GVariant) statistics =
        g_variant_ref_sink(g_variant_new_parsed("{'bytes-wire-out': <%t>}", bytes));

    vmf_migration_note_statistics(fixture->migration, statistics,
                                  G_USEC_PER_SEC + (gint64)(seconds * G_USEC_PER_SEC));
}

static void
test_the_link_rate(void **state)
{
    Fixture *fixture = *state;

    note_wire(fixture, 500, 0);
    assert_int_equal(vmf_bus_migration_get_link_rate(fixture->bus), 0);
    /* at first, of as much time as there is */
    note_wire(fixture, 625, 0.25);
    assert_int_equal(vmf_bus_migration_get_link_rate(fixture->bus), 500);
    note_wire(fixture, 750, 0.5);
    assert_int_equal(vmf_bus_migration_get_link_rate(fixture->bus), 500);
    note_wire(fixture, 2750, 2.5);
    assert_int_equal(vmf_bus_migration_get_link_rate(fixture->bus), 1000);
    /* nothing for half a second */
    note_wire(fixture, 2750, 3);
    assert_int_equal(vmf_bus_migration_get_link_rate(fixture->bus), 500);
    /* no time at all */
    note_wire(fixture, 3000, 3);
    assert_int_equal(vmf_bus_migration_get_link_rate(fixture->bus), 500);
}

static void
test_the_sources_statistics(void **state)
{
    Fixture *fixture = *state;

    note_statistics(fixture);
    assert_int_equal(vmf_bus_migration_get_bytes_from_qemu(fixture->bus), 1);
    assert_int_equal(vmf_bus_migration_get_bytes_on_wire(fixture->bus), 3);
}

static void
test_the_destinations_statistics(void **state)
{
    Fixture *fixture = *state;

    assert_string_equal(vmf_bus_migration_get_direction(fixture->bus), "in");
    note_statistics(fixture);
    assert_int_equal(vmf_bus_migration_get_bytes_from_qemu(fixture->bus), 2);
    assert_int_equal(vmf_bus_migration_get_bytes_on_wire(fixture->bus), 4);
}

static void
test_cancel_until_it_is_over(void **state)
{
    Fixture *fixture = *state;

    assert_true(vmf_migration_request_cancel(fixture->migration, NULL));
    assert_true(vmf_migration_request_cancel(fixture->migration, NULL));
    assert_int_equal(fixture->cancels, 2);
    assert_int_equal(vmf_migration_get_state(fixture->migration), VMF_STATE_PREPARING);
    vmf_migration_finish(fixture->migration, NULL);
    assert_false(vmf_migration_request_cancel(fixture->migration, NULL));
    assert_int_equal(fixture->cancels, 2);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_new_migration),
        cmocka_unit_test(test_ids),
        CASE(test_states_go_forward_only),
        CASE(test_completion),
        CASE(test_stalled),
        CASE(test_the_last_figures_are_waited_for),
        CASE(test_failure_keeps_its_name),
        CASE(test_cancelled_is_a_state_of_its_own),
        CASE(test_a_foreign_error_is_a_plain_failure),
        CASE(test_the_first_end_counts),
        CASE(test_finished_is_emitted_on_the_main_loop),
        CASE(test_progress_never_goes_back),
        CASE(test_what_libvirt_says),
        CASE(test_an_end_that_cannot_be_known),
        CASE(test_statistics_after_the_end),
        CASE(test_the_sources_statistics),
        CASE(test_the_link_rate),
        cmocka_unit_test_setup_teardown(test_the_destinations_statistics, set_up_incoming,
                                        tear_down),
        CASE(test_cancel_until_it_is_over),
    };

    return cmocka_run_group_tests_name("migration", tests, NULL, NULL);
}
