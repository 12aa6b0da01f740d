/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Several data links between two pumps: what goes over one does not wait for another. */
#include "pump-fixture.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/watch.h"

#define MIB (1024 * 1024)

static const uint8_t other_secret[VMF_TICKET_SECRET_SIZE] = "a secret of this link alone ....";

/* A link that can be stopped: two socket pairs, and what comes at one end is passed on at the
 * other.
 */
typedef struct {
    int inner[2];
    VmfWatch *watches[2];
    gboolean stopped;
} Relay;

static void
relay_pass(Relay *relay, int from, int to)
{
    char buffer[65536];
    ssize_t n;

    if (relay->stopped || (n = recv(from, buffer, sizeof buffer, MSG_DONTWAIT)) < 0)
        return;
    if (n == 0)
        (void)shutdown(to, SHUT_WR);
    for (ssize_t done = 0; done < n;) {
        ssize_t written = send(to, buffer + done, (size_t)(n - done), MSG_NOSIGNAL | MSG_DONTWAIT);

        if (written > 0)
            done += written;
        else
            g_main_context_iteration(NULL, TRUE); /* the other pump reads */
    }
}

static void
relay_forth(GIOCondition condition, gpointer data)
{
    Relay *relay = data;

    relay_pass(relay, relay->inner[0], relay->inner[1]);
}

static void
relay_back(GIOCondition condition, gpointer data)
{
    Relay *relay = data;

    relay_pass(relay, relay->inner[1], relay->inner[0]);
}

static void
relay_stop(Relay *relay, gboolean stop)
{
    relay->stopped = stop;
    for (guint i = 0; i < 2; i++)
        vmf_watch_want(relay->watches[i], stop ? 0 : G_IO_IN);
}

/* Links the pumps by it. */
static Relay *
relay_link(PumpPair *pair)
{
    Relay *relay = g_new0(Relay, 1);
    PumpSide *sides[] = {&pair->source, &pair->destination};
    VmfWatchFunc funcs[] = {relay_forth, relay_back};

    for (guint i = 0; i < 2; i++) {
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        relay->inner[i] = fds[1];
        relay->watches[i] = vmf_watch_new(fds[1], funcs[i], relay);
        pump_pair_attach(sides[i], fds[0], i == 0, 0, NULL);
    }
    relay_stop(relay, FALSE);
    pump_run_until(pair->source.link_answered && pair->destination.link_answered);
    assert_null(pair->source.link_error);
    return relay;
}

static void
relay_free(Relay *relay)
{
    for (guint i = 0; i < 2; i++) {
        vmf_watch_free(relay->watches[i]);
        close(relay->inner[i]);
    }
    g_free(relay);
}

/* Adds link `number`; what came of it is in the sides. */
static void
add_link(PumpPair *pair, guint number, const uint8_t *at_source, const uint8_t *at_destination)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    g_clear_error(&pair->source.link_error);
    g_clear_error(&pair->destination.link_error);
    pump_pair_attach(&pair->source, fds[0], TRUE, number, at_source);
    pump_pair_attach(&pair->destination, fds[1], FALSE, number, at_destination);
    pump_run_until(pair->source.link_answered && pair->destination.link_answered);
}

static void
add_good_link(PumpPair *pair, guint number)
{
    add_link(pair, number, other_secret, other_secret);
    assert_null(pair->source.link_error);
    assert_null(pair->destination.link_error);
}

static guint
links(const PumpSide *side)
{
    g_autoptr(GVariant) figures = g_variant_ref_sink(vmf_pump_statistics(side->pump));
    guint value = 0;

    assert_true(g_variant_lookup(figures, "links", "u", &value));
    return value;
}

static guint64
from_qemu(const PumpSide *side)
{
    g_autoptr(GVariant) figures = g_variant_ref_sink(vmf_pump_statistics(side->pump));
    guint64 value = 0;

    assert_true(g_variant_lookup(figures, "bytes-from-qemu", "t", &value));
    return value;
}

/* Until the pump takes nothing more: what may be on its way is. */
static void
fill(const PumpSide *side)
{
    guint64 before;

    do {
        before = from_qemu(side);
        for (int i = 0; i < 20; i++)
            pump_turn(5);
    } while (from_qemu(side) > before);
    assert_true(before > 0);
}

/* The first link is full and stands still; the pages that a processor waits for pass. */
static void
test_a_stalled_link_holds_up_no_other(void **state)
{
    PumpPair *pair = pump_pair_new(TRUE);
    Relay *relay = relay_link(pair);
    guint main_channel = pump_pair_open(pair, "qemu");
    PumpStream into = {
        .fd = pair->at_source[main_channel - 1], .bytes = 50 * MIB, .seed = 3, .finish = TRUE};
    PumpStream out_of = {
        .fd = pair->at_destination[main_channel - 1], .bytes = 50 * MIB, .seed = 3, .finish = TRUE};
    guint preempt;

    add_good_link(pair, 1);
    assert_int_equal(links(&pair->source), 2);
    assert_int_equal(links(&pair->destination), 2);
    preempt = pump_pair_open_on(pair, "qemu", 1);
    assert_int_equal(preempt, 2);
    relay_stop(relay, TRUE);
    pump_stream_write(&into);
    fill(&pair->source);
    for (guint i = 0; i < 200; i++) {
        pump_write(pair->at_source[preempt - 1], "a page that is waited for");
        pump_expect(pair->at_destination[preempt - 1], "a page that is waited for");
        pump_write(pair->at_destination[preempt - 1], "q");
        pump_expect(pair->at_source[preempt - 1], "q");
    }
    assert_int_equal(g_atomic_int_get(&into.done), 0);

    relay_stop(relay, FALSE);
    pump_stream_read(&out_of);
    pump_stream_wait(&into);
    pump_stream_wait(&out_of);
    for (guint i = 0; i < 2; i++) {
        (void)shutdown(pair->at_source[preempt - 1 - i], SHUT_WR); /* the main one is already */
        assert_int_equal(shutdown(pair->at_destination[preempt - 1 - i], SHUT_WR), 0);
    }
    pump_pair_wait_ended(pair);
    assert_null(pair->source.error);
    assert_null(pair->destination.error);
    assert_int_equal(pair->destination.n_clean_channels, 2);
    relay_free(relay);
    pump_pair_free(pair);
}

/* QEMU expects its main connection first, whatever arrives first. */
static void
test_channels_are_wanted_in_order(void **state)
{
    PumpPair *pair = pump_pair_new(FALSE);
    Relay *relay = relay_link(pair);
    int fds[2][2];

    add_good_link(pair, 1);
    relay_stop(relay, TRUE);
    for (guint i = 0; i < 2; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds[i]), 0);
        assert_int_equal(vmf_pump_attach_channel(pair->source.pump, "qemu", i, fds[i][0], NULL),
                         i + 1);
        pair->at_source[i] = fds[i][1];
    }
    pump_write(pair->at_source[1], "early");
    for (int i = 0; i < 20; i++)
        pump_turn(5);
    assert_int_equal(pair->at_destination[1], -1); /* came, and waits for the first */
    relay_stop(relay, FALSE);
    pump_run_until(pair->at_destination[1] >= 0);
    assert_int_not_equal(pair->at_destination[0], -1);
    pump_expect(pair->at_destination[1], "early");
    relay_free(relay);
    pump_pair_free(pair);
}

static void
test_a_further_link_has_its_own_secret(void **state)
{
    PumpPair *pair = pump_pair_linked(TRUE);
    guint id = pump_pair_open(pair, "qemu");

    add_link(pair, 1, NULL, other_secret); /* the source tries with that of the first link */
    assert_true(g_error_matches(pair->destination.link_error, VMF_ERROR, VMF_ERROR_PEER_UNTRUSTED));
    assert_non_null(pair->source.link_error);
    assert_int_equal(links(&pair->source), 1);
    pump_write(pair->at_source[id - 1], "goes on");
    pump_expect(pair->at_destination[id - 1], "goes on");
    add_good_link(pair, 1);
    assert_int_equal(links(&pair->destination), 2);
    add_link(pair, 1, other_secret, other_secret);
    assert_true(g_error_matches(pair->source.link_error, VMF_ERROR, VMF_ERROR_FAILED));
    add_link(pair, VMF_PUMP_LINKS, other_secret, other_secret);
    assert_true(g_error_matches(pair->source.link_error, VMF_ERROR, VMF_ERROR_FAILED));
    pump_pair_free(pair);
}

static void
test_a_further_link_comes_second(void **state)
{
    PumpPair *pair = pump_pair_new(TRUE);

    add_link(pair, 1, other_secret, other_secret);
    assert_true(g_error_matches(pair->source.link_error, VMF_ERROR, VMF_ERROR_FAILED));
    pump_pair_free(pair);
}

/* Nobody can do without the pages of the link that broke. */
static void
test_a_broken_link_is_the_end_of_all(void **state)
{
    PumpPair *pair = pump_pair_linked(TRUE);
    guint id = pump_pair_open(pair, "qemu");
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    pump_pair_attach(&pair->source, fds[0], TRUE, 1, other_secret);
    pump_pair_attach(&pair->destination, dup(fds[1]), FALSE, 1, other_secret);
    pump_run_until(pair->source.link_answered && pair->destination.link_answered);
    assert_null(pair->source.link_error);
    assert_int_equal(shutdown(fds[1], SHUT_RDWR), 0);
    close(fds[1]);
    pump_expect_broken(pair->at_source[id - 1]);
    pump_run_until(pair->source.ended);
    assert_true(g_error_matches(pair->source.error, VMF_ERROR, VMF_ERROR_LINK_BROKEN));
    pump_run_until(vmf_pump_state(pair->destination.pump) == VMF_PUMP_STOPPING);
    assert_int_equal(close(pair->at_destination[id - 1]), 0); /* its QEMU hangs up */
    pair->at_destination[id - 1] = -1;
    pump_run_until(pair->destination.ended);
    assert_true(g_error_matches(pair->destination.error, VMF_ERROR, VMF_ERROR_LINK_BROKEN));
    pump_pair_free(pair);
}

/* What may not wait counts, but is not held back. */
static void
test_a_further_link_does_not_wait_for_bandwidth(void **state)
{
    PumpPair *pair = pump_pair_linked(TRUE);
    guint ids[2];
    PumpStream into, out_of;

    add_good_link(pair, 1);
    vmf_pump_set_bandwidth(pair->source.pump, MIB / 4);
    ids[0] = pump_pair_open(pair, "qemu");
    ids[1] = pump_pair_open_on(pair, "qemu", 1);
    into = (PumpStream){.fd = pair->at_source[ids[0] - 1], .bytes = 8 * MIB, .seed = 3};
    out_of = into;
    out_of.fd = pair->at_destination[ids[0] - 1];
    pump_stream_write(&into);
    pump_stream_read(&out_of);
    pump_run_until(from_qemu(&pair->source) > 0);
    for (guint i = 0; i < 100; i++) {
        pump_write(pair->at_source[ids[1] - 1], "a page that is waited for");
        pump_expect(pair->at_destination[ids[1] - 1], "a page that is waited for");
    }
    assert_int_equal(g_atomic_int_get(&into.done), 0);
    vmf_pump_set_bandwidth(pair->source.pump, 0);
    pump_stream_wait(&into);
    pump_stream_wait(&out_of);
    pump_pair_free(pair);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_stalled_link_holds_up_no_other),
        cmocka_unit_test(test_channels_are_wanted_in_order),
        cmocka_unit_test(test_a_further_link_has_its_own_secret),
        cmocka_unit_test(test_a_further_link_comes_second),
        cmocka_unit_test(test_a_broken_link_is_the_end_of_all),
        cmocka_unit_test(test_a_further_link_does_not_wait_for_bandwidth),
    };

    return cmocka_run_group_tests_name("pump-links", tests, NULL, NULL);
}
