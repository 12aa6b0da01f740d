/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The TCP port, met by strangers: raw bytes, as service/link/PROTOCOL.md has them. */
#include "stranger.h"

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

/* ---- prefaces ---- */

static void
test_what_is_no_preface_gets_no_answer(void **state)
{
    g_autoptr(GSocket) web = vmf_stranger_dial(((Fixture *)*state)->b);
    g_autoptr(GSocket) tls = vmf_stranger_dial(((Fixture *)*state)->b);
    g_autoptr(GSocket) reserved = vmf_stranger_dial(((Fixture *)*state)->b);
    g_autoptr(GSocket) cut = vmf_stranger_dial(((Fixture *)*state)->b);
    const char hello[VMF_PREFACE_SIZE] = {0x16, 0x03, 0x01, 0x02};

    vmf_stranger_say(web, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", 37);
    vmf_stranger_assert_hung_up(web);
    vmf_stranger_say(tls, hello, sizeof hello);
    vmf_stranger_assert_hung_up(tls);
    vmf_stranger_say_preface(reserved, VMF_LINK_KIND_CONTROL, 15, "\1", 1);
    vmf_stranger_assert_hung_up(reserved);
    vmf_stranger_say(cut, "vmferry\n", 8);
    assert_true(g_socket_shutdown(cut, FALSE, TRUE, NULL));
    vmf_stranger_assert_hung_up(cut);
}

static void
test_other_versions_hear_ours(void **state)
{
    const char *const versions[] = {"\0\2", "\0\0", "\377\377"};

    for (guint i = 0; i < G_N_ELEMENTS(versions); i++) {
        g_autoptr(GSocket) socket = vmf_stranger_dial(((Fixture *)*state)->b);

        vmf_stranger_say_preface(socket, VMF_LINK_KIND_CONTROL, 8, versions[i], 2);
        vmf_stranger_assert_answer(socket, VMF_ANSWER_VERSION);
        vmf_stranger_assert_hung_up(socket);
    }
}

static void
test_kinds_that_are_not_taken(void **state)
{
    const char *const kinds[] = {"\0", "\3", "\377"};

    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autoptr(GSocket) socket = vmf_stranger_dial(((Fixture *)*state)->b);

        vmf_stranger_say_preface(socket, VMF_LINK_KIND_CONTROL, 10, kinds[i], 1);
        vmf_stranger_assert_answer(socket, VMF_ANSWER_KIND);
        vmf_stranger_assert_hung_up(socket);
    }
}

static void
test_an_unknown_ticket(void **state)
{
    g_autoptr(GSocket) zero = vmf_stranger_dial(((Fixture *)*state)->b);
    g_autoptr(GSocket) other = vmf_stranger_dial(((Fixture *)*state)->b);

    vmf_stranger_say_preface(zero, VMF_LINK_KIND_DATA, 16, "", 0);
    vmf_stranger_assert_answer(zero, VMF_ANSWER_TICKET);
    vmf_stranger_assert_hung_up(zero);
    vmf_stranger_say_preface(other, VMF_LINK_KIND_DATA, 16, "0123456789abcdef", 16);
    vmf_stranger_assert_answer(other, VMF_ANSWER_TICKET);
    vmf_stranger_assert_hung_up(other);
}

static void
test_no_tls_after_the_preface(void **state)
{
    g_autoptr(GSocket) socket = vmf_stranger_dial(((Fixture *)*state)->b);
    uint8_t alert[64];

    vmf_stranger_say_preface(socket, VMF_LINK_KIND_CONTROL, 0, "", 0);
    vmf_stranger_assert_answer(socket, VMF_ANSWER_OK);
    vmf_stranger_say(socket, "AUTH ANONYMOUS\r\nBEGIN\r\n", 23);
    assert_in_range(vmf_stranger_hear(socket, alert, sizeof alert), 0, sizeof alert - 1);
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
    g_autoptr(GSocket) socket = vmf_stranger_dial(((Fixture *)*state)->b);
    g_autoptr(GSocketConnection) connection = NULL;
    g_autoptr(GIOStream) tls = NULL;
    uint8_t byte;

    vmf_stranger_say_preface(socket, VMF_LINK_KIND_CONTROL, 0, "", 0);
    vmf_stranger_assert_answer(socket, VMF_ANSWER_OK);
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
test_too_many_idle_connections(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GPtrArray) idle = g_ptr_array_new_with_free_func(g_object_unref);
    g_autoptr(GSocket) one_more = NULL;
    GError *error = NULL;

    vmf_host_start(fixture->a);
    for (int i = 0; i < CONNECTIONS; i++)
        g_ptr_array_add(idle, vmf_stranger_dial(fixture->b));
    one_more = vmf_stranger_dial(fixture->b);
    vmf_stranger_assert_answer(one_more, VMF_ANSWER_BUSY);
    vmf_stranger_assert_hung_up(one_more);
    vmf_bus_manager_call_connect_sync(fixture->a->manager, "hostb", NULL, &error);
    vmf_assert_error(error, "LimitReached", "try again");
    for (guint i = 0; i < idle->len; i++) {
        assert_true(g_socket_shutdown(idle->pdata[i], FALSE, TRUE, NULL));
        vmf_stranger_assert_hung_up(idle->pdata[i]);
    }
    vmf_host_connect(fixture->a, "hostb");
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
        GSocket *socket = vmf_stranger_dial(fixture->b);

        g_ptr_array_add(strangers, socket);
        vmf_stranger_say_preface(socket, VMF_LINK_KIND_CONTROL, 0, "", 0);
        vmf_stranger_assert_answer(socket, VMF_ANSWER_OK);
    }
    start = g_get_monotonic_time();
    for (int i = 0; i < 3; i++) {
        g_autofree char *path = NULL;
        GError *error = NULL;

        vmf_bus_manager_call_migrate_sync(fixture->b->manager, "nobody", "hosta",
                                          g_variant_new("a{sv}", NULL), &path, NULL, &error);
        vmf_assert_error(error, "NoSuchDomain", NULL);
    }
    vmf_host_connect(fixture->a, "hostb");
    /* waiting for the strangers would take up to the 10 s that they are given */
    assert_in_range(g_get_monotonic_time() - start, 0, 6 * G_USEC_PER_SEC);
}

static void
test_the_daemon_ends_while_strangers_wait(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GSocket) silent = vmf_stranger_dial(fixture->b);
    g_autoptr(GSocket) started = vmf_stranger_dial(fixture->b);
    gint64 asked;

    vmf_stranger_say_preface(started, VMF_LINK_KIND_CONTROL, 0, "", 0);
    vmf_stranger_assert_answer(started, VMF_ANSWER_OK);
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
