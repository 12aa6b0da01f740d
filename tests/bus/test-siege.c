/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The TCP port under siege: strangers in masses, and what they cost. A real daemon; what it logged,
 * its descriptors and its memory are read afterwards.
 */
#include "stranger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "link/ticket.h"

#define SEED 20261120
#define IDLE 1000     /* connections that say nothing */
#define CROWD 10000   /* connections of random bytes */
#define LIMIT 64      /* Connections, by default */
#define GREETING_S 10 /* what a stranger is given, PROTOCOL.md */
#define PREFACE_LATE "it did not say a whole preface"
#define NO_PREFACE "does not open with vmferry's preface"

/* What malloc keeps for itself, after a crowd that is as large as one before. A sanitizer keeps all
 * that was freed. */
#ifdef __SANITIZE_ADDRESS__
#define MEMORY_SLACK_KIB (512 * 1024)
#else
#define MEMORY_SLACK_KIB 1024
#endif

typedef struct {
    VmfLab *lab;
    VmfHost *a; /* a good peer */
    VmfHost *b; /* the one that is met */
    GRand *random;
} Fixture;

static int
set_up(void **state)
{
    Fixture *fixture = g_new0(Fixture, 1);

    *state = fixture;
    fixture->random = g_rand_new_with_seed(SEED);
    fixture->lab = vmf_lab_new();
    fixture->a = vmf_lab_add_host(fixture->lab, "hosta");
    fixture->b = vmf_lab_add_host(fixture->lab, "hostb");
    vmf_host_add_peer(fixture->a, "hostb", fixture->b->port, NULL);
    vmf_host_add_peer(fixture->b, "hosta", fixture->a->port, NULL);
    vmf_host_start(fixture->b);
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
    g_rand_free(fixture->random);
    g_free(fixture);
    return 0;
}

/* ---- what a daemon costs ---- */

static guint
count_descriptors(VmfHost *host)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/fd", (int)vmf_host_get_pid(host));
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
    guint n = 0;

    assert_non_null(directory);
    while (g_dir_read_name(directory))
        n++;
    return n;
}

/* KiB that are the daemon's alone. */
static guint64
private_memory(VmfHost *host)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/smaps_rollup", (int)vmf_host_get_pid(host));
    g_autofree char *text = NULL;
    const char *line;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    line = strstr(text, "Private_Dirty:");
    assert_non_null(line);
    return g_ascii_strtoull(line + strlen("Private_Dirty:"), NULL, 10);
}

/* µs of processor time of its main thread. */
static gint64
time_used(VmfHost *host)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/schedstat", (int)vmf_host_get_pid(host));
    g_autofree char *text = NULL;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return (gint64)(g_ascii_strtoull(text, NULL, 10) / 1000);
}

/* One line for the first of them, and one, when it ends, that counts the others. */
static void
assert_logged_once(Fixture *fixture, const char *words, guint others)
{
    g_autofree char *counted = g_strdup_printf("refused %u more such connection", others);

    vmf_host_assert_logged_once(fixture->b, words);
    vmf_host_stop(fixture->b);
    assert_int_equal(vmf_host_count_log(fixture->b, words), others > 0 ? 2 : 1);
    assert_int_equal(vmf_host_count_log(fixture->b, counted), others > 0 ? 1 : 0);
}

/* ---- garbage ---- */

/* Until the other side hangs up; it may do that in the middle. */
static void
say_until_hung_up(GSocket *socket, const void *data, gsize size)
{
    while (size > 0) {
        gssize n = g_socket_send(socket, data, size, NULL, NULL);

        if (n < 0)
            return;
        data = (const char *)data + n;
        size -= (gsize)n;
    }
    vmf_stranger_assert_hung_up(socket);
}

static uint8_t *
random_bytes(Fixture *fixture, gsize size)
{
    guint32 *bytes = g_new(guint32, size / 4 + 1);

    for (gsize i = 0; i < size / 4 + 1; i++)
        bytes[i] = g_rand_int(fixture->random);
    return (uint8_t *)bytes;
}

static void
test_random_bytes(void **state)
{
    Fixture *fixture = *state;
    g_autofree uint8_t *bytes = random_bytes(fixture, 1 << 20);

    for (int i = 0; i < 100; i++) {
        g_autoptr(GSocket) socket = vmf_stranger_dial(fixture->b);

        say_until_hung_up(socket, bytes, i == 0 ? 1 << 20 : VMF_PREFACE_SIZE);
    }
    vmf_host_start(fixture->a);
    vmf_host_connect(fixture->a, "hostb");
    assert_logged_once(fixture, NO_PREFACE, 99);
}

/* ---- those who take their time ---- */

static void
test_slow_senders(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GPtrArray) sockets = g_ptr_array_new_with_free_func(g_object_unref);
    gint64 start = g_get_monotonic_time();
    guint alive = 20;

    vmf_host_start(fixture->a);
    for (guint i = 0; i < alive; i++)
        g_ptr_array_add(sockets, vmf_stranger_dial(fixture->b));
    /* one byte of a good preface in a second, from each of them */
    for (guint byte = 0; alive > 0; byte++) {
        assert_true(byte < VMF_PREFACE_SIZE);
        g_usleep(G_USEC_PER_SEC);
        for (guint i = 0; i < sockets->len; i++)
            if (g_socket_send(sockets->pdata[i], "vmferry\n" + byte % 8, 1, NULL, NULL) < 0 ||
                g_socket_condition_check(sockets->pdata[i], G_IO_HUP | G_IO_IN))
                alive--;
        if (alive > 0)
            alive = sockets->len;
        if (byte == 3)
            vmf_host_connect(fixture->a, "hostb");
    }
    assert_in_range(g_get_monotonic_time() - start, (GREETING_S - 1) * G_USEC_PER_SEC,
                    (GREETING_S + 8) * G_USEC_PER_SEC);
    assert_logged_once(fixture, PREFACE_LATE, 19);
}

static gboolean
has_few_descriptors(gpointer host)
{
    return count_descriptors(host) < LIMIT;
}

static void
test_a_thousand_idle_connections(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GPtrArray) sockets = g_ptr_array_new_with_free_func(g_object_unref);
    guint before = count_descriptors(fixture->b);
    guint busy = 0;
    GError *error = NULL;

    vmf_host_start(fixture->a);
    for (int i = 0; i < IDLE; i++)
        g_ptr_array_add(sockets, vmf_stranger_dial(fixture->b));
    for (int i = LIMIT; i < IDLE; i++)
        vmf_stranger_assert_answer(sockets->pdata[i], VMF_ANSWER_BUSY);
    assert_in_range(count_descriptors(fixture->b), before, before + LIMIT + 8);
    vmf_bus_manager_call_connect_sync(fixture->a->manager, "hostb", NULL, &error);
    vmf_assert_error(error, "LimitReached", "try again");
    busy = vmf_host_count_log(fixture->b, "have not shown yet who they are");
    assert_int_equal(busy, 1);
    g_ptr_array_set_size(sockets, 0);
    vmf_wait_until(has_few_descriptors, fixture->b, "the end of the idle connections");
    vmf_host_connect(fixture->a, "hostb");
    assert_logged_once(fixture, "64 others have not shown yet", IDLE - LIMIT);
}

/* No descriptor is left, so those who come have to wait; the daemon does not spin over it. */
static void
test_descriptors_run_out(void **state)
{
    Fixture *fixture = *state;
    g_autoptr(GPtrArray) sockets = g_ptr_array_new_with_free_func(g_object_unref);
    const guint used = count_descriptors(fixture->b);
    const struct rlimit few = {used + 8, 4096};
    gint64 before;

    assert_int_equal(prlimit(vmf_host_get_pid(fixture->b), RLIMIT_NOFILE, &few, NULL), 0);
    vmf_host_start(fixture->a);
    for (int i = 0; i < 40; i++)
        g_ptr_array_add(sockets, vmf_stranger_dial(fixture->b));
    g_usleep(500 * 1000);
    before = time_used(fixture->b);
    g_usleep(3 * G_USEC_PER_SEC);
    assert_in_range(time_used(fixture->b) - before, 0, 300 * 1000);
    vmf_host_assert_logged_once(fixture->b, "Too many open files");
    g_ptr_array_set_size(sockets, 0);
    vmf_wait_until(has_few_descriptors, fixture->b, "the end of the idle connections");
    vmf_host_connect(fixture->a, "hostb");
}

/* ---- the crowd ---- */

/* Something of everything, mostly garbage, and hangs up at once. */
static void
knock(Fixture *fixture)
{
    g_autoptr(GSocket) socket = vmf_stranger_dial(fixture->b);
    g_autofree uint8_t *bytes = random_bytes(fixture, 64);
    guint what = g_rand_int_range(fixture->random, 0, 100);
    VmfPreface preface = {.version = VMF_PROTOCOL_VERSION, .kind = VMF_LINK_KIND_DATA};

    if (what < 40) { /* a preface that is good in part */
        memcpy(preface.ticket, bytes, sizeof preface.ticket);
        preface.version = what < 10 ? bytes[40] : VMF_PROTOCOL_VERSION;
        preface.kind = what < 20 ? bytes[41] : VMF_LINK_KIND_DATA;
        if (what == 39)
            preface.kind = VMF_LINK_KIND_CONTROL;
        vmf_preface_encode(&preface, bytes);
    }
    (void)g_socket_send(socket, (const char *)bytes, what % 10 ? VMF_PREFACE_SIZE : bytes[63] % 64,
                        NULL, NULL);
}

typedef struct {
    VmfHost *host;
    guint descriptors;
} Rest;

static gboolean
is_at_rest(gpointer data)
{
    const Rest *rest = data;

    return count_descriptors(rest->host) <= rest->descriptors;
}

static gboolean
wake(gpointer unused)
{
    return G_SOURCE_CONTINUE;
}

static void
wait_for_rest(VmfHost *host, guint descriptors)
{
    Rest rest = {host, descriptors};
    guint timer = g_timeout_add(50, wake, NULL); /* /proc tells nobody when it changes */

    vmf_wait_until(is_at_rest, &rest, "the end of all connections");
    g_source_remove(timer);
}

static void
test_ten_thousand_random_connections(void **state)
{
    Fixture *fixture = *state;
    guint descriptors = count_descriptors(fixture->b);
    guint lines;
    guint64 memory;
    gint64 start, used;

    for (int i = 0; i < CROWD / 10; i++) /* what is kept for the next time is not growth */
        knock(fixture);
    wait_for_rest(fixture->b, descriptors);
    memory = private_memory(fixture->b);
    lines = vmf_host_count_log(fixture->b, "");
    start = g_get_monotonic_time();
    used = time_used(fixture->b);
    for (int i = 0; i < CROWD; i++)
        knock(fixture);
    wait_for_rest(fixture->b, descriptors);
    used = time_used(fixture->b) - used;
    assert_in_range(g_get_monotonic_time() - start, 0, 30 * G_USEC_PER_SEC);
    assert_in_range(private_memory(fixture->b), 0, memory + MEMORY_SLACK_KIB);
    print_message(
        "10,000 connections: %.1f s, of the daemon's %.1f s; private memory %" G_GUINT64_FORMAT
        " -> %" G_GUINT64_FORMAT " KiB; descriptors %u -> %u\n",
        (double)(g_get_monotonic_time() - start) / G_USEC_PER_SEC, (double)used / G_USEC_PER_SEC,
        memory, private_memory(fixture->b), descriptors, count_descriptors(fixture->b));
    /* each cause was logged before, and is only counted now */
    assert_in_range(vmf_host_count_log(fixture->b, ""), lines, lines + 20);
    vmf_host_start(fixture->a);
    vmf_host_connect(fixture->a, "hostb");
}

/* ---- TLS that never gets anywhere ---- */

typedef struct {
    const char *what;
    const char *record;
    gsize size;
} Flood;

#define FLOOD(what, bytes)                                                                         \
    {                                                                                              \
        what, bytes, sizeof bytes - 1                                                              \
    }

/* Whatever a stranger pours in after the preface, it is not for long, and nothing of it stays. */
static void
test_floods_in_the_handshake(void **state)
{
    Fixture *fixture = *state;
    const Flood floods[] = {
        FLOOD("warnings", "\x15\x03\x03\x00\x02\x01\x5a"),
        FLOOD("changes of cipher", "\x14\x03\x03\x00\x01\x01"),
        FLOOD("empty records", "\x16\x03\x03\x00\x00"),
        FLOOD("a greeting of 16 MiB", "\x16\x03\x03\x00\x08\x01\xff\xff\xff\x03\x03\x00\x00"),
        FLOOD("data", "\x17\x03\x03\x00\x04zzzz"),
    };
    guint descriptors = count_descriptors(fixture->b);

    for (guint i = 0; i < G_N_ELEMENTS(floods); i++) {
        g_autoptr(GSocket) socket = vmf_stranger_dial(fixture->b);
        gint64 start = g_get_monotonic_time();
        gsize sent = 0;
        gssize n = 0;

        vmf_stranger_say_preface(socket, VMF_LINK_KIND_CONTROL, 0, "", 0);
        vmf_stranger_assert_answer(socket, VMF_ANSWER_OK);
        for (; n >= 0 && sent < 1u << 30; sent += (gsize)MAX(n, 0))
            n = g_socket_send(socket, floods[i].record, floods[i].size, NULL, NULL);
        if (n >= 0)
            fail_msg("%s: 1 GiB of it was taken", floods[i].what);
        assert_in_range(g_get_monotonic_time() - start, 0, (GREETING_S + 5) * G_USEC_PER_SEC);
    }
    wait_for_rest(fixture->b, descriptors);
    vmf_host_start(fixture->a);
    vmf_host_connect(fixture->a, "hostb");
    assert_logged_once(fixture, "TLS", G_N_ELEMENTS(floods) - 1);
}

/* ---- named on both sides ---- */

static void
test_an_unknown_version_is_named_by_the_listener(void **state)
{
    Fixture *fixture = *state;
    uint8_t answer[VMF_ANSWER_SIZE];
    g_autoptr(GError) error = NULL;

    for (int i = 0; i < 5; i++) {
        g_autoptr(GSocket) socket = vmf_stranger_dial(fixture->b);

        vmf_stranger_say_preface(socket, VMF_LINK_KIND_CONTROL, 8, "\0\7", 2);
        assert_int_equal(vmf_stranger_hear(socket, answer, sizeof answer), sizeof answer);
        vmf_stranger_assert_hung_up(socket);
        /* what the other side's user is told */
        g_clear_error(&error);
        assert_false(vmf_answer_decode(answer, &error));
        assert_non_null(strstr(error->message, "bring both hosts to a common version"));
    }
    vmf_host_assert_logged_once(fixture->b, "protocol version 7, this side version 1");
    assert_logged_once(fixture, "bring both hosts to a common version", 4);
}

static void
test_guessed_tickets(void **state)
{
    Fixture *fixture = *state;

    for (int i = 0; i < 50; i++) {
        g_autoptr(GSocket) socket = vmf_stranger_dial(fixture->b);
        g_autofree uint8_t *ticket = random_bytes(fixture, VMF_TICKET_ID_SIZE);

        vmf_stranger_say_preface(socket, VMF_LINK_KIND_DATA, 16, (const char *)ticket,
                                 VMF_TICKET_ID_SIZE);
        vmf_stranger_assert_answer(socket, VMF_ANSWER_TICKET);
        vmf_stranger_assert_hung_up(socket);
    }
    assert_logged_once(fixture, "a ticket that is unknown", 49);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_random_bytes),
        CASE(test_slow_senders),
        CASE(test_a_thousand_idle_connections),
        CASE(test_descriptors_run_out),
        CASE(test_ten_thousand_random_connections),
        CASE(test_floods_in_the_handshake),
        CASE(test_an_unknown_version_is_named_by_the_listener),
        CASE(test_guessed_tickets),
    };

    return cmocka_run_group_tests_name("bus-siege", tests, NULL, NULL);
}
