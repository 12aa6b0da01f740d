/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Manager.Check and maintenance, between two daemons; and Link.Check asked by somebody who lies. */
#include "impostor.h"

#include <string.h>

#include "base/error.h"

static int
set_up(void **state)
{
    VmfPair *pair = vmf_pair_new(NULL);

    *state = pair;
    vmf_host_add_peer(pair->a, "away", 1, NULL);
    vmf_host_set_guests(pair->b, "<node/>");
    return 0;
}

/* The findings; `options` as GVariant text. */
static GVariant *
check(VmfPair *pair, const char *guest, const char *options)
{
    g_autoptr(GError) error = NULL;
    GVariant *findings = NULL;

    if (!vmf_bus_manager_call_check_sync(pair->a->manager, guest, "hostb",
                                         g_variant_new_parsed(options), &findings, NULL, &error))
        fail_msg("Check: %s", error->message);
    return findings;
}

static void
assert_finding(GVariant *findings, gsize i, const char *name, const char *error, gboolean forced)
{
    g_autoptr(GVariant) finding = g_variant_get_child_value(findings, i);
    const char *string = NULL;
    gboolean flag = FALSE;

    assert_true(g_variant_lookup(finding, "Name", "&s", &string));
    assert_string_equal(string, name);
    assert_true(g_variant_lookup(finding, "Severity", "&s", &string));
    assert_string_equal(string, "block");
    assert_true(g_variant_lookup(finding, "Message", "&s", &string));
    assert_true(strlen(string) > 10);
    assert_true(g_variant_lookup(finding, "Error", "&s", &string));
    assert_string_equal(string, error);
    assert_true(g_variant_lookup(finding, "Forced", "b", &flag));
    assert_int_equal(flag, forced);
}

static void
test_fine(void **state)
{
    VmfPair *pair = *state;
    g_autoptr(GVariant) findings = NULL;

    vmf_pair_start(pair);
    findings = check(pair, "running", "@a{sv} {}");
    assert_int_equal(g_variant_n_children(findings), 0);
    assert_null(vmf_host_find_migration(pair->a)); /* nothing was begun for it */
    assert_null(vmf_host_find_migration(pair->b));
}

static void
test_it_is_there(void **state)
{
    VmfPair *pair = *state;
    g_autoptr(GVariant) findings = NULL;
    g_autoptr(GVariant) renamed = NULL;

    vmf_host_set_guests(pair->b, "<node>" VMF_GUEST_XML("running", VMF_UUID_SECOND) "</node>");
    vmf_pair_start(pair);
    findings = check(pair, "running", "{'force': <['domain-exists']>}");
    assert_int_equal(g_variant_n_children(findings), 1);
    /* Forced or not: it would cost the guest that is there. */
    assert_finding(findings, 0, "domain-exists", VMF_ERROR_PREFIX "DomainExists", FALSE);
    renamed = check(pair, "running", "{'dname': <'other'>}");
    assert_int_equal(g_variant_n_children(renamed), 0);
}

static void
test_paused(void **state)
{
    VmfPair *pair = *state;
    g_autoptr(GVariant) findings = NULL;

    vmf_pair_start(pair);
    findings = check(pair, "paused", "{'tls': <true>, 'force': <['paused']>}");
    assert_int_equal(g_variant_n_children(findings), 2);
    assert_finding(findings, 0, "paused", VMF_ERROR_PREFIX "DomainUnsafe", FALSE);
}

static void
test_maintenance(void **state)
{
    VmfPair *pair = *state;
    g_autoptr(GVariant) blocked = NULL;
    g_autoptr(GVariant) forced = NULL;
    g_autoptr(GVariant) after = NULL;
    g_autoptr(VmfBusMigration) migration = NULL;

    vmf_pair_start(pair);
    assert_false(vmf_bus_manager_get_maintenance(pair->b->manager));
    assert_true(vmf_bus_manager_call_set_maintenance_sync(pair->b->manager, TRUE, NULL, NULL));
    vmf_host_stop(pair->b);
    vmf_host_start(pair->b); /* it stays */
    assert_true(vmf_bus_manager_get_maintenance(pair->b->manager));
    blocked = check(pair, "running", "@a{sv} {}");
    assert_finding(blocked, 0, "maintenance", VMF_ERROR_PREFIX "PeerRefused", FALSE);
    migration = vmf_host_migrate(pair->a, "running", "hostb");
    vmf_wait_error(migration, "PeerRefused", "--force maintenance");
    assert_null(vmf_host_find_migration(pair->b));
    forced = check(pair, "running", "{'force': <['maintenance']>}");
    assert_finding(forced, 0, "maintenance", VMF_ERROR_PREFIX "PeerRefused", TRUE);
    assert_true(vmf_bus_manager_call_set_maintenance_sync(pair->b->manager, FALSE, NULL, NULL));
    after = check(pair, "running", "@a{sv} {}");
    assert_int_equal(g_variant_n_children(after), 0);
}

/* A name that was mistyped would else look as if it had been of use. */
static void
test_force_of_nothing(void **state)
{
    VmfPair *pair = *state;
    const char *const argv[] = {
        vmf_program("VMFERRY"), "check", "--force", "nonsense", "running", "hostb", NULL};
    g_autofree char *out = NULL;
    g_autofree char *problems = NULL;

    vmf_pair_start(pair);
    assert_int_equal(vmf_host_run(pair->a, argv, &out, &problems), 0);
    assert_non_null(strstr(out, "nothing speaks against"));
    assert_non_null(strstr(problems, "--force nonsense: nothing of that name was found"));
}

static void
test_refused(void **state)
{
    static const struct {
        const char *guest, *peer, *options, *error;
    } cases[] = {
        {"nobody", "hostb", "@a{sv} {}", "NoSuchDomain"},
        {"off", "hostb", "@a{sv} {}", "DomainNotRunning"},
        {"running", "nobody", "@a{sv} {}", "NoSuchPeer"},
        {"running", "away", "@a{sv} {}", "PeerUnreachable"},
        {"running", "hostb", "{'force': <'maintenance'>}", "InvalidArgument"},
        {"running", "hostb", "{'unencrypted': <true>}", "InvalidArgument"},
        {"running", "hostb", "{'dname': <'a/b'>}", "InvalidArgument"},
    };
    VmfPair *pair = *state;

    vmf_pair_start(pair);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GVariant) findings = NULL;
        GError *error = NULL;

        assert_false(vmf_bus_manager_call_check_sync(
            pair->a->manager, cases[i].guest, cases[i].peer, g_variant_new_parsed(cases[i].options),
            &findings, NULL, &error));
        vmf_assert_error(error, cases[i].error, NULL);
    }
}

#define UUID "'uuid': <'" VMF_UUID_RUNNING "'>"
#define XML "<domain><name>g</name><uuid>" VMF_UUID_RUNNING "</uuid></domain>"

static void
test_a_peer_that_lies(void **state)
{
    static const char *const invalid[] = {
        "(@a{sv} {},)",
        "({'name': <3>, " UUID ", 'xml': <'" XML "'>},)",
        "({'name': <'g'>, 'uuid': <'x'>, 'xml': <'" XML "'>},)",
        "({'name': <'g'>, " UUID "},)",
        "({'name': <'g'>, " UUID ", 'xml': <'<domain>'>},)",
        "({'name': <'g'>, " UUID ", 'xml': <'<!DOCTYPE d [<!ENTITY a \"b\">]>" XML "'>},)",
    };
    VmfPair *pair = *state;
    g_autoptr(GDBusConnection) stranger = NULL;
    g_autoptr(GDBusConnection) link = NULL;
    g_autofree char *spaces = g_strnfill((4 << 20) + 1, ' ');
    g_autofree char *huge =
        g_strdup_printf("({'name': <'g'>, " UUID ", 'xml': <'" XML "%s'>},)", spaces);

    vmf_host_start(pair->b);
    stranger = vmf_impostor_dial(pair->a, pair->b);
    vmf_impostor_assert_refused(stranger, "Check", "(@a{sv} {},)", "Protocol");
    link = vmf_impostor_greet(pair->a, pair->b);
    for (guint i = 0; i < G_N_ELEMENTS(invalid); i++)
        vmf_impostor_assert_refused(link, "Check", invalid[i], "InvalidArgument");
    vmf_impostor_assert_refused(link, "Check", huge, "InvalidArgument");
    /* What is of another type, or not known, is as good as missing. */
    vmf_impostor_assert_answered(link, "Check",
                                 "({'name': <'g'>, " UUID ", 'xml': <'" XML "'>, 'memory': <'x'>, "
                                 "'have': <3>, 'types': <@as []>, 'else': <1>},)");
    g_dbus_connection_close_sync(link, NULL, NULL);
    g_dbus_connection_close_sync(stranger, NULL, NULL);
}

static void
test_a_host_that_may_not_send(void **state)
{
    VmfPair *pair = *state;
    g_autoptr(GVariant) findings = NULL;
    GError *error = NULL;

    vmf_host_add_peer(pair->b, "hosta", pair->a->port, "MaySend=false");
    vmf_pair_start(pair);
    assert_false(vmf_bus_manager_call_check_sync(pair->a->manager, "running", "hostb",
                                                 g_variant_new_parsed("@a{sv} {}"), &findings, NULL,
                                                 &error));
    vmf_assert_error(error, "PeerRefused", "MaySend");
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, vmf_pair_tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_fine),
        CASE(test_it_is_there),
        CASE(test_paused),
        CASE(test_maintenance),
        CASE(test_force_of_nothing),
        CASE(test_refused),
        CASE(test_a_peer_that_lies),
        CASE(test_a_host_that_may_not_send),
    };

    return cmocka_run_group_tests_name("bus-check", tests, NULL, NULL);
}
