/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two pumps that work on QEMU's stream between them, and the test as both QEMUs. */
#include "pump-fixture.h"
#include "stream-guest.h"

#include <errno.h>
#include <sys/socket.h>

typedef struct {
    PumpPair *pair;
    guint channel;
    GByteArray *got;
    gsize sent;
} Run;

static void
begin(Run *run, const char *options)
{
    run->pair = pump_pair_new_with(TRUE, g_variant_new_parsed(options));
    pump_pair_link(run->pair);
    run->channel = pump_pair_open(run->pair, "qemu");
    run->got = g_byte_array_new();
    run->sent = 0;
}

/* What is there at the destination; TRUE at the end of file. */
static gboolean
receive(Run *run)
{
    uint8_t buffer[65536];
    ssize_t n;

    while ((n = recv(run->pair->at_destination[run->channel - 1], buffer, sizeof buffer,
                     MSG_DONTWAIT)) > 0)
        g_byte_array_append(run->got, buffer, (guint)n);
    assert_true(n == 0 || errno == EAGAIN);
    return n == 0;
}

static void
send_up_to(Run *run, const GByteArray *stream, gsize end)
{
    while (run->sent < end) {
        ssize_t n = send(run->pair->at_source[run->channel - 1], stream->data + run->sent,
                         end - run->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

        assert_true(n > 0 || errno == EAGAIN);
        run->sent += n > 0 ? (gsize)n : 0;
        pump_turn(1);
        (void)receive(run);
    }
}

static void
finish(Run *run, const GByteArray *stream)
{
    send_up_to(run, stream, stream->len);
    shutdown(run->pair->at_source[run->channel - 1], SHUT_WR);
    pump_run_until(receive(run));
    shutdown(run->pair->at_destination[run->channel - 1], SHUT_WR);
    pump_pair_wait_ended(run->pair);
    assert_null(run->pair->source.error);
    assert_null(run->pair->destination.error);
}

static void
clear(Run *run)
{
    pump_pair_free(run->pair);
    g_byte_array_unref(run->got);
}

static guint64
figure(Run *run, const char *name)
{
    g_autoptr(GVariant) all = g_variant_ref_sink(vmf_pump_statistics(run->pair->source.pump));
    guint64 value = 0;

    assert_true(g_variant_lookup(all, name, "t", &value));
    return value;
}

static void
make_guest(Guest *guest, guint32 seed, guint passes)
{
    guest_begin(guest, seed);
    for (guint i = 0; i < passes; i++)
        guest_pass(guest, 70);
}

/* A guest that gets there as it was. */
static void
carry(Run *run, Guest *guest, guint32 seed, const char *options)
{
    make_guest(guest, seed, 12);
    guest_end(guest);
    begin(run, options);
    finish(run, guest->stream);
    guest_verify(guest, run->got->data, run->got->len);
}

static void
test_all(void **state)
{
    static const char *const options[] = {
        "{'xbzrle': <true>, 'unchanged': <true>, 'cache': <@t 1000000>}",
        "{'zstd-window': <@u 17>, 'zstd': <@i 1>}",
        "{'zstd-window': <@u 17>, 'zstd': <@i 0>}",
        "{'zstd-window': <@u 20>, 'zstd': <@i 3>, 'zstd-lanes': <@u 4>}",
        "{'xbzrle': <true>, 'unchanged': <true>, 'zstd-window': <@u 24>, 'cache': <@t 1000000>}",
        "{'xbzrle': <true>, 'unchanged': <true>, 'zstd-window': <@u 27>, 'zstd': <@i 3>, "
        "'cache': <@t 100000>}",
        "{'xbzrle': <true>, 'unchanged': <true>, 'zstd-window': <@u 20>, 'zstd': <@i 1>, 'delta': "
        "<false>}",
    };

    for (guint i = 0; i < G_N_ELEMENTS(options); i++) {
        g_autofree Guest *guest = g_new(Guest, 1);
        Run run;

        carry(&run, guest, i, options[i]);
        assert_int_equal(figure(&run, "stages-in"), guest->stream->len);
        if (i != 2)
            assert_true(figure(&run, "stages-out") < guest->stream->len);
        clear(&run);
        guest_clear(guest);
    }
}

/* What went in is proved before the state of devices goes on, whatever way it took. */
static void
test_verify(void **state)
{
    static const char *const options[] = {
        "{'xbzrle': <true>, 'unchanged': <true>, 'zstd-window': <@u 20>, 'verify': <true>}",
        "{'zstd-window': <@u 17>, 'zstd': <@i 1>, 'verify': <true>, 'zstd-lanes': <@u 3>}",
        "{'zstd-window': <@u 17>, 'zstd': <@i 0>, 'verify': <true>}",
    };

    for (guint i = 0; i < G_N_ELEMENTS(options); i++) {
        g_autofree Guest *guest = g_new(Guest, 1);
        Run run;

        carry(&run, guest, i, options[i]);
        assert_int_equal(figure(&run, "proofs"), 1);
        assert_int_equal(figure(&run, "disproved"), 0);
        clear(&run);
        guest_clear(guest);
    }
}

/* All that can be changed is changed all the time. */
static void
test_changing(void **state)
{
    g_autofree Guest *guest = g_new(Guest, 1);
    Run run;

    make_guest(guest, 77, 60);
    guest_end(guest);
    begin(&run, "{'xbzrle': <true>, 'unchanged': <true>, 'zstd-window': <@u 20>, "
                "'zstd-lanes': <@u 3>}");
    while (run.sent < guest->stream->len) {
        VmfPump *pump = run.pair->source.pump;

        vmf_pump_set_cache(pump, (guint64)g_rand_int_range(guest->rand, 0, 500) * 1024);
        vmf_pump_set_delta(pump, g_rand_int_range(guest->rand, 0, 4) > 0);
        vmf_pump_set_zstd(pump, g_rand_int_range(guest->rand, -1, 5), 0);
        send_up_to(&run, guest->stream, MIN(run.sent + 100000, guest->stream->len));
    }
    finish(&run, guest->stream);
    guest_verify(guest, run.got->data, run.got->len);
    clear(&run);
    guest_clear(guest);
}

/* What is written gets there although nothing follows, each time. */
static void
test_flush(void **state)
{
    g_autofree Guest *guest = g_new(Guest, 1);
    Run run;

    make_guest(guest, 5, 0);
    begin(&run, "{'xbzrle': <true>, 'unchanged': <true>, 'zstd-window': <@u 20>}");
    for (guint i = 0; i < 50; i++) {
        guint8 ping[4] = {0, 0, 0, (guint8)i};

        kit_command(guest->stream, VMF_COMMAND_PING, ping, sizeof ping);
        send_up_to(&run, guest->stream, guest->stream->len);
        pump_run_until((receive(&run), run.got->len == guest->stream->len));
    }
    assert_memory_equal(run.got->data, guest->stream->data, run.got->len);
    clear(&run);
    guest_clear(guest);
}

/* From post-copy on the stages are left out: bytes pass as they are and are not packed. */
static void
test_postcopy(void **state)
{
    g_autofree Guest *guest = g_new(Guest, 1);
    guint64 in, out;
    guint before;
    Run run;

    make_guest(guest, 5, 5);
    begin(&run, "{'xbzrle': <true>, 'unchanged': <true>, 'zstd-window': <@u 20>, "
                "'zstd-lanes': <@u 3>, 'cache': <@t 1000000>}");
    kit_command(guest->stream, VMF_COMMAND_POSTCOPY_LISTEN, NULL, 0);
    send_up_to(&run, guest->stream, guest->stream->len);
    before = guest->stream->len;
    pump_run_until((receive(&run), figure(&run, "stages-in") == before));
    pump_expect_silence(run.pair->at_source[run.channel - 1], 100);
    (void)receive(&run);
    in = figure(&run, "stages-in");
    out = run.got->len;
    guest->last = -1;
    for (guint i = 0; i < 4; i++)
        guest_pass(guest, 100);
    guest_end(guest);
    finish(&run, guest->stream);
    assert_int_equal(figure(&run, "stages-in"), in); /* they saw nothing of it */
    assert_int_equal(run.got->len - out, guest->stream->len - before);
    assert_memory_equal(run.got->data + out, guest->stream->data + before,
                        guest->stream->len - before);
    clear(&run);
    guest_clear(guest);
}

/* A connection of multifd beside it: the main one is not worked on any more. */
static void
test_multifd(void **state)
{
    static const char hello[] = "\x11\x22\x33\x44 and so on";
    g_autofree Guest *guest = g_new(Guest, 1);
    g_autoptr(GVariant) all = NULL;
    const char *why = "";
    guint channel;
    Run run;

    make_guest(guest, 5, 1);
    begin(&run, "{'xbzrle': <true>, 'unchanged': <true>, 'cache': <@t 1000000>}");
    send_up_to(&run, guest->stream, 1000);
    channel = pump_pair_open(run.pair, "qemu");
    pump_write(run.pair->at_source[channel - 1], hello);
    pump_expect(run.pair->at_destination[channel - 1], hello);
    for (guint i = 0; i < 6; i++)
        guest_pass(guest, 50);
    guest_end(guest);
    send_up_to(&run, guest->stream, guest->stream->len);
    shutdown(run.pair->at_source[run.channel - 1], SHUT_WR);
    pump_run_until(receive(&run));
    assert_int_equal(run.got->len, guest->stream->len);
    assert_memory_equal(run.got->data, guest->stream->data, run.got->len);
    all = g_variant_ref_sink(vmf_pump_statistics(run.pair->source.pump));
    assert_true(g_variant_lookup(all, "untouched", "&s", &why));
    assert_string_equal(why, "QEMU sends over several connections");
    clear(&run);
    guest_clear(guest);
}

/* A destination whose QEMU does not read holds no more than it may, whatever the bytes unpack to.
 */
static void
test_bound(void **state)
{
    g_autofree Guest *guest = g_new(Guest, 1);
    Run run;

    guest_begin(guest, 1);
    memset(guest->memory, 1, sizeof guest->memory);
    for (guint i = 0; i < 500; i++) {
        kit_section(guest->stream, VMF_SECTION_PART, 2, NULL, 0);
        for (guint page = 0; page < GUEST_PAGES; page++)
            guest_send(guest, 0, page);
        kit_ram_end(guest->stream);
    }
    guest_end(guest);
    begin(&run, "{'zstd-window': <@u 20>, 'zstd': <@i 1>}");
    (void)send(run.pair->at_source[0], guest->stream->data, 1000, MSG_DONTWAIT);
    for (gsize at = 1000, still = 0; still < 100 && at < guest->stream->len; still++) {
        ssize_t n = send(run.pair->at_source[0], guest->stream->data + at, guest->stream->len - at,
                         MSG_DONTWAIT | MSG_NOSIGNAL);

        at += n > 0 ? (gsize)n : 0;
        still = n > 0 ? 0 : still;
        run.sent = at;
        pump_turn(5);
    }
    assert_true(run.pair->destination.buffered_max < 8 * 1024 * 1024);
    finish(&run, guest->stream);
    memset(guest->memory[1], 0, sizeof guest->memory[1]);
    guest_verify(guest, run.got->data, run.got->len);
    clear(&run);
    guest_clear(guest);
}

/* Ended in the middle of everything. */
static void
test_stopped(void **state)
{
    for (guint i = 0; i < 10; i++) {
        g_autofree Guest *guest = g_new(Guest, 1);
        Run run;

        make_guest(guest, i, 10);
        begin(&run, "{'xbzrle': <true>, 'unchanged': <true>, 'zstd-window': <@u 20>, "
                    "'zstd-lanes': <@u 3>}");
        send_up_to(&run, guest->stream, guest->stream->len * i / 10);
        vmf_pump_stop(run.pair->source.pump, NULL);
        pump_run_until(run.pair->source.ended);
        clear(&run);
        guest_clear(guest);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all),      cmocka_unit_test(test_changing),
        cmocka_unit_test(test_verify),   cmocka_unit_test(test_flush),
        cmocka_unit_test(test_postcopy), cmocka_unit_test(test_multifd),
        cmocka_unit_test(test_bound),    cmocka_unit_test(test_stopped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
