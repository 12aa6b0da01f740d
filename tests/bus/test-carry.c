/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two daemons, and a migration from Prepare to libvirt's call, which libvirt's test driver always
 * refuses: whatever ends a migration, nothing of it is left on either host.
 */
#include "fixture.h"

#define OTHER_UUID "55555555-5555-4555-8555-555555555555"

static void
assert_both_clean(VmfPair *pair)
{
    vmf_host_assert_clean(pair->a);
    vmf_host_assert_clean(pair->b);
}

/* ---- as far as libvirt ---- */

static void
test_libvirt_refuses(void **state)
{
    VmfPair *pair = *state;
    g_autoptr(VmfBusMigration) out = NULL;
    g_autoptr(VmfBusMigration) in = NULL;

    vmf_pair_start(pair);
    out = vmf_host_migrate(pair->a, "running", "hostb");
    vmf_wait_failed(out, "LibvirtFailed", "libvirt: ");
    in = vmf_host_wait_migration(pair->b);
    vmf_wait_failed(in, "LibvirtFailed", "libvirt: ");
    assert_string_equal(vmf_bus_migration_get_id(in), vmf_bus_migration_get_id(out));
    assert_string_equal(vmf_bus_migration_get_domain(in), "running");
    assert_string_equal(vmf_bus_migration_get_uuid(in), VMF_UUID_RUNNING);
    assert_string_equal(vmf_bus_migration_get_peer(in), "hosta");
    assert_string_equal(vmf_bus_migration_get_direction(in), "in");
    assert_true(vmf_bus_migration_get_encrypted(in));
    assert_both_clean(pair);
}

/* Ids, tickets and paths are free again: the same guest may try as often as it likes. */
static void
test_again_and_again(void **state)
{
    VmfPair *pair = *state;

    vmf_pair_start(pair);
    for (int i = 0; i < 5; i++) {
        g_autoptr(VmfBusMigration) out = vmf_host_migrate(pair->a, "running", "hostb");

        vmf_wait_failed(out, "LibvirtFailed", NULL);
    }
    assert_both_clean(pair);
}

/* ---- what the destination refuses ---- */

static void
test_a_guest_that_is_there_already(void **state)
{
    VmfPair *pair = *state;
    g_autoptr(VmfBusMigration) first = NULL;
    g_autoptr(VmfBusMigration) second = NULL;

    vmf_host_set_guests(pair->b, "<node>" VMF_GUEST_XML("other", VMF_UUID_RUNNING)
                                     VMF_GUEST_XML("second", OTHER_UUID) "</node>");
    vmf_pair_start(pair);
    first = vmf_host_migrate(pair->a, "running", "hostb");
    vmf_wait_failed(first, "DomainExists", "'other'");
    second = vmf_host_migrate(pair->a, "second", "hostb");
    vmf_wait_failed(second, "DomainExists", OTHER_UUID);
    assert_both_clean(pair);
}

static void
test_the_destinations_libvirt_is_away(void **state)
{
    VmfPair *pair = *state;
    g_autoptr(VmfBusMigration) out = NULL;

    vmf_host_set(pair->b, "Libvirt", "Uri", "qemu+unix:///system?socket=/nowhere");
    vmf_pair_start(pair);
    out = vmf_host_migrate(pair->a, "running", "hostb");
    vmf_wait_failed(out, "LibvirtUnavailable", "/nowhere");
    assert_null(vmf_host_find_migration(pair->b)); /* the check said so */
    assert_both_clean(pair);
}

/* The source's libvirtd would reach the destination's through the pump, which takes leave to. */
static void
test_libvirt_through_the_pump_takes_leave(void **state)
{
    VmfPair *pair = *state;
    g_autoptr(VmfBusMigration) out = NULL;

    vmf_host_add_peer(pair->a, "hostb", pair->b->port, "LibvirtUri=pump");
    vmf_pair_start(pair);
    out = vmf_host_migrate(pair->a, "running", "hostb");
    vmf_wait_failed(out, "FeatureMissing", "MayUseLibvirt");
    assert_null(vmf_host_find_migration(pair->b));
}

static void
test_another_run_directory(void **state)
{
    VmfPair *pair = *state;
    g_autofree char *other = vmf_host_path(pair->b, "other");
    g_autoptr(VmfBusMigration) out = NULL;
    g_autoptr(VmfBusMigration) in = NULL;

    vmf_host_set(pair->b, "Paths", "RunDirectory", "/proc/self/cwd/other");
    vmf_pair_start(pair);
    out = vmf_host_migrate(pair->a, "running", "hostb");
    vmf_wait_failed(out, "NotSupported", "RunDirectory");
    in = vmf_host_wait_migration(pair->b);
    vmf_wait_failed(in, "NotSupported", "RunDirectory");
    assert_both_clean(pair);
    assert_true(g_file_test(other, G_FILE_TEST_IS_DIR));
}

/* A migration that has come to the start of the source's pump, which is "silent", and stays there.
 */
static VmfBusMigration *
hold(VmfHost *host, const char *guest)
{
    g_autofree char *reached = vmf_host_path(host, "silent");
    VmfBusMigration *migration = vmf_host_migrate(host, guest, "hostb");

    vmf_wait_file(reached);
    return migration;
}

static void
cancel(VmfBusMigration *migration)
{
    g_autoptr(GError) error = NULL;

    if (!vmf_bus_migration_call_cancel_sync(migration, NULL, &error))
        fail_msg("Cancel: %s", error->message);
    vmf_wait_property(migration, "state", "cancelled");
}

static void
test_the_destinations_limit(void **state)
{
    VmfPair *pair = *state;
    g_autoptr(VmfBusMigration) first = NULL;
    g_autoptr(VmfBusMigration) second = NULL;
    g_autoptr(VmfBusMigration) in = NULL;

    vmf_host_set(pair->b, "Limits", "Migrations", "1");
    vmf_host_set_mood(pair->a, "silent");
    vmf_pair_start(pair);
    first = hold(pair->a, "running");
    in = vmf_host_wait_migration(pair->b);
    second = vmf_host_migrate(pair->a, "second", "hostb");
    vmf_wait_failed(second, "LimitReached", "Migrations");
    cancel(first);
    assert_both_clean(pair);
}

/* Two hosts send different guests of one name: they would share a socket at the destination. */
static void
test_two_guests_of_one_name(void **state)
{
    VmfPair *pair = *state;
    VmfHost *c = vmf_lab_add_host(pair->lab, "hostc");
    g_autoptr(VmfBusMigration) first = NULL;
    g_autoptr(VmfBusMigration) second = NULL;
    g_autoptr(VmfBusMigration) in = NULL;

    vmf_host_add_peer(pair->b, "hostc", c->port, NULL);
    vmf_host_add_peer(c, "hostb", pair->b->port, NULL);
    vmf_host_set_guests(c, "<node>" VMF_GUEST_XML("running", OTHER_UUID) "</node>");
    vmf_host_set_mood(pair->a, "silent");
    vmf_pair_start(pair);
    vmf_host_start(c);
    first = hold(pair->a, "running");
    in = vmf_host_wait_migration(pair->b);
    second = vmf_host_migrate(c, "running", "hostb");
    vmf_wait_failed(second, "AlreadyMigrating", "'running'");
    assert_string_equal(vmf_bus_migration_get_state(in), "preparing");
    cancel(first);
    assert_both_clean(pair);
    vmf_host_assert_clean(c);
    vmf_host_stop(c);
}

/* ---- cancelling ---- */

static void
test_cancel_at_the_source(void **state)
{
    VmfPair *pair = *state;
    g_autoptr(VmfBusMigration) out = NULL;
    g_autoptr(VmfBusMigration) in = NULL;

    vmf_host_set_mood(pair->a, "silent");
    vmf_pair_start(pair);
    out = hold(pair->a, "running");
    in = vmf_host_wait_migration(pair->b);
    cancel(out);
    vmf_wait_property(in, "state", "cancelled");
    vmf_assert_error_property(vmf_bus_migration_get_error(in), "Cancelled", NULL);
    assert_both_clean(pair);
}

static void
test_cancel_at_the_destination(void **state)
{
    VmfPair *pair = *state;
    g_autoptr(VmfBusMigration) out = NULL;
    g_autoptr(VmfBusMigration) in = NULL;
    GError *error = NULL;

    vmf_host_set_mood(pair->a, "silent");
    vmf_pair_start(pair);
    out = hold(pair->a, "running");
    in = vmf_host_wait_migration(pair->b);
    cancel(in);
    vmf_wait_property(out, "state", "cancelled");
    vmf_bus_migration_call_cancel_sync(in, NULL, &error);
    vmf_assert_error(error, "NoSuchMigration", NULL);
    assert_both_clean(pair);
}

/* A daemon that ends says so where nothing was touched yet. */
static void
test_the_source_ends_while_it_prepares(void **state)
{
    VmfPair *pair = *state;
    g_autoptr(VmfBusMigration) out = NULL;
    g_autoptr(VmfBusMigration) in = NULL;

    vmf_host_set_mood(pair->a, "silent");
    vmf_pair_start(pair);
    out = hold(pair->a, "running");
    in = vmf_host_wait_migration(pair->b);
    vmf_host_stop(pair->a);
    vmf_wait_property(in, "state", "cancelled");
    vmf_host_assert_clean(pair->b);
}

/* ---- pumps in a bad mood ---- */

static void
assert_a_dying_pump_is_told(VmfPair *pair, VmfHost *host)
{
    g_autoptr(VmfBusMigration) out = NULL;
    g_autoptr(VmfBusMigration) in = NULL;

    vmf_host_set_mood(host, "dies");
    vmf_pair_start(pair);
    out = vmf_host_migrate(pair->a, "running", "hostb");
    vmf_wait_failed(out, "PumpFailed", "stub-pump");
    in = vmf_host_wait_migration(pair->b);
    vmf_wait_failed(in, "PumpFailed", NULL);
    assert_both_clean(pair);
}

static void
test_the_sources_pump_dies(void **state)
{
    assert_a_dying_pump_is_told(*state, ((VmfPair *)*state)->a);
}

static void
test_the_destinations_pump_dies(void **state)
{
    assert_a_dying_pump_is_told(*state, ((VmfPair *)*state)->b);
}

static void
test_there_is_no_pump(void **state)
{
    VmfPair *pair = *state;
    g_autoptr(VmfBusMigration) out = NULL;

    vmf_host_set(pair->a, "Pump", "Path", "/nowhere/vmferry-pump");
    vmf_pair_start(pair);
    out = vmf_host_migrate(pair->a, "running", "hostb");
    vmf_wait_failed(out, "PumpFailed", "/nowhere/vmferry-pump");
    assert_both_clean(pair);
}

static void
test_a_pump_takes_no_link(void **state)
{
    VmfPair *pair = *state;
    g_autoptr(VmfBusMigration) out = NULL;
    g_autoptr(VmfBusMigration) in = NULL;

    vmf_host_set_mood(pair->a, "refuses");
    vmf_pair_start(pair);
    out = vmf_host_migrate(pair->a, "running", "hostb");
    vmf_wait_failed(out, "LinkBroken", "in no mood");
    in = vmf_host_wait_migration(pair->b);
    vmf_wait_failed(in, "LinkBroken", NULL);
    assert_both_clean(pair);
}

/* The daemon that started a pump that does not obey ends it otherwise. */
static void
test_stubborn_pumps_are_killed(void **state)
{
    VmfPair *pair = *state;
    g_autoptr(VmfBusMigration) out = NULL;
    g_autoptr(VmfBusMigration) in = NULL;

    vmf_host_set_mood(pair->a, "stubborn");
    vmf_host_set_mood(pair->b, "stubborn");
    vmf_pair_start(pair);
    out = vmf_host_migrate(pair->a, "running", "hostb");
    vmf_wait_failed(out, "LibvirtFailed", NULL);
    in = vmf_host_wait_migration(pair->b);
    vmf_wait_failed(in, "LibvirtFailed", NULL);
    assert_both_clean(pair);
}

#define CASE(function)                                                                             \
    cmocka_unit_test_setup_teardown(function, vmf_pair_set_up, vmf_pair_tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_libvirt_refuses),
        CASE(test_again_and_again),
        CASE(test_a_guest_that_is_there_already),
        CASE(test_the_destinations_libvirt_is_away),
        CASE(test_libvirt_through_the_pump_takes_leave),
        CASE(test_another_run_directory),
        CASE(test_the_destinations_limit),
        CASE(test_two_guests_of_one_name),
        CASE(test_cancel_at_the_source),
        CASE(test_cancel_at_the_destination),
        CASE(test_the_source_ends_while_it_prepares),
        CASE(test_the_sources_pump_dies),
        CASE(test_the_destinations_pump_dies),
        CASE(test_there_is_no_pump),
        CASE(test_a_pump_takes_no_link),
        CASE(test_stubborn_pumps_are_killed),
    };

    return cmocka_run_group_tests_name("bus-carry", tests, NULL, NULL);
}
