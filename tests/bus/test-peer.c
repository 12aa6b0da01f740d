/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A daemon and a peer that is trusted and should not be, on the control link. */
#include "impostor.h"

#include <string.h>

#define ID VMF_IMPOSTOR_ID
#define UUID VMF_IMPOSTOR_UUID
#define GUEST VMF_IMPOSTOR_GUEST

static int
set_up(void **state)
{
    *state = vmf_impostors_new(NULL);
    return 0;
}

/* ---- greetings ---- */

static void
test_nothing_before_hello(void **state)
{
    VmfImpostors *fixture = *state;
    GDBusConnection *link = vmf_impostors_dial(fixture, fixture->a);

    vmf_impostor_assert_refused(link, "Prepare", "('" ID "', {" GUEST "})", "Protocol");
    vmf_impostor_assert_refused(link, "Finish", "('" ID "', '', '')", "Protocol");
    vmf_impostor_assert_refused(link, "Cancel", "('" ID "',)", "Protocol");
    vmf_impostor_assert_answered(link, "Hello", "(@a{sv} {},)");
    vmf_impostor_assert_refused(link, "Cancel", "('" ID "',)", "NoSuchMigration");
}

static void
test_hello(void **state)
{
    VmfImpostors *fixture = *state;
    GDBusConnection *link = vmf_impostors_dial(fixture, fixture->a);
    g_autoptr(VmfBusPeer) peer = vmf_host_get_peer(fixture->b, "hosta");
    g_autofree char *novel = g_strnfill(65, '1');
    g_autofree char *too_long = g_strdup_printf("({'version': <'%s'>},)", novel);

    vmf_impostor_assert_refused(link, "Hello", too_long, "Protocol");
    vmf_impostor_assert_answered(link, "Hello", "({'version': <'9\\n\\u001b[2J'>, 'else': <1>},)");
    vmf_wait_property(peer, "version", "9  [2J");
}

static gboolean
is_connected(gpointer peer)
{
    return vmf_bus_peer_get_connected(peer);
}

static gboolean
is_not_connected(gpointer peer)
{
    return !vmf_bus_peer_get_connected(peer);
}

static void
on_closed(GDBusConnection *link, gboolean vanished, GError *error, gboolean *closed)
{
    *closed = TRUE;
}

static gboolean
is_set(gpointer flag)
{
    return *(gboolean *)flag;
}

static void
test_links_are_few(void **state)
{
    VmfImpostors *fixture = *state;
    g_autoptr(VmfBusPeer) peer = vmf_host_get_peer(fixture->b, "hosta");
    GDBusConnection *many;
    gboolean closed = FALSE;

    for (int i = 0; i < 8; i++)
        vmf_impostors_greet(fixture, fixture->a);
    vmf_wait_until(is_connected, peer, "Connected");
    many = vmf_impostors_dial(fixture, fixture->a);
    g_signal_connect(many, "closed", G_CALLBACK(on_closed), &closed);
    vmf_wait_until(is_set, &closed, "the end of a link too many");
    /* another peer is not meant */
    vmf_impostors_greet(fixture, fixture->c);
    g_ptr_array_set_size(fixture->links, 0);
    vmf_wait_until(is_not_connected, peer, "the end of all links");
    vmf_impostors_greet(fixture, fixture->a);
}

/* ---- Prepare ---- */

static void
test_what_cannot_be_prepared(void **state)
{
    VmfImpostors *fixture = *state;
    GDBusConnection *link = vmf_impostors_greet(fixture, fixture->a);
    g_autofree char *long_name = g_strnfill(256, 'x');
    g_autofree char *too_long =
        g_strdup_printf("('" ID "', {'name': <'%s'>, 'uuid': <'" UUID "'>})", long_name);
    g_autofree char *elsewhere = NULL;
    const char *const invalid[] = {
        "('', {" GUEST "})",
        "('../../etc', {" GUEST "})",
        "('0123456G', {" GUEST "})",
        "('" ID "', @a{sv} {})",
        "('" ID "', {'name': <''>, 'uuid': <'" UUID "'>})",
        "('" ID "', {'name': <'a/b'>, 'uuid': <'" UUID "'>})",
        "('" ID "', {'name': <'a\\nb'>, 'uuid': <'" UUID "'>})",
        "('" ID "', {'name': <'a\\u001bb'>, 'uuid': <'" UUID "'>})",
        "('" ID "', {'name': <1>, 'uuid': <'" UUID "'>})",
        "('" ID "', {'name': <'web'>, 'uuid': <'1234'>})",
        "('" ID "', {'name': <'web'>, 'uuid': <'AAAAAAAA-5555-4555-8555-555555555555'>,"
        " 'host': <'hostb'>})",
        too_long,
    };

    for (guint i = 0; i < G_N_ELEMENTS(invalid); i++)
        vmf_impostor_assert_refused(link, "Prepare", invalid[i], "InvalidArgument");
    elsewhere = vmf_impostor_agreed(link, ID, "hostd");
    vmf_impostor_assert_refused(link, "Prepare", elsewhere, "PeerNameMismatch");
    vmf_host_assert_clean(fixture->b);
}

static void
test_a_prepared_migration(void **state)
{
    VmfImpostors *fixture = *state;
    GDBusConnection *link = vmf_impostors_greet(fixture, fixture->a);
    g_autoptr(VmfBusMigration) migration = NULL;
    g_autoptr(VmfOffer) all = vmf_offer_new(vmf_features());
    g_autofree char *same_guest = NULL;
    g_autofree char *late = NULL;
    VmfPrepared prepared = {0};
    GError *error = NULL;

    vmf_impostor_prepare(link, &prepared);
    assert_string_equal(prepared.path, "/proc/self/cwd/run/hostb/web.sock");
    migration = vmf_host_wait_migration(fixture->b);
    assert_string_equal(vmf_bus_migration_get_id(migration), ID);
    assert_string_equal(vmf_bus_migration_get_state(migration), "preparing");
    /* the same id, or the same guest */
    assert_null(vmf_impostor_agree(link, ID, "hostb", all, &error));
    vmf_assert_error(error, "AlreadyMigrating", "the migration's id is taken");
    same_guest = vmf_impostor_agreed(link, "76543210", "hostb");
    vmf_impostor_assert_refused(link, "Prepare", same_guest, "AlreadyMigrating");

    vmf_impostor_assert_answered(link, "Finish",
                                 "('" ID "', 'org.vmferry1.Error.LibvirtFailed', 'no\\nluck')");
    vmf_wait_property(migration, "state", "failed");
    vmf_assert_error_property(vmf_bus_migration_get_error(migration), "LibvirtFailed", "no luck");
    vmf_impostor_assert_refused(link, "Finish", "('" ID "', '', '')", "NoSuchMigration");
    /* it can still be seen, so its id is not free */
    late = vmf_impostor_agreed(link, ID, "hostb");
    vmf_impostor_assert_refused(link, "Prepare", late, "AlreadyMigrating");
    vmf_host_assert_clean(fixture->b);
    g_free(prepared.path);
}

static void
test_migrations_belong_to_their_peer(void **state)
{
    VmfImpostors *fixture = *state;
    GDBusConnection *link = vmf_impostors_greet(fixture, fixture->a);
    GDBusConnection *other = vmf_impostors_greet(fixture, fixture->c);
    VmfPrepared prepared = {0};

    vmf_impostor_prepare(link, &prepared);
    vmf_impostor_assert_refused(other, "Finish", "('" ID "', '', '')", "NoSuchMigration");
    vmf_impostor_assert_refused(other, "Cancel", "('" ID "',)", "NoSuchMigration");
    vmf_impostor_assert_answered(link, "Finish", "('" ID "', 'org.example.Nothing', '')");
    g_free(prepared.path);
}

/* Two peers, and 256 migrations, the last one among them. */
static gboolean
shows_no_more(gpointer objects)
{
    g_autoptr(GDBusObject) last =
        g_dbus_object_manager_get_object(objects, "/org/vmferry1/migration/0000012b");
    GList *all = g_dbus_object_manager_get_objects(objects);
    guint length = g_list_length(all);

    g_list_free_full(all, g_object_unref);
    return last && length == 2 + 256;
}

/* Whatever a peer begins and ends, what can still be seen of it is bounded. */
static void
test_finished_migrations_are_bounded(void **state)
{
    VmfImpostors *fixture = *state;
    GDBusConnection *link = vmf_impostors_greet(fixture, fixture->a);

    for (int i = 0; i < 300; i++) {
        g_autofree char *id = g_strdup_printf("%08x", i);
        g_autofree char *arguments = vmf_impostor_agreed(link, id, "hostd");

        vmf_impostor_assert_refused(link, "Prepare", arguments, "PeerNameMismatch");
    }
    vmf_wait_until(shows_no_more, fixture->b->objects, "the last migration, and 255 before it");
}

/* ---- the data connection ---- */

/* What the stub pump expects and does: each side shows its secret. */
static gboolean
prove(GSocket *socket, const uint8_t *secret, gsize size)
{
    uint8_t answer[VMF_TICKET_SECRET_SIZE];
    gsize length = 0;
    gssize n;

    g_socket_set_timeout(socket, VMF_PATIENCE);
    assert_int_equal(g_socket_send(socket, (const char *)secret, size, NULL, NULL), size);
    do {
        n = g_socket_receive(socket, (char *)answer + length, sizeof answer - length, NULL, NULL);
        length += n > 0 ? (gsize)n : 0;
    } while (n > 0 && length < sizeof answer);
    return length == sizeof answer && memcmp(answer, secret, sizeof answer) == 0;
}

static void
wait_hung_up(GSocket *socket)
{
    char byte;

    assert_true(g_socket_receive(socket, &byte, 1, NULL, NULL) <= 0);
}

static void
test_a_ticket_is_spent_by_who_knows_the_secret(void **state)
{
    VmfImpostors *fixture = *state;
    GDBusConnection *link = vmf_impostors_greet(fixture, fixture->a);
    const uint8_t wrong[VMF_TICKET_SECRET_SIZE] = {1, 2, 3};
    g_autoptr(GSocket) stranger = NULL;
    g_autoptr(GSocket) right = NULL;
    GError *error = NULL;
    VmfPrepared prepared = {0};

    vmf_impostor_prepare(link, &prepared);
    stranger = vmf_impostor_dial_data(fixture->b, prepared.ticket, NULL);
    assert_non_null(stranger);
    assert_false(prove(stranger, wrong, sizeof wrong));
    wait_hung_up(stranger);
    right = vmf_impostor_dial_data(fixture->b, prepared.ticket, NULL);
    assert_non_null(right);
    assert_true(prove(right, prepared.secret, sizeof prepared.secret));
    /* the daemon hears of it from the pump; until then the pump turns away who comes */
    while (TRUE) {
        g_autoptr(GSocket) again = vmf_impostor_dial_data(fixture->b, prepared.ticket, &error);

        if (!again)
            break;
        wait_hung_up(again);
    }
    vmf_assert_error(error, "TicketRefused", NULL);
    vmf_impostor_assert_answered(link, "Finish", "('" ID "', 'org.vmferry1.Error.Cancelled', '')");
    wait_hung_up(right);
    vmf_host_assert_clean(fixture->b);
    g_free(prepared.path);
}

static void
test_a_ticket_ends_with_its_migration(void **state)
{
    VmfImpostors *fixture = *state;
    GDBusConnection *link = vmf_impostors_greet(fixture, fixture->a);
    GError *error = NULL;
    VmfPrepared prepared = {0};

    vmf_impostor_prepare(link, &prepared);
    vmf_impostor_assert_answered(link, "Finish", "('" ID "', 'org.vmferry1.Error.Cancelled', '')");
    assert_null(vmf_impostor_dial_data(fixture->b, prepared.ticket, &error));
    vmf_assert_error(error, "TicketRefused", "the peer refused the ticket");
    g_free(prepared.path);
}

/* ---- cancelling when the source cannot be asked ---- */

static void
test_cancel_without_the_source(void **state)
{
    VmfImpostors *fixture = *state;
    GDBusConnection *link = vmf_impostors_greet(fixture, fixture->a);
    g_autoptr(VmfBusPeer) peer = vmf_host_get_peer(fixture->b, "hosta");
    g_autoptr(VmfBusMigration) migration = NULL;
    VmfPrepared prepared = {0};

    vmf_impostor_prepare(link, &prepared);
    migration = vmf_host_wait_migration(fixture->b);
    vmf_wait_until(is_connected, peer, "Connected");
    g_ptr_array_set_size(fixture->links, 0);
    vmf_wait_until(is_not_connected, peer, "the end of the link");
    assert_true(vmf_bus_migration_call_cancel_sync(migration, NULL, NULL));
    vmf_wait_property(migration, "state", "cancelled");
    vmf_host_assert_clean(fixture->b);
    g_free(prepared.path);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, vmf_impostors_tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_nothing_before_hello),
        CASE(test_hello),
        CASE(test_links_are_few),
        CASE(test_what_cannot_be_prepared),
        CASE(test_a_prepared_migration),
        CASE(test_migrations_belong_to_their_peer),
        CASE(test_finished_migrations_are_bounded),
        CASE(test_a_ticket_is_spent_by_who_knows_the_secret),
        CASE(test_a_ticket_ends_with_its_migration),
        CASE(test_cancel_without_the_source),
    };

    return cmocka_run_group_tests_name("bus-peer", tests, NULL, NULL);
}
