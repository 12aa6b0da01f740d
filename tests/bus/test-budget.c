/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* MemoryBudget on both hosts: who is refused, what is offered, and that all is given back. */
#include "impostor.h"

#include "daemon/budget.h"

#define MIB ((guint64)1 << 20)
#define LEAST (VMF_BUDGET_OWN + VMF_BUDGET_KEPT)
#define UUID_THIRD "66666666-6666-4666-8666-666666666666"

typedef struct {
    VmfBusManager *manager;
    guint64 least, most;
} Granted;

static gboolean
is_granted(gpointer data)
{
    const Granted *granted = data;
    guint64 now = vmf_bus_manager_get_memory_granted(granted->manager);

    return now >= granted->least && now <= granted->most;
}

static void
wait_granted(VmfHost *host, guint64 least, guint64 most)
{
    Granted granted = {host->manager, least, most};

    vmf_wait_until(is_granted, &granted, "memory granted");
}

/* ---- the source ---- */

/* Two fit: 64 MiB, and each needs 25 and something for tables of its guest's pages. */
static void
test_a_source_that_is_full(void **state)
{
    g_autoptr(GSocket) silent = NULL;
    VmfLab *lab = vmf_lab_new();
    VmfHost *host = vmf_lab_add_host(lab, "hosta");
    const char *const uuids[] = {VMF_UUID_RUNNING, VMF_UUID_SECOND, UUID_THIRD};
    VmfBusMigration *migrations[G_N_ELEMENTS(uuids)];
    guint16 port;

    silent = vmf_listen(&port);
    vmf_host_add_peer(host, "silent", port, NULL);
    vmf_host_set(host, "Limits", "MemoryBudget", "64");
    vmf_host_set_guests(host, "<node>" VMF_GUEST_XML("one", VMF_UUID_RUNNING)
                                  VMF_GUEST_XML("two", VMF_UUID_SECOND)
                                      VMF_GUEST_XML("three", UUID_THIRD) "</node>");
    vmf_host_start(host);
    assert_int_equal(vmf_bus_manager_get_memory_budget(host->manager), 64 * MIB);
    assert_int_equal(vmf_bus_manager_get_memory_granted(host->manager), 0);
    for (gsize i = 0; i < G_N_ELEMENTS(uuids); i++) {
        migrations[i] = vmf_host_migrate(host, uuids[i], "silent");
        if (i < 2)
            wait_granted(host, (i + 1) * LEAST, (i + 1) * (LEAST + 4 * MIB));
    }
    vmf_wait_failed(migrations[2], "LimitReached", "MemoryBudget in vmferryd.conf");
    for (gsize i = 0; i < 2; i++) {
        assert_true(vmf_bus_migration_call_cancel_sync(migrations[i], NULL, NULL));
        vmf_wait_property(migrations[i], "state", "cancelled");
    }
    wait_granted(host, 0, 0);
    for (gsize i = 0; i < G_N_ELEMENTS(uuids); i++)
        g_object_unref(migrations[i]);
    vmf_host_stop(host);
    vmf_lab_free(lab);
}

/* ---- the destination ---- */

static int
set_up(void **state)
{
    VmfImpostors *fixture = vmf_impostors_new(NULL);

    *state = fixture;
    vmf_host_stop(fixture->b);
    vmf_host_set(fixture->b, "Limits", "MemoryBudget", "80");
    vmf_host_set(fixture->b, "Limits", "Migrations", "2");
    vmf_host_start(fixture->b);
    return 0;
}

/* What the answer to Agree offers; 0: nothing. */
static guint64
offered(GVariant *answer, const char *feature, const char *parameter)
{
    g_autoptr(GVariant) rows = g_variant_lookup_value(answer, "features", NULL);
    g_autoptr(VmfOffer) offer = vmf_offer_decode(rows, NULL);
    guint64 value = 0;

    assert_non_null(offer);
    for (guint i = 0; i < vmf_offer_get_size(offer); i++)
        if (g_str_equal(vmf_offer_get(offer, i)->name, feature))
            (void)g_variant_lookup(vmf_offer_get(offer, i)->parameters, parameter, "t", &value);
    return value;
}

static void
test_a_destination_that_is_full(void **state)
{
    VmfImpostors *fixture = *state;
    GDBusConnection *link = vmf_impostors_greet(fixture, fixture->a);
    g_autoptr(VmfOffer) all = vmf_offer_new(vmf_features());
    g_autoptr(GVariant) first = vmf_impostor_agree(link, "00000001", "hostb", all, NULL);
    g_autoptr(GVariant) second = vmf_impostor_agree(link, "00000002", "hostb", all, NULL);
    GError *error = NULL;

    assert_non_null(first);
    assert_non_null(second);
    assert_int_equal(offered(first, VMF_FEATURE_ZSTD, "window"), 4 * MIB);
    assert_int_equal(offered(second, VMF_FEATURE_ZSTD, "window"), 4 * MIB);
    wait_granted(fixture->b, 2 * LEAST, 80 * MIB);
    assert_null(vmf_impostor_agree(link, "00000003", "hostb", all, &error));
    vmf_assert_error(error, "LimitReached", "the destination: migrations have");
}

static void
test_what_is_prepared_has_its_share(void **state)
{
    VmfImpostors *fixture = *state;
    GDBusConnection *link = vmf_impostors_greet(fixture, fixture->a);
    g_autofree char *prepare = vmf_impostor_agreed(link, VMF_IMPOSTOR_ID, "hostb");
    guint64 agreed;

    wait_granted(fixture->b, LEAST, 80 * MIB);
    agreed = vmf_bus_manager_get_memory_granted(fixture->b->manager);
    vmf_impostor_assert_answered(link, "Prepare", prepare);
    assert_int_equal(vmf_bus_manager_get_memory_granted(fixture->b->manager), agreed);
    vmf_impostor_assert_refused(link, "Agree",
                                "('" VMF_IMPOSTOR_ID "', {'host': <'hostb'>, 'features': "
                                "<@a(suussasa{sv}) [('frames', 1, 1, 'offered', '', [], {}), "
                                "('tls', 1, 1, 'offered', '', [], {})]>})",
                                "AlreadyMigrating");
    vmf_impostor_assert_answered(link, "Finish",
                                 "('" VMF_IMPOSTOR_ID "', 'org.vmferry1.Error.Cancelled', '')");
    wait_granted(fixture->b, 0, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_source_that_is_full),
        cmocka_unit_test_setup_teardown(test_a_destination_that_is_full, set_up,
                                        vmf_impostors_tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_prepared_has_its_share, set_up,
                                        vmf_impostors_tear_down),
    };

    return cmocka_run_group_tests_name("bus-budget", tests, NULL, NULL);
}
