/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The talk before a migration, with a source that is trusted and should not be: it lies, changes
 * its mind, replays, and its certificate ends meanwhile. Each has its error, nothing is started and
 * nothing left. Destinations of that kind: test-answers.c.
 */
#include "impostor.h"

#include "link/agreement-book.h"

#define ID VMF_IMPOSTOR_ID
#define GUEST VMF_IMPOSTOR_GUEST

static int
set_up(void **state)
{
    *state = vmf_impostors_new("Migrations=2");
    return 0;
}

/* Agree with features as GVariant text. */
static void
assert_agree_refused(GDBusConnection *link, const char *features, const char *name)
{
    g_autofree char *arguments =
        g_strdup_printf("('" ID "', {'host': <'hostb'>, 'features': <%s>})", features);

    vmf_impostor_assert_refused(link, "Agree", arguments, name);
}

#define ROWS "@a(suussasa{sv}) "

static void
test_offers_that_lie(void **state)
{
    VmfImpostors *fixture = *state;
    GDBusConnection *link = vmf_impostors_greet(fixture, fixture->a);
    g_autofree char *much = g_strnfill(1 << 20, 'x');
    g_autofree char *large = g_strdup_printf(ROWS "[('a', 1, 1, 'off', '%s', [], {})]", much);
    g_autoptr(GString) deep = g_string_new("'x'");
    g_autofree char *bomb = NULL;

    assert_agree_refused(link, "'everything'", "Protocol");
    assert_agree_refused(link, "@a(suu) []", "Protocol");
    assert_agree_refused(link, ROWS "[('tls', 9, 1, 'offered', '', [], {})]", "Protocol");
    assert_agree_refused(link, large, "Protocol");
    /* frames is there, tls is not; then a future peer that insists */
    assert_agree_refused(link, ROWS "[('frames', 1, 1, 'offered', '', [], {})]", "FeatureMissing");
    assert_agree_refused(link,
                         ROWS "[('frames', 1, 4, 'offered', '', [], {}), ('tls', 1, 2, 'offered', "
                              "'', [], {}), ('beam', 1, 1, 'required', '', [], {})]",
                         "FeatureMissing");
    assert_agree_refused(link,
                         ROWS "[('frames', 2, 4, 'offered', '', [], {}), ('tls', 1, 2, 'offered', "
                              "'', [], {})]",
                         "FeatureMissing");
    for (int i = 0; i < 20; i++) {
        g_string_prepend_c(deep, '<');
        g_string_append_c(deep, '>');
    }
    bomb = g_strdup_printf(ROWS "[('frames', 1, 1, 'offered', '', [], {'x': <%s>}), ('tls', 1, 1, "
                                "'offered', '', [], {})]",
                           deep->str);
    g_string_printf(deep, "('" ID "', {'host': <'hostb'>, 'features': <%s>})", bomb);
    vmf_impostor_assert_answered(link, "Agree", deep->str); /* unknown, so it is left alone */
    vmf_impostor_assert_refused(link, "Agree", "('x', {'host': <'hostb'>})", "InvalidArgument");
    vmf_impostor_assert_refused(link, "Agree", "('" ID "', {'host': <'../..'>})",
                                "InvalidArgument");
    assert_null(vmf_host_find_migration(fixture->b));
}

static void
test_nothing_starts_without_an_agreement(void **state)
{
    VmfImpostors *fixture = *state;
    GDBusConnection *link = vmf_impostors_greet(fixture, fixture->a);
    GDBusConnection *other = vmf_impostors_greet(fixture, fixture->c);
    g_autofree char *right = NULL;

    vmf_impostor_assert_refused(link, "Prepare", "('" ID "', {" GUEST "})", "AgreementRefused");
    right = vmf_impostor_agreed(link, ID, "hostb");
    vmf_impostor_assert_refused(other, "Prepare", right, "AgreementRefused");
    vmf_impostor_assert_refused(link, "Prepare",
                                "('" ID "', {" GUEST
                                ", 'agreement': <b'12345678901234567890123456789012'>})",
                                "AgreementRefused");
    vmf_impostor_assert_refused(link, "Prepare", right, "AgreementRefused");
    assert_null(vmf_host_find_migration(fixture->b));
}

static void
test_an_agreement_that_is_replayed(void **state)
{
    VmfImpostors *fixture = *state;
    GDBusConnection *link = vmf_impostors_greet(fixture, fixture->a);
    g_autofree char *used = vmf_impostor_agreed(link, ID, "hostb");

    vmf_impostor_assert_answered(link, "Prepare", used);
    vmf_impostor_assert_refused(link, "Prepare", used, "AgreementRefused");
    vmf_impostor_assert_answered(link, "Finish", "('" ID "', 'org.vmferry1.Error.Cancelled', '')");
    vmf_impostor_assert_refused(link, "Prepare", used, "AgreementRefused");
}

static void
test_an_offer_that_changes(void **state)
{
    VmfImpostors *fixture = *state;
    GDBusConnection *link = vmf_impostors_greet(fixture, fixture->a);
    g_autoptr(VmfOffer) changed = vmf_offer_new(vmf_features());
    g_autofree char *first = vmf_impostor_agreed(link, ID, "hostb");
    g_autoptr(GVariant) answer = NULL;

    vmf_offer_refuse(changed, VMF_FEATURE_NBD, "on second thoughts");
    answer = vmf_impostor_agree(link, ID, "hostb", changed, NULL);
    assert_non_null(answer);
    vmf_impostor_assert_refused(link, "Prepare", first, "AgreementRefused");
    assert_null(vmf_host_find_migration(fixture->b));
}

/* Who only asks takes nobody's place, and cannot begin with it. */
static void
test_a_talk_that_is_not_kept(void **state)
{
    VmfImpostors *fixture = *state;
    GDBusConnection *link = vmf_impostors_greet(fixture, fixture->a);

    for (int i = 0; i < 20; i++) {
        g_autofree char *arguments =
            g_strdup_printf("('%08x', {'host': <'hostb'>, 'only-asked': <true>, 'features': <" ROWS
                            "[('frames', 1, 1, 'offered', '', [], {}), "
                            "('tls', 1, 1, 'offered', '', [], {})]>})",
                            i);

        vmf_impostor_assert_answered(link, "Agree", arguments);
    }
    vmf_impostor_assert_refused(link, "Prepare", "('00000003', {" GUEST "})", "AgreementRefused");
}

static void
test_agreements_and_migrations_are_few(void **state)
{
    VmfImpostors *fixture = *state;
    GDBusConnection *link, *other;
    g_autoptr(VmfOffer) offer = vmf_offer_new(vmf_features());
    GError *error = NULL;

    vmf_host_stop(fixture->b); /* there is memory for all of them */
    vmf_host_set(fixture->b, "Limits", "Migrations", "64");
    vmf_host_set(fixture->b, "Limits", "MemoryBudget", "16384");
    vmf_host_start(fixture->b);
    link = vmf_impostors_greet(fixture, fixture->a);
    other = vmf_impostors_greet(fixture, fixture->c);
    for (int i = 0; i < VMF_AGREEMENTS_PER_SOURCE; i++) {
        g_autofree char *id = g_strdup_printf("%08x", i);
        g_autofree char *agreed = vmf_impostor_agreed(link, id, "hostb");
    }
    assert_null(vmf_impostor_agree(link, "ffffffff", "hostb", offer, &error));
    vmf_assert_error(g_steal_pointer(&error), "LimitReached", "agreements");
    assert_null(vmf_impostor_agree(other, "00000000", "hostb", offer, &error));
    vmf_assert_error(g_steal_pointer(&error), "AlreadyMigrating", NULL);
}

/* hosta may send two guests at once. */
static void
test_guests_of_one_peer_are_few(void **state)
{
    VmfImpostors *fixture = *state;
    GDBusConnection *link = vmf_impostors_greet(fixture, fixture->a);

    for (guint i = 0; i < 3; i++) {
        g_autofree char *id = g_strdup_printf("0000000%u", i);
        g_autofree char *agreed = vmf_impostor_agreed(link, id, "hostb");
        g_auto(GStrv) parts = g_strsplit(agreed, "'web'", 2);
        g_auto(GStrv) halves = g_strsplit(parts[1], "8555-555555555555", 2);
        g_autofree char *arguments = g_strdup_printf("%s'web%u'%s8555-55555555555%u%s", parts[0], i,
                                                     halves[0], i, halves[1]);

        if (i < 2)
            vmf_impostor_assert_answered(link, "Prepare", arguments);
        else
            vmf_impostor_assert_refused(link, "Prepare", arguments, "LimitReached");
    }
    vmf_impostor_assert_answered(link, "Finish",
                                 "('00000000', 'org.vmferry1.Error.Cancelled', '')");
    vmf_impostor_assert_answered(link, "Finish",
                                 "('00000001', 'org.vmferry1.Error.Cancelled', '')");
}

static gboolean
end_wait(gpointer over)
{
    *(gboolean *)over = TRUE;
    return G_SOURCE_REMOVE;
}

static gboolean
is_set(gpointer flag)
{
    return *(gboolean *)flag;
}

static void
test_a_certificate_that_ends_meanwhile(void **state)
{
    VmfImpostors *fixture = *state;
    GDBusConnection *link;
    g_autofree char *agreed = NULL;
    gboolean over = FALSE;

    vmf_host_set_certificate(fixture->a, VMF_CERTIFICATE_BRIEF);
    link = vmf_impostors_greet(fixture, fixture->a);
    agreed = vmf_impostor_agreed(link, ID, "hostb");
    g_timeout_add_seconds(VMF_BRIEF + 1, end_wait, &over);
    vmf_wait_until(is_set, &over, "the end of the certificate");
    vmf_impostor_assert_refused(link, "Prepare", agreed, "PeerUntrusted");
    assert_null(vmf_host_find_migration(fixture->b));
}

/* The destination has the list; the source's link is open. */
static void
test_a_certificate_that_is_revoked_meanwhile(void **state)
{
    VmfImpostors *fixture = *state;
    GDBusConnection *link = vmf_impostors_greet(fixture, fixture->a);
    g_autofree char *agreed = vmf_impostor_agreed(link, ID, "hostb");

    vmf_host_revoke(fixture->b, fixture->a);
    vmf_impostor_assert_refused(link, "Prepare", agreed, "PeerUntrusted");
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, vmf_impostors_tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_offers_that_lie),
        CASE(test_nothing_starts_without_an_agreement),
        CASE(test_an_agreement_that_is_replayed),
        CASE(test_an_offer_that_changes),
        CASE(test_a_talk_that_is_not_kept),
        CASE(test_agreements_and_migrations_are_few),
        CASE(test_guests_of_one_peer_are_few),
        CASE(test_a_certificate_that_ends_meanwhile),
        CASE(test_a_certificate_that_is_revoked_meanwhile),
    };

    return cmocka_run_group_tests_name("bus-talk", tests, NULL, NULL);
}
