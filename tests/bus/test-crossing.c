/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Migrations from both sides at once: of one guest, and of two. */
#include "fixture.h"

static int
set_up(void **state)
{
    VmfPair *pair = vmf_pair_new("LibvirtUri=test:///default");

    *state = pair;
    vmf_host_add_peer(pair->b, "hosta", pair->a->port, "LibvirtUri=test:///default");
    return 0;
}

static int
tear_down(void **state)
{
    VmfPair *pair = *state;

    vmf_host_assert_clean(pair->a);
    vmf_host_assert_clean(pair->b);
    return vmf_pair_tear_down(state);
}

static gboolean
is_over(gpointer migration)
{
    return g_strcmp0(vmf_bus_migration_get_state(migration), "failed") == 0;
}

/* One guest that is at both hosts is sent from both to the other. */
static void
test_one_guest_from_both_sides(void **state)
{
    VmfPair *pair = *state;
    g_autoptr(VmfBusMigration) there = NULL;
    g_autoptr(VmfBusMigration) back = NULL;
    VmfBusMigration *all[2];

    vmf_pair_start(pair);
    all[0] = there = vmf_host_migrate(pair->a, "running", "hostb");
    all[1] = back = vmf_host_migrate(pair->b, "running", "hosta");
    for (int i = 0; i < 2; i++) {
        const char *name;

        vmf_wait_until(is_over, all[i], "the end of a migration");
        g_variant_get(vmf_bus_migration_get_error(all[i]), "(&s&s)", &name, NULL);
        if (!g_str_has_suffix(name, ".DomainExists") &&
            !g_str_has_suffix(name, ".AlreadyMigrating"))
            fail_msg("failed as %s", name);
    }
}

/* Each sends a guest of its own to the other: neither is in the other's way, until libvirt's test
 * driver, which cannot migrate. */
static void
test_two_hosts_to_each_other(void **state)
{
    VmfPair *pair = *state;
    g_autoptr(VmfBusMigration) there = NULL;
    g_autoptr(VmfBusMigration) back = NULL;

    vmf_host_set_guests(pair->a, "<node>" VMF_GUEST_XML("one", VMF_UUID_RUNNING) "</node>");
    vmf_host_set_guests(pair->b, "<node>" VMF_GUEST_XML("two", VMF_UUID_SECOND) "</node>");
    vmf_pair_start(pair);
    there = vmf_host_migrate(pair->a, "one", "hostb");
    back = vmf_host_migrate(pair->b, "two", "hosta");
    vmf_wait_until(is_over, there, "the end of a migration");
    vmf_wait_until(is_over, back, "the end of the other");
    vmf_assert_error_property(vmf_bus_migration_get_error(there), "LibvirtFailed", NULL);
    vmf_assert_error_property(vmf_bus_migration_get_error(back), "LibvirtFailed", NULL);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_one_guest_from_both_sides),
        CASE(test_two_hosts_to_each_other),
    };

    return cmocka_run_group_tests_name("bus-crossing", tests, NULL, NULL);
}
