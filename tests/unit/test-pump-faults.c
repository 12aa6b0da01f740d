/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two pumps when something fails: who is told, who sees an end, and who must not. */
#include "pump-fixture.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MIB (1024 * 1024)

/* Opens a channel in the middle of whose stream something is going to happen. */
static guint
open_in_the_middle(PumpPair *pair)
{
    guint id = pump_pair_open(pair, "qemu");

    pump_write(pair->at_source[id - 1], "the beginning");
    pump_expect(pair->at_destination[id - 1], "the beginning");
    return id;
}

static void
assert_error(const GError *error, VmfError code, const char *says)
{
    assert_non_null(error);
    assert_true(g_error_matches(error, VMF_ERROR, (gint)code));
    if (!strstr(error->message, says))
        fail_msg("\"%s\" does not say \"%s\"", error->message, says);
}

/* The source's QEMU shall fail at once; the destination's must see nothing until it hangs up. */
static void
test_broken_link(void **state)
{
    for (int encrypt = 0; encrypt < 2; encrypt++) {
        PumpPair *pair = pump_pair_linked(encrypt);
        guint id = open_in_the_middle(pair);

        assert_int_equal(shutdown(pair->link, SHUT_RDWR), 0);
        pump_expect_broken(pair->at_source[id - 1]);
        pump_run_until(pair->source.ended);
        assert_error(pair->source.error, VMF_ERROR_LINK_BROKEN, "data link");
        assert_int_equal(pair->source.n_ended_channels, 1);
        assert_int_equal(pair->source.n_clean_channels, 0);

        pump_expect_silence(pair->at_destination[id - 1], 200);
        assert_false(pair->destination.ended);
        assert_string_equal(vmf_pump_state_name(pair->destination.pump), "stopping");
        assert_int_equal(pair->destination.n_ended_channels, 0);
        close(pair->at_destination[id - 1]);
        pair->at_destination[id - 1] = -1;
        pump_run_until(pair->destination.ended);
        assert_error(pair->destination.error, VMF_ERROR_LINK_BROKEN, "data link");
        assert_int_equal(pair->destination.n_clean_channels, 0);
        pump_pair_free(pair);
    }
}

/* What the destination's QEMU has got in full it has got, whatever happens to the link then. */
static void
test_broken_link_after_the_end(void **state)
{
    PumpPair *pair = pump_pair_linked(TRUE);
    guint id = open_in_the_middle(pair);

    assert_int_equal(shutdown(pair->at_source[id - 1], SHUT_WR), 0);
    pump_expect_end(pair->at_destination[id - 1]);
    assert_int_equal(shutdown(pair->link, SHUT_RDWR), 0);
    pump_pair_wait_ended(pair);
    assert_error(pair->source.error, VMF_ERROR_LINK_BROKEN, "data link");
    pump_pair_free(pair);
}

static void
test_stop_at_the_source(void **state)
{
    PumpPair *pair = pump_pair_linked(TRUE);
    guint id = open_in_the_middle(pair);
    g_autoptr(GError) error =
        g_error_new_literal(VMF_ERROR, VMF_ERROR_CANCELLED, "somebody asked for it");

    vmf_pump_stop(pair->source.pump, error);
    pump_expect_broken(pair->at_source[id - 1]);
    pump_expect_silence(pair->at_destination[id - 1], 100);
    pump_run_until(pair->source.ended);
    assert_error(pair->source.error, VMF_ERROR_CANCELLED, "somebody asked for it");
    /* the daemon there tells its pump to let go */
    vmf_pump_stop(pair->destination.pump, error);
    pump_expect_broken(pair->at_destination[id - 1]);
    pump_run_until(pair->destination.ended);
    assert_error(pair->destination.error, VMF_ERROR_CANCELLED, "somebody asked for it");
    pump_pair_free(pair);
}

static void
test_stop_at_the_destination(void **state)
{
    PumpPair *pair = pump_pair_linked(TRUE);
    guint id = open_in_the_middle(pair);
    g_autoptr(GError) error = g_error_new_literal(VMF_ERROR, VMF_ERROR_FAILED, "no more room");

    vmf_pump_stop(pair->destination.pump, error);
    pump_expect_broken(pair->at_source[id - 1]);
    pump_pair_wait_ended(pair);
    assert_error(pair->source.error, VMF_ERROR_FAILED, "no more room");
    assert_error(pair->destination.error, VMF_ERROR_FAILED, "no more room");
    pump_pair_free(pair);
}

/* Also with the link full: the reason gets through. */
static void
test_stop_under_load(void **state)
{
    PumpPair *pair = pump_pair_linked(TRUE);
    guint id = pump_pair_open(pair, "qemu");
    PumpStream into = {.fd = pair->at_source[id - 1], .bytes = 200 * MIB, .seed = 1};
    g_autoptr(GError) error = g_error_new_literal(VMF_ERROR, VMF_ERROR_CANCELLED, "enough");

    pump_stream_write(&into);
    for (int i = 0; i < 20; i++)
        pump_turn(10);
    vmf_pump_stop(pair->source.pump, error);
    pump_run_until(pair->source.ended && g_atomic_int_get(&into.done));
    g_thread_join(into.thread);
    assert_false(into.ok);
    pump_run_until(strcmp(vmf_pump_state_name(pair->destination.pump), "stopping") == 0);
    close(pair->at_destination[id - 1]);
    pair->at_destination[id - 1] = -1;
    pump_run_until(pair->destination.ended);
    assert_error(pair->destination.error, VMF_ERROR_CANCELLED, "enough");
    pump_pair_free(pair);
}

static void
test_stop_with_nothing_under_way(void **state)
{
    PumpPair *pair = pump_pair_linked(TRUE);

    vmf_pump_stop(pair->source.pump, NULL);
    pump_pair_wait_ended(pair);
    assert_null(pair->source.error);
    assert_null(pair->destination.error);
    pump_pair_free(pair);

    pair = pump_pair_new(TRUE);
    vmf_pump_stop(pair->source.pump, NULL);
    vmf_pump_stop(pair->destination.pump, NULL);
    pump_pair_wait_ended(pair);
    pump_pair_free(pair);
}

static void
test_refused_channel(void **state)
{
    PumpPair *pair = pump_pair_linked(TRUE);
    guint id;

    pair->refuse = "no QEMU listens there";
    id = pump_pair_open(pair, "qemu");
    pump_write(pair->at_source[id - 1], "hello?");
    pump_pair_wait_ended(pair);
    pump_expect_broken(pair->at_source[id - 1]);
    assert_error(pair->source.error, VMF_ERROR_PEER_REFUSED, "no QEMU listens there");
    assert_error(pair->destination.error, VMF_ERROR_PEER_REFUSED, "no QEMU listens there");
    assert_int_equal(pair->source.n_ended_channels, 1);
    assert_int_equal(pair->source.n_clean_channels, 0);
    pump_pair_free(pair);
}

/* One channel fails, others go on; the report says so in the end. */
static void
test_one_channel_of_two_fails(void **state)
{
    PumpPair *pair = pump_pair_linked(TRUE);
    guint other = open_in_the_middle(pair);
    guint id;

    pair->refuse = "not this one";
    id = pump_pair_open(pair, "nbd");
    pump_expect_broken(pair->at_source[id - 1]);
    pump_write(pair->at_source[other - 1], "still here");
    pump_expect(pair->at_destination[other - 1], "still here");
    close(pair->at_source[other - 1]);
    close(pair->at_destination[other - 1]);
    pair->at_source[other - 1] = pair->at_destination[other - 1] = -1;
    pump_pair_wait_ended(pair);
    assert_int_equal(pair->source.n_clean_channels, 1);
    assert_error(pair->source.error, VMF_ERROR_PEER_REFUSED, "not this one");
    pump_pair_free(pair);
}

/* A QEMU that gives up may say why before it closes, and that must arrive first. */
static void
test_destination_qemu_gives_up(void **state)
{
    PumpPair *pair = pump_pair_linked(TRUE);
    guint id = open_in_the_middle(pair);
    PumpStream into = {.fd = pair->at_source[id - 1], .bytes = 50 * MIB, .seed = 1};

    pump_write(pair->at_destination[id - 1], "SHUT 1");
    close(pair->at_destination[id - 1]);
    pair->at_destination[id - 1] = -1;
    pump_stream_write(&into);
    pump_expect(pair->at_source[id - 1], "SHUT 1");
    pump_run_until(g_atomic_int_get(&into.done));
    g_thread_join(into.thread);
    assert_false(into.ok);
    pump_pair_wait_ended(pair);
    assert_error(pair->source.error, VMF_ERROR_LINK_BROKEN, "at the destination");
    assert_error(pair->destination.error, VMF_ERROR_LINK_BROKEN, "at the destination");
    pump_pair_free(pair);
}

/* A QEMU that dies with something unread resets its connection: that is no end of file. */
static void
test_source_qemu_dies(void **state)
{
    PumpPair *pair = pump_pair_linked(TRUE);
    guint id = open_in_the_middle(pair);
    char byte;

    pump_write(pair->at_destination[id - 1], "nobody reads this");
    pump_run_until(recv(pair->at_source[id - 1], &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1);
    close(pair->at_source[id - 1]);
    pair->at_source[id - 1] = -1;
    pump_run_until(pair->source.ended);
    assert_error(pair->source.error, VMF_ERROR_LINK_BROKEN, "at the source");
    pump_expect_silence(pair->at_destination[id - 1], 100);
    close(pair->at_destination[id - 1]);
    pair->at_destination[id - 1] = -1;
    pump_run_until(pair->destination.ended);
    assert_error(pair->destination.error, VMF_ERROR_LINK_BROKEN, "at the source");
    pump_pair_free(pair);
}

static void
test_a_failed_link_is_not_the_last(void **state)
{
    PumpPair *pair = pump_pair_new(TRUE);
    int fds[2];

    /* a link whose other end hangs up instead of a handshake */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    close(fds[1]);
    pump_pair_attach(&pair->source, fds[0], TRUE, 0, NULL);
    pump_run_until(pair->source.link_answered);
    assert_error(pair->source.link_error, VMF_ERROR_LINK_BROKEN, "data link");
    assert_string_equal(vmf_pump_state_name(pair->source.pump), "started");
    g_clear_error(&pair->source.link_error);

    /* no socket at all */
    pump_pair_attach(&pair->source, dup(STDIN_FILENO), TRUE, 0, NULL);
    assert_error(pair->source.link_error, VMF_ERROR_INVALID_ARGUMENT, "socket");
    g_clear_error(&pair->source.link_error);

    pump_pair_link(pair);
    assert_null(pair->source.link_error);
    assert_null(pair->destination.link_error);
    (void)open_in_the_middle(pair);

    /* and no second one */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    pump_pair_attach(&pair->source, fds[0], TRUE, 0, NULL);
    assert_error(pair->source.link_error, VMF_ERROR_FAILED, "linked");
    close(fds[1]);
    pump_pair_free(pair);
}

static void
test_calls_out_of_place(void **state)
{
    PumpPair *pair = pump_pair_new(TRUE);
    const uint8_t secret[VMF_TICKET_SECRET_SIZE] = {0};
    g_autoptr(GError) again = NULL;
    g_autoptr(GError) early = NULL;
    g_autoptr(GError) side = NULL;
    g_autoptr(GError) none = NULL;
    int fds[2];

    assert_false(vmf_pump_start(pair->source.pump, "x", "source", secret, 32, TRUE, NULL, &again));
    assert_error(again, VMF_ERROR_FAILED, "started before");
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(vmf_pump_attach_channel(pair->source.pump, "qemu", 0, fds[0], &early), 0);
    assert_error(early, VMF_ERROR_LINK_BROKEN, "no data link");
    assert_int_equal(vmf_pump_attach_channel(pair->destination.pump, "qemu", 0, fds[1], &side), 0);
    assert_error(side, VMF_ERROR_INVALID_ARGUMENT, "source");
    assert_false(vmf_pump_refuse_channel(pair->destination.pump, 1, "why", &none));
    assert_error(none, VMF_ERROR_INVALID_ARGUMENT, "channel 1");
    pump_pair_free(pair);
}

static void
test_bad_starts(void **state)
{
    const uint8_t secret[64] = {0};
    const struct {
        const char *id, *side;
        gsize length;
    } cases[] = {{"", "source", 32}, {"x", "middle", 32}, {"x", "source", 31}, {"x", "", 64}};
    PumpPair *pair = pump_pair_new(TRUE);

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        VmfPump *pump = vmf_pump_new(pump_pair_events(), &pair->source);
        g_autoptr(GError) error = NULL;

        assert_false(vmf_pump_start(pump, cases[i].id, cases[i].side, secret, cases[i].length, 1,
                                    NULL, &error));
        assert_error(error, VMF_ERROR_INVALID_ARGUMENT, "secret of 32 bytes");
        assert_string_equal(vmf_pump_state_name(pump), "waiting");
        vmf_pump_free(pump);
    }
    pump_pair_free(pair);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_broken_link),
        cmocka_unit_test(test_broken_link_after_the_end),
        cmocka_unit_test(test_stop_at_the_source),
        cmocka_unit_test(test_stop_at_the_destination),
        cmocka_unit_test(test_stop_under_load),
        cmocka_unit_test(test_stop_with_nothing_under_way),
        cmocka_unit_test(test_refused_channel),
        cmocka_unit_test(test_one_channel_of_two_fails),
        cmocka_unit_test(test_destination_qemu_gives_up),
        cmocka_unit_test(test_source_qemu_dies),
        cmocka_unit_test(test_a_failed_link_is_not_the_last),
        cmocka_unit_test(test_calls_out_of_place),
        cmocka_unit_test(test_bad_starts),
    };

    return cmocka_run_group_tests_name("pump-faults", tests, NULL, NULL);
}
