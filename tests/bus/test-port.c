/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The TCP port, met by strangers: raw bytes, as service/link/PROTOCOL.md has them. */
#include "fixture.h"

#include <string.h>

#include "link/preface.h"

#define CONNECTIONS 24

typedef struct {
    VmfLab *lab;
    VmfHost *a; /* a good peer */
    VmfHost *b; /* the one that is met */
} Fixture;

static int
set_up(void **state)
{
    Fixture *fixture = g_new0(Fixture, 1);
    g_autofree char *connections = g_strdup_printf("%d", CONNECTIONS);

    *state = fixture;
    fixture->lab = vmf_lab_new();
    fixture->a = vmf_lab_add_host(fixture->lab, "hosta");
    fixture->b = vmf_lab_add_host(fixture->lab, "hostb");
    vmf_host_add_peer(fixture->a, "hostb", fixture->b->port, NULL);
    vmf_host_add_peer(fixture->b, "hosta", fixture->a->port, NULL);
    vmf_host_set(fixture->b, "Limits", "Connections", connections);
    vmf_host_start(fixture->b);
    return 0;
}

static int
tear_down(void **state)
{
    Fixture *fixture = *state;

    if (fixture->a->daemon)
        vmf_host_stop(fixture->a);
    vmf_host_stop(fixture->b);
    vmf_lab_free(fixture->lab);
    g_free(fixture);
    return 0;
}

/* ---- a stranger ---- */

static GSocket *
dial(Fixture *fixture)
{
    GSocket *socket =
        g_socket_new(G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL);
    g_autoptr(GSocketAddress) address =
        g_inet_socket_address_new_from_string("127.0.0.1", fixture->b->port);

    g_socket_set_timeout(socket, VMF_PATIENCE);
    assert_true(g_socket_connect(socket, address, NULL, NULL));
    return socket;
}

static void
say(GSocket *socket, const void *data, gsize size)
{
    assert_int_equal(g_socket_send(socket, data, size, NULL, NULL), size);
}

/* All that comes until the other side hangs up, or `size` bytes; how many. */
static gsize
hear(GSocket *socket, void *data, gsize size)
{
    gsize length = 0;

    while (length < size) {
        g_autoptr(GError) error = NULL;
        gssize n = g_socket_receive(socket, (char *)data + length, size - length, NULL, &error);

        if (n < 0 && !g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED))
            fail_msg("hearing an answer: %s", error->message);
        if (n <= 0)
            break;
        length += (gsize)n;
    }
    return length;
}

static void
assert_hung_up(GSocket *socket)
{
    uint8_t byte;

    assert_int_equal(hear(socket, &byte, 1), 0);
}

static void
assert_answer(GSocket *socket, VmfAnswer status)
{
    uint8_t answer[VMF_ANSWER_SIZE];
    uint8_t expected[VMF_ANSWER_SIZE];

    vmf_answer_encode(status, expected);
    assert_int_equal(hear(socket, answer, sizeof answer), sizeof answer);
    assert_memory_equal(answer, expected, sizeof answer);
}

/* A preface of version 1 with `count` of its bytes from `offset` on replaced. */
static void
say_preface(GSocket *socket, VmfLinkKind kind, gsize offset, const char *bytes, gsize count)
{
    const VmfPreface preface = {.version = VMF_PROTOCOL_VERSION, .kind = kind};
    uint8_t data[VMF_PREFACE_SIZE];

    vmf_preface_encode(&preface, data);
    memcpy(data + offset, bytes, count);
    say(socket, data, sizeof data);
}

/* ---- prefaces ---- */

static void
test_what_is_no_preface_gets_no_answer(void **state)
{
    g_autoptr(GSocket) web = dial(*state);
    g_autoptr(GSocket) tls = dial(*state);
    g_autoptr(GSocket) reserved = dial(*state);
    g_autoptr(GSocket) cut = dial(*state);
    const char hello[VMF_PREFACE_SIZE] = {0x16, 0x03, 0x01, 0x02};

    say(web, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", 37);
    assert_hung_up(web);
    say(tls, hello, sizeof hello);
    assert_hung_up(tls);
    say_preface(reserved, VMF_LINK_KIND_CONTROL, 15, "\1", 1);
    assert_hung_up(reserved);
    say(cut, "vmferry\n", 8);
    assert_true(g_socket_shutdown(cut, FALSE, TRUE, NULL));
    assert_hung_up(cut);
}

static void
test_other_versions_hear_ours(void **state)
{
    const char *const versions[] = {"\0\2", "\0\0", "\377\377"};

    for (guint i = 0; i < G_N_ELEMENTS(versions); i++) {
        g_autoptr(GSocket) socket = dial(*state);

        say_preface(socket, VMF_LINK_KIND_CONTROL, 8, versions[i], 2);
        assert_answer(socket, VMF_ANSWER_VERSION);
        assert_hung_up(socket);
    }
}

static void
test_kinds_that_are_not_taken(void **state)
{
    const char *const kinds[] = {"\0", "\3", "\377"};

    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autoptr(GSocket) socket = dial(*state);

        say_preface(socket, VMF_LINK_KIND_CONTROL, 10, kinds[i], 1);
        assert_answer(socket, VMF_ANSWER_KIND);
        assert_hung_up(socket);
    }
}

static void
test_an_unknown_ticket(void **state)
{
    g_autoptr(GSocket) zero = dial(*state);
    g_autoptr(GSocket) other = dial(*state);

    say_preface(zero, VMF_LINK_KIND_DATA, 16, "", 0);
    assert_answer(zero, VMF_ANSWER_TICKET);
    assert_hung_up(zero);
    say_preface(other, VMF_LINK_KIND_DATA, 16, "0123456789abcdef", 16);
    assert_answer(other, VMF_ANSWER_TICKET);
    assert_hung_up(other);
}

static void
test_no_tls_after_the_preface(void **state)
{
    g_autoptr(GSocket) socket = dial(*state);
    uint8_t alert[64];

    say_preface(socket, VMF_LINK_KIND_CONTROL, 0, "", 0);
    assert_answer(socket, VMF_ANSWER_OK);
    say(socket, "AUTH ANONYMOUS\r\nBEGIN\r\n", 23);
    assert_in_range(hear(socket, alert, sizeof alert), 0, sizeof alert - 1);
}

static gboolean
accept_any(GTlsConnection *tls, GTlsCertificate *certificate, GTlsCertificateFlags flags,
           gpointer data)
{
    return TRUE;
}

/* The start of TLS by somebody who has no certificate of ours. */
static void
test_tls_without_a_certificate(void **state)
{
    g_autoptr(GSocket) socket = dial(*state);
    g_autoptr(GSocketConnection) connection = NULL;
    g_autoptr(GIOStream) tls = NULL;
    uint8_t byte;

    say_preface(socket, VMF_LINK_KIND_CONTROL, 0, "", 0);
    assert_answer(socket, VMF_ANSWER_OK);
    connection = g_socket_connection_factory_create_connection(socket);
    tls = g_tls_client_connection_new(G_IO_STREAM(connection), NULL, NULL);
    g_signal_connect(tls, "accept-certificate", G_CALLBACK(accept_any), NULL);
    /* under TLS 1.3 the refusal may come only after the client's own handshake */
    if (g_tls_connection_handshake(G_TLS_CONNECTION(tls), NULL, NULL)) {
        g_autoptr(GError) error = NULL;

        assert_int_equal(
            g_input_stream_read(g_io_stream_get_input_stream(tls), &byte, 1, NULL, &error), -1);
        assert_non_null(error);
    }
}

/* ---- many ---- */

static void
assert_connects(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;

    if (!vmf_bus_manager_call_connect_sync(fixture->a->manager, "hostb", NULL, &error))
        fail_msg("Connect: %s", error->message);
}

static void
test_too_many_idle_connections(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GPtrArray) idle = g_ptr_array_new_with_free_func(g_object_unref);
    g_autoptr(GSocket) one_more = NULL;
    GError *error = NULL;

    vmf_host_start(fixture->a);
    for (int i = 0; i < CONNECTIONS; i++)
        g_ptr_array_add(idle, dial(fixture));
    one_more = dial(fixture);
    assert_answer(one_more, VMF_ANSWER_BUSY);
    assert_hung_up(one_more);
    vmf_bus_manager_call_connect_sync(fixture->a->manager, "hostb", NULL, &error);
    vmf_assert_error(error, "LimitReached", "try again");
    for (guint i = 0; i < idle->len; i++) {
        assert_true(g_socket_shutdown(idle->pdata[i], FALSE, TRUE, NULL));
        assert_hung_up(idle->pdata[i]);
    }
    assert_connects(fixture);
}

/* Strangers that stop in the middle of the handshake: what this host does itself goes on. */
static void
test_strangers_do_not_keep_the_daemon_busy(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GPtrArray) strangers = g_ptr_array_new_with_free_func(g_object_unref);
    gint64 start;

    vmf_host_start(fixture->a);
    for (int i = 0; i < CONNECTIONS - 1; i++) {
        GSocket *socket = dial(fixture);

        g_ptr_array_add(strangers, socket);
        say_preface(socket, VMF_LINK_KIND_CONTROL, 0, "", 0);
        assert_answer(socket, VMF_ANSWER_OK);
    }
    start = g_get_monotonic_time();
    for (int i = 0; i < 3; i++) {
        g_autofree char *path = NULL;
        GError *error = NULL;

        vmf_bus_manager_call_migrate_sync(fixture->b->manager, "nobody", "hosta",
                                          g_variant_new("a{sv}", NULL), &path, NULL, &error);
        vmf_assert_error(error, "NoSuchDomain", NULL);
    }
    assert_connects(fixture);
    /* waiting for the strangers would take up to the 10 s that they are given */
    assert_in_range(g_get_monotonic_time() - start, 0, 6 * G_USEC_PER_SEC);
}

static void
test_the_daemon_ends_while_strangers_wait(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GSocket) silent = dial(fixture);
    g_autoptr(GSocket) started = dial(fixture);
    gint64 asked;

    say_preface(started, VMF_LINK_KIND_CONTROL, 0, "", 0);
    assert_answer(started, VMF_ANSWER_OK);
    asked = g_get_monotonic_time();
    vmf_host_stop(fixture->b);
    assert_in_range(g_get_monotonic_time() - asked, 0, 5 * G_USEC_PER_SEC);
    vmf_host_start(fixture->b);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_what_is_no_preface_gets_no_answer),
        CASE(test_other_versions_hear_ours),
        CASE(test_kinds_that_are_not_taken),
        CASE(test_an_unknown_ticket),
        CASE(test_no_tls_after_the_preface),
        CASE(test_tls_without_a_certificate),
        CASE(test_too_many_idle_connections),
        CASE(test_strangers_do_not_keep_the_daemon_busy),
        CASE(test_the_daemon_ends_while_strangers_wait),
    };

    return cmocka_run_group_tests_name("bus-port", tests, NULL, NULL);
}
