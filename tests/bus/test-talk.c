/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The talk before a migration with a peer that is trusted and should not be: it lies, answers late,
 * changes its mind, replays, and its certificate ends meanwhile. On either side of the talk. Each
 * has its error, nothing is started and nothing left.
 */
#include "impostor.h"

#include <string.h>

#include "link-bus.h"
#include "link/control.h"

#define ID VMF_IMPOSTOR_ID
#define GUEST VMF_IMPOSTOR_GUEST

typedef struct {
    VmfLab *lab;
    VmfHost *a;
    VmfHost *b;
    VmfHost *c;
    GPtrArray *links;
} Fixture;

static void
close_link(gpointer link)
{
    g_dbus_connection_close_sync(link, NULL, NULL);
    g_object_unref(link);
}

static int
set_up(void **state)
{
    Fixture *fixture = g_new0(Fixture, 1);

    *state = fixture;
    fixture->lab = vmf_lab_new();
    fixture->a = vmf_lab_add_host(fixture->lab, "hosta");
    fixture->b = vmf_lab_add_host(fixture->lab, "hostb");
    fixture->c = vmf_lab_add_host(fixture->lab, "hostc");
    fixture->links = g_ptr_array_new_with_free_func(close_link);
    return 0;
}

/* hostb as the destination of what we are the sources of. */
static int
set_up_destination(void **state)
{
    Fixture *fixture;

    set_up(state);
    fixture = *state;
    vmf_host_set_guests(fixture->b, "<node/>");
    vmf_host_add_peer(fixture->b, "hosta", 1, "Migrations=2");
    vmf_host_add_peer(fixture->b, "hostc", 1, NULL);
    vmf_host_start(fixture->b);
    return 0;
}

static int
tear_down(void **state)
{
    Fixture *fixture = *state;
    VmfHost *hosts[] = {fixture->a, fixture->b, fixture->c};

    g_ptr_array_unref(fixture->links);
    for (gsize i = 0; i < G_N_ELEMENTS(hosts); i++) {
        if (!hosts[i]->daemon)
            continue;
        vmf_host_assert_clean(hosts[i]);
        vmf_host_stop(hosts[i]);
    }
    vmf_lab_free(fixture->lab);
    g_free(fixture);
    return 0;
}

static GDBusConnection *
greet(Fixture *fixture, VmfHost *host)
{
    GDBusConnection *link = vmf_impostor_greet(host, fixture->b);

    g_ptr_array_add(fixture->links, link);
    return link;
}

/* ---- a source that should not be trusted ---- */

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
    Fixture *fixture = *state;
    GDBusConnection *link = greet(fixture, fixture->a);
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
    Fixture *fixture = *state;
    GDBusConnection *link = greet(fixture, fixture->a);
    GDBusConnection *other = greet(fixture, fixture->c);
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
    Fixture *fixture = *state;
    GDBusConnection *link = greet(fixture, fixture->a);
    g_autofree char *used = vmf_impostor_agreed(link, ID, "hostb");

    vmf_impostor_assert_answered(link, "Prepare", used);
    vmf_impostor_assert_refused(link, "Prepare", used, "AgreementRefused");
    vmf_impostor_assert_answered(link, "Finish", "('" ID "', 'org.vmferry1.Error.Cancelled', '')");
    vmf_impostor_assert_refused(link, "Prepare", used, "AgreementRefused");
}

static void
test_an_offer_that_changes(void **state)
{
    Fixture *fixture = *state;
    GDBusConnection *link = greet(fixture, fixture->a);
    g_autoptr(VmfOffer) changed = vmf_offer_new(vmf_features());
    g_autofree char *first = vmf_impostor_agreed(link, ID, "hostb");
    g_autoptr(GVariant) answer = NULL;

    vmf_offer_refuse(changed, VMF_FEATURE_NBD, "on second thoughts");
    answer = vmf_impostor_agree(link, ID, "hostb", changed, NULL);
    assert_non_null(answer);
    vmf_impostor_assert_refused(link, "Prepare", first, "AgreementRefused");
    assert_null(vmf_host_find_migration(fixture->b));
}

static void
test_agreements_and_migrations_are_few(void **state)
{
    Fixture *fixture = *state;
    GDBusConnection *link = greet(fixture, fixture->a);
    GDBusConnection *other = greet(fixture, fixture->c);
    g_autoptr(VmfOffer) offer = vmf_offer_new(vmf_features());
    GError *error = NULL;

    for (int i = 0; i < 16; i++) {
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
    Fixture *fixture = *state;
    GDBusConnection *link = greet(fixture, fixture->a);

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
    Fixture *fixture = *state;
    GDBusConnection *link;
    g_autofree char *agreed = NULL;
    gboolean over = FALSE;

    vmf_host_set_certificate(fixture->a, VMF_CERTIFICATE_BRIEF);
    link = greet(fixture, fixture->a);
    agreed = vmf_impostor_agreed(link, ID, "hostb");
    g_timeout_add_seconds(VMF_BRIEF + 1, end_wait, &over);
    vmf_wait_until(is_set, &over, "the end of the certificate");
    vmf_impostor_assert_refused(link, "Prepare", agreed, "PeerUntrusted");
    assert_null(vmf_host_find_migration(fixture->b));
}

/* ---- a destination that should not be trusted ---- */

typedef enum {
    LIE_NO_OFFER,
    LIE_BAD_OFFER,
    LIE_OTHER_NAME,
    LIE_DIGEST,
    LIE_OLD_ANSWER,
    LIE_REQUIRES,
    LIE_SILENT,
} Lie;

typedef struct {
    Lie lie;
    GVariant *old; /* an answer that was right once */
    GDBusMethodInvocation *unanswered;
    guint prepared;
    VmfBusLink *skeleton;
    GDBusConnection *link;
} Liar;

/* As a vmferryd would. */
static GVariant *
answer_rightly(const char *id, GVariant *said, const char *source, const VmfOffer *ours)
{
    const VmfAgreementTerms terms = {id, source, "hostb", g_get_real_time()};
    g_autoptr(GVariant) features = g_variant_lookup_value(said, "features", NULL);
    g_autoptr(VmfOffer) theirs = vmf_offer_decode(features, NULL);
    g_autoptr(VmfAgreement) agreement =
        vmf_agreement_new(vmf_features(), &terms, theirs, ours, NULL);
    g_autoptr(GVariant) encoded = vmf_offer_encode(ours);
    const guint8 nothing[VMF_AGREEMENT_DIGEST_SIZE] = {0};
    GVariantDict answer;

    g_variant_dict_init(&answer, NULL);
    g_variant_dict_insert(&answer, "source", "s", source);
    g_variant_dict_insert(&answer, "time", "x", terms.time);
    g_variant_dict_insert_value(&answer, "features", encoded);
    g_variant_dict_insert_value(
        &answer, "digest",
        g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE,
                                  agreement ? vmf_agreement_get_digest(agreement) : nothing,
                                  VMF_AGREEMENT_DIGEST_SIZE, 1));
    return g_variant_ref_sink(g_variant_dict_end(&answer));
}

static GVariant *
spoil(GVariant *answer, const char *key, GVariant *value)
{
    GVariantDict dict;

    g_variant_dict_init(&dict, answer);
    if (value)
        g_variant_dict_insert_value(&dict, key, value);
    else
        g_variant_dict_remove(&dict, key);
    g_variant_unref(answer);
    return g_variant_ref_sink(g_variant_dict_end(&dict));
}

static gboolean
on_agree(VmfBusLink *skeleton, GDBusMethodInvocation *call, const char *id, GVariant *said,
         Liar *liar)
{
    g_autoptr(VmfOffer) ours = vmf_offer_new(vmf_features());
    g_autoptr(GVariant) answer = NULL;
    guint8 wrong[VMF_AGREEMENT_DIGEST_SIZE] = {1, 2, 3};

    if (liar->lie == LIE_SILENT) {
        liar->unanswered = call;
        return TRUE;
    }
    if (liar->lie == LIE_REQUIRES)
        vmf_offer_require(ours, VMF_FEATURE_NBD, "no guest without its disks");
    answer = answer_rightly(id, said, liar->lie == LIE_OTHER_NAME ? "hostc" : "hosta", ours);
    if (liar->lie == LIE_NO_OFFER)
        answer = spoil(answer, "features", NULL);
    else if (liar->lie == LIE_BAD_OFFER)
        answer = spoil(answer, "features", g_variant_new_string("all of them"));
    else if (liar->lie == LIE_DIGEST)
        answer = spoil(answer, "digest",
                       g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, wrong, sizeof wrong, 1));
    if (liar->lie == LIE_OLD_ANSWER && liar->old) {
        g_variant_unref(answer);
        answer = g_variant_ref(liar->old);
    } else if (liar->lie == LIE_OLD_ANSWER) {
        liar->old = g_variant_ref(answer);
    }
    vmf_bus_link_complete_agree(skeleton, call, answer);
    return TRUE;
}

static gboolean
on_hello(VmfBusLink *skeleton, GDBusMethodInvocation *call, GVariant *said, Liar *liar)
{
    vmf_bus_link_complete_hello(skeleton, call, g_variant_new("a{sv}", NULL));
    return TRUE;
}

static gboolean
on_prepare(VmfBusLink *skeleton, GDBusMethodInvocation *call, const char *id, GVariant *guest,
           Liar *liar)
{
    liar->prepared++;
    g_dbus_method_invocation_return_dbus_error(call, "org.vmferry1.Error.DomainExists", "no");
    return TRUE;
}

/* What the source wants to know of us besides; there is nothing in the way. */
static gboolean
on_check(VmfBusLink *skeleton, GDBusMethodInvocation *call, GVariant *request, Liar *liar)
{
    g_dbus_method_invocation_return_dbus_error(call, "org.vmferry1.Error.NotSupported", "no");
    return TRUE;
}

/* Takes the control connection of hosta, with hostb's certificates. */
static void
be_destination(Fixture *fixture, GSocket *listener, Liar *liar)
{
    g_autofree char *pki = vmf_host_path(fixture->b, "pki");
    g_autoptr(VmfIdentity) identity = vmf_identity_load(pki, NULL);
    g_autoptr(GSocket) socket = g_socket_accept(listener, NULL, NULL);
    g_autoptr(GSocketConnection) stream = g_socket_connection_factory_create_connection(socket);
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) names = NULL;
    uint8_t preface[VMF_PREFACE_SIZE];
    uint8_t answer[VMF_ANSWER_SIZE];

    assert_int_equal(g_socket_receive(socket, (char *)preface, sizeof preface, NULL, NULL),
                     sizeof preface);
    vmf_answer_encode(VMF_ANSWER_OK, answer);
    assert_int_equal(g_socket_send(socket, (char *)answer, sizeof answer, NULL, NULL),
                     sizeof answer);
    liar->link = vmf_control_accept(identity, stream, NULL, &names, &error);
    if (!liar->link)
        fail_msg("being hostb: %s", error->message);
    liar->skeleton = vmf_bus_link_skeleton_new();
    g_signal_connect(liar->skeleton, "handle-hello", G_CALLBACK(on_hello), liar);
    g_signal_connect(liar->skeleton, "handle-agree", G_CALLBACK(on_agree), liar);
    g_signal_connect(liar->skeleton, "handle-check", G_CALLBACK(on_check), liar);
    g_signal_connect(liar->skeleton, "handle-prepare", G_CALLBACK(on_prepare), liar);
    g_dbus_interface_skeleton_export(G_DBUS_INTERFACE_SKELETON(liar->skeleton), liar->link,
                                     "/org/vmferry1/link", NULL);
    g_dbus_connection_start_message_processing(liar->link);
}

static void
assert_lie_found(Fixture *fixture, Liar *liar, Lie lie, const char *name, const char *words)
{
    g_autoptr(VmfBusMigration) migration = NULL;

    liar->lie = lie;
    migration = vmf_host_migrate(fixture->a, "running", "hostb");
    vmf_wait_property(migration, "state", "failed");
    vmf_assert_error_property(vmf_bus_migration_get_error(migration), name, words);
}

static void
test_destinations_that_lie(void **state)
{
    Fixture *fixture = *state;
    guint16 port;
    g_autoptr(GSocket) listener = vmf_listen(&port);
    g_autoptr(VmfBusMigration) migration = NULL;
    Liar liar = {.lie = LIE_NO_OFFER};

    vmf_host_add_peer(fixture->a, "hostb", port, NULL);
    vmf_host_start(fixture->a);
    migration = vmf_host_migrate(fixture->a, "running", "hostb");
    be_destination(fixture, listener, &liar);
    vmf_wait_property(migration, "state", "failed");
    vmf_assert_error_property(vmf_bus_migration_get_error(migration), "Protocol",
                              "answered without an offer");
    assert_lie_found(fixture, &liar, LIE_BAD_OFFER, "Protocol", "the offer is not valid");
    assert_lie_found(fixture, &liar, LIE_OTHER_NAME, "PeerNameMismatch", "calls this host");
    assert_lie_found(fixture, &liar, LIE_DIGEST, "Protocol", "another agreement");
    assert_lie_found(fixture, &liar, LIE_REQUIRES, "FeatureMissing",
                     "feature 'nbd' is required by hostb (no guest without its disks)");
    liar.lie = LIE_OLD_ANSWER;
    g_clear_object(&migration);
    migration = vmf_host_migrate(fixture->a, "running", "hostb"); /* this one is right */
    vmf_wait_property(migration, "state", "failed");
    assert_lie_found(fixture, &liar, LIE_OLD_ANSWER, "Protocol", "another agreement");
    assert_lie_found(fixture, &liar, LIE_SILENT, "TimedOut", NULL);
    assert_in_range(liar.prepared, 0, 1); /* by the one that was right */
    g_dbus_method_invocation_return_dbus_error(liar.unanswered, "org.vmferry1.Error.Failed",
                                               "late");
    close_link(liar.link);
    g_object_unref(liar.skeleton);
    g_variant_unref(liar.old);
}

/* ---- both at once ---- */

static void
start_pair(Fixture *fixture)
{
    vmf_host_add_peer(fixture->a, "hostb", fixture->b->port, "LibvirtUri=test:///default");
    vmf_host_add_peer(fixture->b, "hosta", fixture->a->port, "LibvirtUri=test:///default");
    vmf_host_start(fixture->a);
    vmf_host_start(fixture->b);
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
    Fixture *fixture = *state;
    g_autoptr(VmfBusMigration) there = NULL;
    g_autoptr(VmfBusMigration) back = NULL;
    VmfBusMigration *all[2];

    start_pair(fixture);
    all[0] = there = vmf_host_migrate(fixture->a, "running", "hostb");
    all[1] = back = vmf_host_migrate(fixture->b, "running", "hosta");
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
    Fixture *fixture = *state;
    g_autoptr(VmfBusMigration) there = NULL;
    g_autoptr(VmfBusMigration) back = NULL;

    vmf_host_set_guests(fixture->a, "<node>" VMF_GUEST_XML("one", VMF_UUID_RUNNING) "</node>");
    vmf_host_set_guests(fixture->b, "<node>" VMF_GUEST_XML("two", VMF_UUID_SECOND) "</node>");
    start_pair(fixture);
    there = vmf_host_migrate(fixture->a, "one", "hostb");
    back = vmf_host_migrate(fixture->b, "two", "hosta");
    vmf_wait_until(is_over, there, "the end of a migration");
    vmf_wait_until(is_over, back, "the end of the other");
    vmf_assert_error_property(vmf_bus_migration_get_error(there), "LibvirtFailed", NULL);
    vmf_assert_error_property(vmf_bus_migration_get_error(back), "LibvirtFailed", NULL);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up_destination, tear_down)
#define PAIR(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_offers_that_lie),
        CASE(test_nothing_starts_without_an_agreement),
        CASE(test_an_agreement_that_is_replayed),
        CASE(test_an_offer_that_changes),
        CASE(test_agreements_and_migrations_are_few),
        CASE(test_guests_of_one_peer_are_few),
        CASE(test_a_certificate_that_ends_meanwhile),
        PAIR(test_destinations_that_lie),
        PAIR(test_one_guest_from_both_sides),
        PAIR(test_two_hosts_to_each_other),
    };

    return cmocka_run_group_tests_name("bus-talk", tests, NULL, NULL);
}
