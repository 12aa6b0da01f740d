/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes through two pumps: order, ends, bounds. What goes wrong is in test-pump-faults.c. */
#include "pump-fixture.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MIB (1024 * 1024)

static guint64
figure(const PumpSide *side, const char *name)
{
    g_autoptr(GVariant) figures = g_variant_ref_sink(vmf_pump_statistics(side->pump));
    guint64 value = 0;

    assert_true(g_variant_lookup(figures, name, "t", &value));
    return value;
}

static void
assert_clean(const PumpPair *pair, guint channels)
{
    assert_null(pair->source.error);
    assert_null(pair->destination.error);
    assert_int_equal(pair->source.n_clean_channels, channels);
    assert_int_equal(pair->destination.n_clean_channels, channels);
}

/* 300 MiB one way and 20 the other, at once, byte for byte. */
static void
carry(gboolean encrypt, guint64 bytes)
{
    PumpPair *pair = pump_pair_linked(encrypt);
    guint id = pump_pair_open(pair, "qemu");
    PumpStream streams[] = {
        {.fd = pair->at_source[id - 1], .bytes = bytes, .seed = 1, .finish = TRUE},
        {.fd = pair->at_destination[id - 1], .bytes = bytes, .seed = 1, .finish = TRUE},
        {.fd = pair->at_destination[id - 1], .bytes = 20 * MIB + 3, .seed = 2, .finish = TRUE},
        {.fd = pair->at_source[id - 1], .bytes = 20 * MIB + 3, .seed = 2, .finish = TRUE},
    };

    for (guint i = 0; i < G_N_ELEMENTS(streams); i++)
        i % 2 == 0 ? pump_stream_write(&streams[i]) : pump_stream_read(&streams[i]);
    for (guint i = 0; i < G_N_ELEMENTS(streams); i++)
        pump_stream_wait(&streams[i]);
    pump_pair_wait_ended(pair);
    assert_clean(pair, 1);
    assert_int_equal(figure(&pair->source, "bytes-from-qemu"), bytes);
    assert_int_equal(figure(&pair->source, "bytes-to-qemu"), 20 * MIB + 3);
    assert_int_equal(figure(&pair->destination, "bytes-to-qemu"), bytes);
    assert_int_equal(figure(&pair->destination, "bytes-from-qemu"), 20 * MIB + 3);
    assert_int_equal(figure(&pair->source, "bytes-wire-out"),
                     figure(&pair->destination, "bytes-wire-in"));
    /* frames and records cost next to nothing */
    assert_in_range(figure(&pair->source, "bytes-wire-out"), bytes, bytes + bytes / 100 + 100000);
    assert_int_equal(figure(&pair->source, "buffered"), 0);
    assert_int_equal(figure(&pair->destination, "buffered"), 0);
    assert_true(pair->source.buffered_max <= VMF_FLIGHT_MAX + 2 * MIB);
    assert_true(pair->destination.buffered_max <= VMF_FLIGHT_MAX + 2 * MIB);
    pump_pair_free(pair);
}

static void
test_tls(void **state)
{
    carry(TRUE, 300 * MIB);
}

static void
test_clear(void **state)
{
    carry(FALSE, 100 * MIB + 12345);
}

/* As a migration ends: the source closes after the destination's last words, and not before. */
static void
test_ends_come_in_order(void **state)
{
    PumpPair *pair = pump_pair_linked(TRUE);
    guint id = pump_pair_open(pair, "qemu");
    int source = pair->at_source[id - 1], destination = pair->at_destination[id - 1];

    pump_write(source, "device state");
    pump_expect(destination, "device state");
    pump_write(destination, "SHUT");
    assert_int_equal(close(destination), 0);
    pair->at_destination[id - 1] = -1;
    pump_expect(source, "SHUT");
    pump_expect_end(source);
    assert_false(pair->source.ended || pair->destination.ended);
    assert_int_equal(close(source), 0);
    pair->at_source[id - 1] = -1;
    pump_pair_wait_ended(pair);
    assert_clean(pair, 1);
    pump_pair_free(pair);
}

static void
test_half_close_leaves_the_way_back(void **state)
{
    PumpPair *pair = pump_pair_linked(FALSE);
    guint id = pump_pair_open(pair, "qemu");
    int source = pair->at_source[id - 1], destination = pair->at_destination[id - 1];

    pump_write(source, "last");
    assert_int_equal(shutdown(source, SHUT_WR), 0);
    pump_expect(destination, "last");
    pump_expect_end(destination);
    for (int i = 0; i < 10; i++) {
        pump_write(destination, "answer");
        pump_expect(source, "answer");
    }
    pump_expect_silence(source, 50);
    assert_int_equal(shutdown(destination, SHUT_WR), 0);
    pump_expect_end(source);
    pump_pair_wait_ended(pair);
    assert_clean(pair, 1);
    pump_pair_free(pair);
}

/* Disks may come and go before QEMU's stream; that is not the end. */
static void
test_goes_on_until_qemu_has_been(void **state)
{
    PumpPair *pair = pump_pair_linked(TRUE);

    for (int i = 0; i < 2; i++) {
        guint id = pump_pair_open(pair, i == 0 ? "nbd" : "qemu");

        pump_write(pair->at_source[id - 1], "bytes");
        pump_expect(pair->at_destination[id - 1], "bytes");
        assert_int_equal(shutdown(pair->at_source[id - 1], SHUT_WR), 0);
        assert_int_equal(shutdown(pair->at_destination[id - 1], SHUT_WR), 0);
        pump_expect_end(pair->at_source[id - 1]);
        pump_expect_end(pair->at_destination[id - 1]);
    }
    pump_pair_wait_ended(pair);
    assert_clean(pair, 2);
    pump_pair_free(pair);
}

static void
test_single_bytes_go_at_once(void **state)
{
    PumpPair *pair = pump_pair_linked(TRUE);
    guint id = pump_pair_open(pair, "qemu");

    for (int i = 0; i < 1000; i++) {
        pump_write(pair->at_source[id - 1], "p");
        pump_expect(pair->at_destination[id - 1], "p");
        pump_write(pair->at_destination[id - 1], "q");
        pump_expect(pair->at_source[id - 1], "q");
    }
    assert_int_equal(figure(&pair->source, "bytes-from-qemu"), 1000);
    pump_pair_free(pair);
}

/* The end that speaks first may be the destination's. */
static void
test_destination_speaks_first(void **state)
{
    PumpPair *pair = pump_pair_linked(TRUE);
    guint id = pump_pair_open(pair, "nbd");

    pump_write(pair->at_destination[id - 1], "NBDMAGIC");
    pump_expect(pair->at_source[id - 1], "NBDMAGIC");
    pump_pair_free(pair);
}

static void
test_stalled_channel_blocks_no_other(void **state)
{
    PumpPair *pair = pump_pair_linked(TRUE);
    guint stalled = pump_pair_open(pair, "qemu");
    guint other = pump_pair_open(pair, "qemu");
    PumpStream into = {
        .fd = pair->at_source[stalled - 1], .bytes = 100 * MIB, .seed = 3, .finish = TRUE};
    PumpStream out_of = {
        .fd = pair->at_destination[stalled - 1], .bytes = 100 * MIB, .seed = 3, .finish = TRUE};
    guint64 before = 0;

    pump_stream_write(&into);
    /* until nothing moves any more */
    do {
        before = figure(&pair->source, "bytes-from-qemu");
        for (int i = 0; i < 20; i++)
            pump_turn(5);
    } while (figure(&pair->source, "bytes-from-qemu") > before);
    assert_true(before < 80 * MIB);
    assert_true(figure(&pair->destination, "buffered") <= VMF_CREDIT_POOL + 2 * MIB);

    for (int turn = 0; turn < 2; turn++) {
        PumpStream streams[] = {
            {.fd = pair->at_source[other - 1], .bytes = 50 * MIB, .seed = 4},
            {.fd = pair->at_destination[other - 1], .bytes = 50 * MIB, .seed = 4},
        };

        pump_stream_write(&streams[0]);
        pump_stream_read(&streams[1]);
        pump_stream_wait(&streams[0]);
        pump_stream_wait(&streams[1]);
    }
    assert_int_equal(g_atomic_int_get(&into.done), 0);
    pump_stream_read(&out_of);
    pump_stream_wait(&into);
    pump_stream_wait(&out_of);
    pump_pair_free(pair);
}

static void
test_many_channels_share(void **state)
{
    PumpPair *pair = pump_pair_linked(FALSE);
    PumpStream streams[2][8];

    memset(streams, 0, sizeof streams);
    for (guint i = 0; i < 8; i++) {
        guint id = pump_pair_open(pair, "qemu");

        assert_int_equal(id, i + 1);
        streams[0][i] = (PumpStream){
            .fd = pair->at_source[i], .bytes = 10 * MIB + i, .seed = i, .finish = TRUE};
        streams[1][i] = (PumpStream){
            .fd = pair->at_destination[i], .bytes = 10 * MIB + i, .seed = i, .finish = TRUE};
        pump_stream_write(&streams[0][i]);
        pump_stream_read(&streams[1][i]);
    }
    for (guint i = 0; i < 8; i++) {
        pump_stream_wait(&streams[0][i]);
        pump_stream_wait(&streams[1][i]);
        assert_int_equal(shutdown(pair->at_destination[i], SHUT_WR), 0);
    }
    pump_pair_wait_ended(pair);
    assert_clean(pair, 8);
    pump_pair_free(pair);
}

static void
test_channels_are_bounded(void **state)
{
    PumpPair *pair = pump_pair_linked(FALSE);
    g_autoptr(GError) error = NULL;
    int fds[2];

    for (guint i = 0; i < VMF_CHANNELS_OPEN; i++)
        assert_int_equal(pump_pair_open(pair, "qemu"), i + 1);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(vmf_pump_attach_channel(pair->source.pump, "qemu", 0, fds[0], &error), 0);
    assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_LIMIT_REACHED));
    pump_expect_end(fds[1]); /* the descriptor was taken all the same */
    close(fds[1]);
    /* one that is over makes room */
    close(pair->at_source[0]);
    close(pair->at_destination[0]);
    pair->at_source[0] = pair->at_destination[0] = -1;
    pump_run_until(pair->source.n_clean_channels == 1 && pair->destination.n_clean_channels == 1);
    assert_int_equal(pump_pair_open(pair, "qemu"), VMF_CHANNELS_OPEN + 1);
    pump_pair_free(pair);
}

/* All channels together, from the start and when it changes. */
static void
test_bandwidth(void **state)
{
    PumpPair *pair = pump_pair_new(TRUE);
    PumpStream streams[4];
    gint64 began, took;
    guint64 sent;

    vmf_pump_set_bandwidth(pair->source.pump, 4 * MIB);
    pump_pair_link(pair);
    for (guint i = 0; i < 2; i++) {
        guint id = pump_pair_open(pair, i == 0 ? "qemu" : "nbd");

        streams[2 * i] = (PumpStream){.fd = pair->at_source[id - 1], .bytes = 100 * MIB, .seed = i};
        streams[2 * i + 1] =
            (PumpStream){.fd = pair->at_destination[id - 1], .bytes = 100 * MIB, .seed = i};
    }
    began = g_get_monotonic_time();
    for (guint i = 0; i < 4; i++)
        i % 2 == 0 ? pump_stream_write(&streams[i]) : pump_stream_read(&streams[i]);
    while (g_get_monotonic_time() - began < G_USEC_PER_SEC)
        pump_turn(50);
    took = g_get_monotonic_time() - began;
    sent = figure(&pair->source, "bytes-wire-out");
    /* never faster; how much slower is up to the machine */
    assert_in_range(sent, MIB, 4 * MIB * (guint64)took / G_USEC_PER_SEC * 102 / 100 + 100 * 1024);
    vmf_pump_set_bandwidth(pair->source.pump, 0);
    for (guint i = 0; i < 4; i++)
        pump_stream_wait(&streams[i]);
    took = g_get_monotonic_time() - began;
    assert_true(took < 40 * (gint64)G_USEC_PER_SEC); /* the bound would take 50 s */
    pump_pair_free(pair);
}

/* Bytes may be on their way before the destination has a socket to write them to. */
static void
test_late_answer(void **state)
{
    PumpPair *pair = pump_pair_linked(TRUE);
    g_autoptr(GVariant) wanted = NULL;
    guint id, listed;
    const char *kind;
    int fds[2];

    pair->no_answer = TRUE;
    id = pump_pair_open(pair, "qemu");
    pump_write(pair->at_source[id - 1], "early");
    assert_int_equal(shutdown(pair->at_source[id - 1], SHUT_WR), 0);
    pump_run_until(figure(&pair->destination, "bytes-wire-in") > 0 &&
                   figure(&pair->source, "bytes-from-qemu") == 5);
    wanted = g_variant_ref_sink(vmf_pump_wanted(pair->destination.pump));
    assert_int_equal(g_variant_n_children(wanted), 1);
    g_variant_get_child(wanted, 0, "(u&s)", &listed, &kind);
    assert_int_equal(listed, id);
    assert_string_equal(kind, "qemu");

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_true(vmf_pump_answer_channel(pair->destination.pump, id, fds[0], NULL));
    pair->at_destination[id - 1] = fds[1];
    pump_expect(fds[1], "early");
    pump_expect_end(fds[1]);
    g_variant_unref(wanted);
    wanted = g_variant_ref_sink(vmf_pump_wanted(pair->destination.pump));
    assert_int_equal(g_variant_n_children(wanted), 0);
    assert_false(vmf_pump_answer_channel(pair->destination.pump, id, dup(fds[1]), NULL));
    pump_pair_free(pair);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_clear),
        cmocka_unit_test(test_ends_come_in_order),
        cmocka_unit_test(test_half_close_leaves_the_way_back),
        cmocka_unit_test(test_goes_on_until_qemu_has_been),
        cmocka_unit_test(test_single_bytes_go_at_once),
        cmocka_unit_test(test_destination_speaks_first),
        cmocka_unit_test(test_stalled_channel_blocks_no_other),
        cmocka_unit_test(test_many_channels_share),
        cmocka_unit_test(test_channels_are_bounded),
        cmocka_unit_test(test_bandwidth),
        cmocka_unit_test(test_late_answer),
    };

    return cmocka_run_group_tests_name("pump", tests, NULL, NULL);
}
