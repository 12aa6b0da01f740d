/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The life of a Migration object on the source, as far as it goes without a destination. */
#include "fixture.h"

typedef struct {
    VmfLab *lab;
    VmfHost *host;
    GSocket *silent; /* a peer that takes connections and says nothing */
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
    /* bound by this host, and nobody listens there yet */
    vmf_host_add_peer(fixture->host, "away", fixture->host->port, NULL);
    vmf_host_set(fixture->host, "Limits", "KeepFinished", "1");
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

static void
cancel(VmfBusMigration *migration)
{
    g_autoptr(GError) error = NULL;

    if (!vmf_bus_migration_call_cancel_sync(migration, NULL, &error))
        fail_msg("Cancel: %s", error->message);
    vmf_wait_property(migration, "state", "cancelled");
}

static void
assert_migrate_refused(VmfHost *host, const char *guest, const char *name, const char *words)
{
    g_autofree char *path = NULL;
    GError *error = NULL;

    vmf_bus_manager_call_migrate_sync(host->manager, guest, "silent", g_variant_new("a{sv}", NULL),
                                      &path, NULL, &error);
    vmf_assert_error(error, name, words);
}

static void
test_a_migration_while_it_prepares(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    gint64 before = g_get_real_time();
    g_autoptr(VmfBusMigration) migration = NULL;
    g_autofree char *path = NULL;

    vmf_host_start(host);
    migration = vmf_host_migrate(host, VMF_UUID_RUNNING, "silent");
    path = g_strconcat("/org/vmferry1/migration/", vmf_bus_migration_get_id(migration), NULL);
    assert_string_equal(g_dbus_proxy_get_object_path(G_DBUS_PROXY(migration)), path);
    assert_string_equal(vmf_bus_migration_get_domain(migration), "running");
    assert_string_equal(vmf_bus_migration_get_uuid(migration), VMF_UUID_RUNNING);
    assert_string_equal(vmf_bus_migration_get_peer(migration), "silent");
    assert_string_equal(vmf_bus_migration_get_direction(migration), "out");
    assert_string_equal(vmf_bus_migration_get_engine(migration), "pump");
    assert_string_equal(vmf_bus_migration_get_origin(migration), "vmferry");
    assert_string_equal(vmf_bus_migration_get_state(migration), "preparing");
    assert_true(vmf_bus_migration_get_encrypted(migration));
    assert_true(vmf_bus_migration_get_progress(migration) == 0);
    assert_int_equal(vmf_bus_migration_get_iteration(migration), 0);
    assert_int_equal(vmf_bus_migration_get_bytes_on_wire(migration), 0);
    assert_int_equal(vmf_bus_migration_get_ended(migration), 0);
    assert_in_range(vmf_bus_migration_get_started(migration), before, g_get_real_time());
    vmf_assert_error_property(vmf_bus_migration_get_error(migration), "", NULL);
    cancel(migration);
}

static gboolean
bandwidth_is_seven(gpointer migration)
{
    return vmf_bus_migration_get_bandwidth(migration) == 7;
}

static void
test_bandwidth_is_set_at_any_time(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autoptr(VmfBusMigration) migration = NULL;
    GError *error = NULL;

    vmf_host_start(host);
    migration = vmf_host_migrate(host, "running", "silent");
    assert_int_equal(vmf_bus_migration_get_bandwidth(migration), 0);
    assert_true(vmf_bus_migration_call_set_bandwidth_sync(migration, 7, NULL, NULL));
    vmf_wait_until(bandwidth_is_seven, migration, "bandwidth");
    cancel(migration);
    vmf_bus_migration_call_set_bandwidth_sync(migration, 8, NULL, &error);
    vmf_assert_error(error, "NoSuchMigration", "over already");
    assert_int_equal(vmf_bus_migration_get_bandwidth(migration), 7);
}

static gboolean
stages_are_set(gpointer migration)
{
    return !vmf_bus_migration_get_delta(migration) &&
           vmf_bus_migration_get_cache_limit(migration) == 12345 &&
           vmf_bus_migration_get_compression(migration) == 5;
}

static void
test_stages_are_set_at_any_time(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autoptr(VmfBusMigration) migration = NULL;
    g_autoptr(GError) error = NULL;

    vmf_host_start(host);
    migration = vmf_host_migrate(host, "running", "silent");
    assert_true(vmf_bus_migration_get_delta(migration));
    assert_int_equal(vmf_bus_migration_get_compression(migration), -1);
    assert_in_range(vmf_bus_migration_get_cache_limit(migration), 1, 512 << 20);
    assert_true(vmf_bus_migration_call_set_delta_sync(migration, FALSE, NULL, NULL));
    assert_true(vmf_bus_migration_call_set_cache_size_sync(migration, 12345, NULL, NULL));
    assert_true(vmf_bus_migration_call_set_compression_sync(migration, 5, NULL, NULL));
    vmf_wait_until(stages_are_set, migration, "stages");
    vmf_bus_migration_call_set_compression_sync(migration, 20, NULL, &error);
    vmf_assert_error(g_steal_pointer(&error), "InvalidArgument", "1 to 19");
    cancel(migration);
    vmf_bus_migration_call_set_delta_sync(migration, TRUE, NULL, &error);
    vmf_assert_error(g_steal_pointer(&error), "NoSuchMigration", "over already");
}

static void
test_one_migration_of_a_guest_at_a_time(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autoptr(VmfBusMigration) first = NULL;
    g_autoptr(VmfBusMigration) second = NULL;
    g_autoptr(VmfBusMigration) again = NULL;

    vmf_host_start(host);
    first = vmf_host_migrate(host, "running", "silent");
    assert_migrate_refused(host, "running", "AlreadyMigrating", "'running'");
    assert_migrate_refused(host, VMF_UUID_RUNNING, "AlreadyMigrating",
                           vmf_bus_migration_get_id(first));
    second = vmf_host_migrate(host, "second", "away");
    vmf_wait_property(second, "state", "failed");
    cancel(first);
    again = vmf_host_migrate(host, "running", "silent");
    cancel(again);
}

static void
test_the_limit_of_migrations(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autoptr(VmfBusMigration) first = NULL;
    g_autoptr(VmfBusMigration) second = NULL;

    vmf_host_set(host, "Limits", "Migrations", "1");
    vmf_host_start(host);
    first = vmf_host_migrate(host, "running", "silent");
    assert_migrate_refused(host, "second", "LimitReached", "Migrations");
    cancel(first);
    /* a finished one, which can still be seen, does not count */
    second = vmf_host_migrate(host, "second", "silent");
    cancel(second);
}

static void
test_cancel_while_connecting(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autoptr(VmfBusMigration) migration = NULL;
    GError *error = NULL;
    gint64 asked;

    vmf_host_start(host);
    migration = vmf_host_migrate(host, "running", "silent");
    asked = g_get_monotonic_time();
    cancel(migration);
    assert_in_range(g_get_monotonic_time() - asked, 0, 2 * G_USEC_PER_SEC);
    vmf_assert_error_property(vmf_bus_migration_get_error(migration), "Cancelled",
                              "the guest runs on at the source");
    assert_true(vmf_bus_migration_get_ended(migration) >= vmf_bus_migration_get_started(migration));
    vmf_bus_migration_call_cancel_sync(migration, NULL, &error);
    vmf_assert_error(error, "NoSuchMigration", "over already");
}

/* One dials, the other waits for what comes of it: both can be cancelled at once. */
static void
test_cancel_while_another_connects(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autoptr(VmfBusMigration) first = NULL;
    g_autoptr(VmfBusMigration) second = NULL;
    gint64 asked;

    vmf_host_start(host);
    first = vmf_host_migrate(host, "running", "silent");
    second = vmf_host_migrate(host, "second", "silent");
    asked = g_get_monotonic_time();
    cancel(second);
    assert_in_range(g_get_monotonic_time() - asked, 0, 2 * G_USEC_PER_SEC);
    assert_string_equal(vmf_bus_migration_get_state(first), "preparing");
    cancel(first);
}

/* It must have been allowed at the start, as QEMU wants to know it then. */
static void
test_postcopy_that_was_not_allowed(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autoptr(VmfBusMigration) migration = NULL;
    GError *error = NULL;

    vmf_host_start(host);
    migration = vmf_host_migrate(host, "running", "silent");
    vmf_bus_migration_call_start_post_copy_sync(migration, NULL, &error);
    vmf_assert_error(g_steal_pointer(&error), "NotSupported", "post-copy");
    cancel(migration);
    vmf_bus_migration_call_start_post_copy_sync(migration, NULL, &error);
    vmf_assert_error(error, "NoSuchMigration", "over already");
}

static gboolean
no_migration_is_shown(gpointer host)
{
    g_autoptr(VmfBusMigration) migration = vmf_host_find_migration(host);

    return migration == NULL;
}

static void
test_an_unreachable_peer(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autoptr(VmfBusMigration) migration = NULL;
    g_autoptr(VmfBusPeer) peer = NULL;

    /* so that nothing listens at "away": vmferryd takes another port */
    vmf_host_set(host, "Network", "Address", "127.0.0.2");
    vmf_host_start(host);
    migration = vmf_host_migrate(host, "running", "away");
    vmf_wait_property(migration, "state", "failed");
    vmf_assert_error_property(vmf_bus_migration_get_error(migration), "PeerUnreachable",
                              "is vmferryd running there");
    assert_true(vmf_bus_migration_get_progress(migration) == 0);
    assert_true(vmf_bus_migration_get_ended(migration) >= vmf_bus_migration_get_started(migration));
    peer = vmf_host_get_peer(host, "away");
    vmf_wait_error(peer, "PeerUnreachable", "127.0.0.1:");
    assert_false(vmf_bus_peer_get_connected(peer));
    vmf_wait_until(no_migration_is_shown, host, "the end of what KeepFinished keeps");
}

static gboolean
libvirt_is_away(gpointer manager)
{
    return !vmf_bus_manager_get_libvirt_connected(manager);
}

static void
test_libvirt_is_away(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;

    vmf_host_set(host, "Libvirt", "Uri", "qemu+unix:///system?socket=/nowhere");
    vmf_host_start(host);
    assert_true(libvirt_is_away(host->manager));
    assert_migrate_refused(host, "running", "LibvirtUnavailable", "/nowhere");
}

/* Nothing of a migration that hangs keeps the daemon from ending in order. */
static void
test_the_daemon_ends_while_a_migration_connects(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autoptr(VmfBusMigration) migration = NULL;
    gint64 asked;

    vmf_host_start(host);
    migration = vmf_host_migrate(host, "running", "silent");
    asked = g_get_monotonic_time();
    vmf_host_stop(host);
    assert_in_range(g_get_monotonic_time() - asked, 0, 5 * G_USEC_PER_SEC);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_migration_while_it_prepares),
        CASE(test_bandwidth_is_set_at_any_time),
        CASE(test_stages_are_set_at_any_time),
        CASE(test_one_migration_of_a_guest_at_a_time),
        CASE(test_the_limit_of_migrations),
        CASE(test_cancel_while_connecting),
        CASE(test_cancel_while_another_connects),
        CASE(test_postcopy_that_was_not_allowed),
        CASE(test_an_unreachable_peer),
        CASE(test_libvirt_is_away),
        CASE(test_the_daemon_ends_while_a_migration_connects),
    };

    return cmocka_run_group_tests_name("bus-migrations", tests, NULL, NULL);
}
