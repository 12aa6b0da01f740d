/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two daemons on two buses: the control link between them, and who is refused why. For certificates
 * see test-certificates.c.
 */
#include "fixture.h"

#include <signal.h>
#include <string.h>

#include "link/features.h"
#include "link/preface.h"
#include "vmferry-config.h"

static int
set_up(void **state)
{
    *state = vmf_pair_new(NULL);
    return 0;
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
test_connect(void **state)
{
    VmfPair *pair = *state;
    g_autoptr(VmfBusPeer) b_at_a = NULL;
    g_autoptr(VmfBusPeer) a_at_b = NULL;

    vmf_pair_start(pair);
    b_at_a = vmf_host_get_peer(pair->a, "hostb");
    a_at_b = vmf_host_get_peer(pair->b, "hosta");
    assert_false(vmf_bus_peer_get_connected(b_at_a));
    vmf_host_connect(pair->a, "hostb");
    vmf_wait_until(is_connected, b_at_a, "hostb connected, at hosta");
    vmf_wait_until(is_connected, a_at_b, "hosta connected, at hostb");
    vmf_wait_property(b_at_a, "version", VMF_VERSION);
    vmf_wait_property(a_at_b, "version", VMF_VERSION);
    vmf_host_connect(pair->b, "hosta");
    vmf_host_connect(pair->a, "hostb");
    vmf_assert_error_property(vmf_bus_peer_get_error(b_at_a), "", NULL);
    vmf_assert_error_property(vmf_bus_peer_get_error(a_at_b), "", NULL);
}

/* What two hosts that may all agree on, and what one of them rules out. */
static void
test_features(void **state)
{
    VmfPair *pair = *state;
    const char *const table[] = {vmf_program("VMFERRY"), "features", "hostb", NULL};
    const char *const json[] = {vmf_program("VMFERRY"), "features", "--json", "hostb", NULL};
    const char *const peers[] = {vmf_program("VMFERRY"), "peers", NULL};
    g_autofree char *shown = NULL;
    g_autofree char *parsed = NULL;
    g_autofree char *list = NULL;
    g_autofree char *count = g_strdup_printf(" of %zu ", vmf_features()->n);

    vmf_host_set(pair->a, "Security", "AllowUnencrypted", "true");
    vmf_pair_start(pair);
    assert_int_equal(vmf_host_run(pair->a, table, &shown, NULL), 0);
    assert_non_null(strstr(shown, "\nchannels          1        connections 32\n"));
    assert_non_null(strstr(shown, "\ntls               1        \n"));
    assert_non_null(strstr(shown, "\nresume            1        memory 67108864, patience 120\n"));
    assert_int_equal(vmf_host_run(pair->a, json, &parsed, NULL), 0);
    assert_non_null(strstr(parsed, "\"connections\" : 32"));
    assert_int_equal(vmf_host_run(pair->a, peers, &list, NULL), 0);
    assert_non_null(strstr(list, " yes "));
    assert_non_null(strstr(list, count));
    assert_non_null(strstr(list, "\nhostb "));
}

static void
test_reconnect_after_a_restart(void **state)
{
    VmfPair *pair = *state;
    g_autoptr(VmfBusPeer) b_at_a = NULL;

    vmf_pair_start(pair);
    vmf_host_connect(pair->a, "hostb");
    b_at_a = vmf_host_get_peer(pair->a, "hostb");
    vmf_wait_until(is_connected, b_at_a, "hostb connected");
    vmf_host_stop(pair->b);
    vmf_wait_until(is_not_connected, b_at_a, "the end of the link");
    vmf_host_assert_connect_refused(pair->a, "hostb", "PeerUnreachable",
                                    "is vmferryd running there");
    vmf_host_start(pair->b);
    vmf_host_connect(pair->a, "hostb");
    vmf_wait_until(is_connected, b_at_a, "hostb connected again");
    vmf_host_kill(pair->b);
    vmf_wait_until(is_not_connected, b_at_a, "the end of the link");
}

/* Nobody asks for it: each side dials again when it lost the other, or hears from it. */
static void
test_links_come_back_by_themselves(void **state)
{
    VmfPair *pair = *state;
    g_autoptr(VmfBusPeer) b_at_a = NULL;
    g_autoptr(VmfBusPeer) a_at_b = NULL;

    vmf_pair_start(pair);
    vmf_host_connect(pair->a, "hostb");
    b_at_a = vmf_host_get_peer(pair->a, "hostb");
    for (int i = 0; i < 2; i++) {
        vmf_host_kill(pair->b);
        vmf_wait_until(is_not_connected, b_at_a, "the end of the links");
        vmf_host_start(pair->b);
        vmf_wait_until(is_connected, b_at_a, "hostb connected again");
        g_clear_object(&a_at_b);
        a_at_b = vmf_host_get_peer(pair->b, "hosta");
        vmf_wait_until(is_connected, a_at_b, "hosta connected again");
    }
    /* a migration works at once: its talk is over, and hostb has a guest of that name */
    vmf_host_assert_migration_fails(pair->a, "DomainExists", NULL);
    /* and the other way round, as hostb has dialled back */
    vmf_host_connect(pair->b, "hosta");
    vmf_host_stop(pair->a);
    vmf_wait_until(is_not_connected, a_at_b, "the end of the links at hostb");
    vmf_host_start(pair->a);
    vmf_wait_until(is_connected, a_at_b, "hosta connected again");
}

/* What is stopped keeps its connections open. */
static void
test_a_daemon_that_hangs_is_noticed(void **state)
{
    VmfPair *pair = *state;
    g_autoptr(VmfBusPeer) b_at_a = NULL;
    gint64 begin;

    vmf_host_start(pair->a);
    vmf_host_start_unwatched(pair->b);
    vmf_host_connect(pair->a, "hostb");
    b_at_a = vmf_host_get_peer(pair->a, "hostb");
    vmf_wait_until(is_connected, b_at_a, "hostb connected");
    begin = g_get_monotonic_time();
    kill(vmf_host_get_pid(pair->b), SIGSTOP);
    vmf_wait_until(is_not_connected, b_at_a, "the end of the link with the hanging hostb");
    assert_in_range(g_get_monotonic_time() - begin, 0, 29 * G_USEC_PER_SEC);
    kill(vmf_host_get_pid(pair->b), SIGCONT);
    vmf_wait_until(is_connected, b_at_a, "hostb connected again");
}

static void
test_the_first_address_that_answers(void **state)
{
    VmfPair *pair = *state;
    g_autofree char *addresses =
        g_strdup_printf("Addresses=127.0.0.1:1;[::1]:1;127.0.0.1:%u", pair->b->port);

    vmf_host_add_peer(pair->a, "hostb", 1, addresses);
    vmf_pair_start(pair);
    vmf_host_connect(pair->a, "hostb");
}

static void
test_no_address_answers(void **state)
{
    VmfPair *pair = *state;
    GError *error = NULL;

    vmf_host_add_peer(pair->a, "hostb", 1, "Addresses=127.0.0.1:1;[::1]:1");
    vmf_pair_start(pair);
    vmf_bus_manager_call_connect_sync(pair->a->manager, "hostb", NULL, &error);
    assert_non_null(error);
    assert_non_null(strstr(error->message, "127.0.0.1:1")); /* each is told */
    assert_non_null(strstr(error->message, "[::1]:1"));
    vmf_assert_error(error, "PeerUnreachable", "cannot reach hostb at");
}

static void
test_a_host_that_is_not_in_peers_d(void **state)
{
    VmfPair *pair = *state;
    g_autoptr(VmfBusPeer) b_at_a = NULL;

    vmf_host_remove_peer(pair->b, "hosta");
    vmf_pair_start(pair);
    vmf_host_assert_connect_refused(pair->a, "hostb", "PeerRefused", "peers.d");
    b_at_a = vmf_host_get_peer(pair->a, "hostb");
    vmf_wait_until(is_not_connected, b_at_a, "the end of the refused link");
}

/* ---- a peer that is no vmferryd ---- */

static void
on_connect_done(GObject *manager, GAsyncResult *result, gpointer error)
{
    vmf_bus_manager_call_connect_finish(VMF_BUS_MANAGER(manager), result, error);
}

static gboolean
has_failed(gpointer error)
{
    return *(GError **)error != NULL;
}

/* hosta connects to a listener that reads a preface, says `answer` and hangs up. */
static void
assert_answer_means(VmfPair *pair, const void *answer, gsize size, const char *name,
                    const char *words)
{
    guint16 port;
    g_autoptr(GSocket) listener = vmf_listen(&port);
    g_autoptr(GSocket) socket = NULL;
    VmfPreface preface;
    uint8_t data[VMF_PREFACE_SIZE];
    GError *error = NULL;

    vmf_host_add_peer(pair->a, "hostb", port, NULL);
    vmf_host_start(pair->a);
    vmf_bus_manager_call_connect(pair->a->manager, "hostb", NULL, on_connect_done, &error);
    socket = g_socket_accept(listener, NULL, NULL);
    assert_non_null(socket);
    assert_int_equal(g_socket_receive(socket, (char *)data, sizeof data, NULL, NULL), sizeof data);
    assert_true(vmf_preface_decode(data, &preface, NULL));
    assert_int_equal(preface.kind, VMF_LINK_KIND_CONTROL);
    assert_int_equal(g_socket_send(socket, answer, size, NULL, NULL), size);
    g_clear_object(&socket);
    vmf_wait_until(has_failed, &error, "the end of Connect");
    vmf_assert_error(error, name, words);
    vmf_host_stop(pair->a);
}

static void
test_answers_to_the_preface(void **state)
{
    const struct {
        VmfAnswer status;
        const char *name;
    } cases[] = {
        {VMF_ANSWER_OK, "PeerUnreachable"}, /* and then no TLS */
        {VMF_ANSWER_VERSION, "ProtocolVersion"}, {VMF_ANSWER_KIND, "PeerRefused"},
        {VMF_ANSWER_BUSY, "LimitReached"},       {(VmfAnswer)77, "Protocol"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint8_t answer[VMF_ANSWER_SIZE];

        vmf_answer_encode(cases[i].status, answer);
        assert_answer_means(*state, answer, sizeof answer, cases[i].name, "hostb");
    }
    assert_answer_means(*state, "SSH-2.0-OpenSSH_9.2\r\n", 21, "Protocol", "address and port");
    assert_answer_means(*state, "vmferry\n", 8, "PeerUnreachable", "hung up");
}

static void
test_a_host_that_may_not_send(void **state)
{
    VmfPair *pair = *state;

    vmf_host_add_peer(pair->b, "hosta", pair->a->port, "MaySend=false");
    vmf_pair_start(pair);
    vmf_host_connect(pair->a, "hostb");
    vmf_host_assert_migration_fails(pair->a, "PeerRefused", "MaySend");
    assert_null(vmf_host_find_migration(pair->b));
}

static void
test_a_host_that_may_not_receive(void **state)
{
    VmfPair *pair = *state;
    g_autofree char *path = NULL;
    GError *error = NULL;

    vmf_host_add_peer(pair->a, "hostb", pair->b->port, "MayReceive=false");
    vmf_pair_start(pair);
    vmf_host_connect(pair->a, "hostb");
    vmf_bus_manager_call_migrate_sync(pair->a->manager, "running", "hostb",
                                      g_variant_new("a{sv}", NULL), &path, NULL, &error);
    vmf_assert_error(error, "PeerRefused", "MayReceive");
}

static void
test_unencrypted_takes_both_hosts(void **state)
{
    VmfPair *pair = *state;
    g_autofree char *path = NULL;
    g_autoptr(VmfBusMigration) migration = NULL;

    vmf_host_set(pair->a, "Security", "AllowUnencrypted", "true");
    vmf_host_set_guests(pair->b, "<node/>");
    vmf_pair_start(pair);
    assert_true(vmf_bus_manager_call_migrate_sync(pair->a->manager, "running", "hostb",
                                                  g_variant_new_parsed("{'unencrypted': <true>}"),
                                                  &path, NULL, NULL));
    migration = vmf_host_get_migration(pair->a, path);
    assert_false(vmf_bus_migration_get_encrypted(migration));
    vmf_wait_property(migration, "state", "failed");
    vmf_assert_error_property(vmf_bus_migration_get_error(migration), "FeatureMissing",
                              "AllowUnencrypted");
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, vmf_pair_tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_connect),
        CASE(test_features),
        CASE(test_reconnect_after_a_restart),
        CASE(test_links_come_back_by_themselves),
        CASE(test_a_daemon_that_hangs_is_noticed),
        CASE(test_the_first_address_that_answers),
        CASE(test_no_address_answers),
        CASE(test_a_host_that_is_not_in_peers_d),
        CASE(test_answers_to_the_preface),
        CASE(test_a_host_that_may_not_send),
        CASE(test_a_host_that_may_not_receive),
        CASE(test_unencrypted_takes_both_hosts),
    };

    return cmocka_run_group_tests_name("bus-links", tests, NULL, NULL);
}
