/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Manager.Check and maintenance, between two daemons; and Link.Check asked by somebody who lies. */
#include "impostor.h"

#include <string.h>

#include "base/error.h"

typedef struct {
    VmfLab *lab;
    VmfHost *a;
    VmfHost *b;
} Fixture;

static int
set_up(void **state)
{
    Fixture *fixture = g_new0(Fixture, 1);

    *state = fixture;
    fixture->lab = vmf_lab_new();
    fixture->a = vmf_lab_add_host(fixture->lab, "hosta");
    fixture->b = vmf_lab_add_host(fixture->lab, "hostb");
    vmf_host_add_peer(fixture->a, "hostb", fixture->b->port, NULL);
    vmf_host_add_peer(fixture->a, "away", 1, NULL);
    vmf_host_add_peer(fixture->b, "hosta", fixture->a->port, NULL);
    vmf_host_set_guests(fixture->b, "<node/>");
    return 0;
}

static int
tear_down(void **state)
{
    Fixture *fixture = *state;

    if (fixture->a->daemon)
        vmf_host_stop(fixture->a);
    if (fixture->b->daemon)
        vmf_host_stop(fixture->b);
    vmf_lab_free(fixture->lab);
    g_free(fixture);
    return 0;
}

static void
start_both(Fixture *fixture)
{
    vmf_host_start(fixture->a);
    vmf_host_start(fixture->b);
}

/* The findings; `options` as GVariant text. */
static GVariant *
check(Fixture *fixture, const char *guest, const char *options)
{
    g_autoptr(GError) error = NULL;
    GVariant *findings = NULL;

    if (!vmf_bus_manager_call_check_sync(fixture->a->manager, guest, "hostb",
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
    Fixture *fixture = *state;
    g_autoptr(GVariant) findings = NULL;

    start_both(fixture);
    findings = check(fixture, "running", "@a{sv} {}");
    assert_int_equal(g_variant_n_children(findings), 0);
    assert_null(vmf_host_find_migration(fixture->a)); /* nothing was begun for it */
    assert_null(vmf_host_find_migration(fixture->b));
}

static void
test_it_is_there(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GVariant) findings = NULL;
    g_autoptr(GVariant) renamed = NULL;

    vmf_host_set_guests(fixture->b, "<node>" VMF_GUEST_XML("running", VMF_UUID_SECOND) "</node>");
    start_both(fixture);
    findings = check(fixture, "running", "{'force': <['domain-exists']>}");
    assert_int_equal(g_variant_n_children(findings), 1);
    /* Forced or not: it would cost the guest that is there. */
    assert_finding(findings, 0, "domain-exists", VMF_ERROR_PREFIX "DomainExists", FALSE);
    renamed = check(fixture, "running", "{'dname': <'other'>}");
    assert_int_equal(g_variant_n_children(renamed), 0);
}

static void
test_paused(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GVariant) findings = NULL;

    start_both(fixture);
    findings = check(fixture, "paused", "{'tls': <true>, 'force': <['paused']>}");
    assert_int_equal(g_variant_n_children(findings), 2);
    assert_finding(findings, 0, "paused", VMF_ERROR_PREFIX "DomainUnsafe", FALSE);
}

static void
test_maintenance(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GVariant) blocked = NULL;
    g_autoptr(GVariant) forced = NULL;
    g_autoptr(GVariant) after = NULL;
    g_autoptr(VmfBusMigration) migration = NULL;

    start_both(fixture);
    assert_false(vmf_bus_manager_get_maintenance(fixture->b->manager));
    assert_true(vmf_bus_manager_call_set_maintenance_sync(fixture->b->manager, TRUE, NULL, NULL));
    vmf_host_stop(fixture->b);
    vmf_host_start(fixture->b); /* it stays */
    assert_true(vmf_bus_manager_get_maintenance(fixture->b->manager));
    blocked = check(fixture, "running", "@a{sv} {}");
    assert_finding(blocked, 0, "maintenance", VMF_ERROR_PREFIX "PeerRefused", FALSE);
    migration = vmf_host_migrate(fixture->a, "running", "hostb");
    vmf_wait_error(migration, "PeerRefused", "--force maintenance");
    assert_null(vmf_host_find_migration(fixture->b));
    forced = check(fixture, "running", "{'force': <['maintenance']>}");
    assert_finding(forced, 0, "maintenance", VMF_ERROR_PREFIX "PeerRefused", TRUE);
    assert_true(vmf_bus_manager_call_set_maintenance_sync(fixture->b->manager, FALSE, NULL, NULL));
    after = check(fixture, "running", "@a{sv} {}");
    assert_int_equal(g_variant_n_children(after), 0);
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
    Fixture *fixture = *state;

    start_both(fixture);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GVariant) findings = NULL;
        GError *error = NULL;

        assert_false(vmf_bus_manager_call_check_sync(
            fixture->a->manager, cases[i].guest, cases[i].peer,
            g_variant_new_parsed(cases[i].options), &findings, NULL, &error));
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
    Fixture *fixture = *state;
    g_autoptr(GDBusConnection) stranger = NULL;
    g_autoptr(GDBusConnection) link = NULL;
    g_autofree char *spaces = g_strnfill((4 << 20) + 1, ' ');
    g_autofree char *huge =
        g_strdup_printf("({'name': <'g'>, " UUID ", 'xml': <'" XML "%s'>},)", spaces);

    vmf_host_start(fixture->b);
    stranger = vmf_impostor_dial(fixture->a, fixture->b);
    vmf_impostor_assert_refused(stranger, "Check", "(@a{sv} {},)", "Protocol");
    link = vmf_impostor_greet(fixture->a, fixture->b);
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
    Fixture *fixture = *state;
    g_autoptr(GVariant) findings = NULL;
    GError *error = NULL;

    vmf_host_add_peer(fixture->b, "hosta", fixture->a->port, "MaySend=false");
    start_both(fixture);
    assert_false(vmf_bus_manager_call_check_sync(fixture->a->manager, "running", "hostb",
                                                 g_variant_new_parsed("@a{sv} {}"), &findings, NULL,
                                                 &error));
    vmf_assert_error(error, "PeerRefused", "MaySend");
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_fine),
        CASE(test_it_is_there),
        CASE(test_paused),
        CASE(test_maintenance),
        CASE(test_refused),
        CASE(test_a_peer_that_lies),
        CASE(test_a_host_that_may_not_send),
    };

    return cmocka_run_group_tests_name("bus-check", tests, NULL, NULL);
}
