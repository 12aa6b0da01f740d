/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Links that break and come back: what both QEMUs see is whole, wherever the cut was. Between the
 * pumps is a relay that forwards so many bytes and then hangs up; what it holds then is lost.
 */
#include "pump-fixture.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MIB (1024 * 1024)
#define PATIENCE 60000 /* ms */
#define FOR_EVER G_MAXUINT64

/* ---- the relay ---- */

typedef struct {
    int fds[2];     /* the ends towards source and destination */
    guint64 budget; /* bytes, both directions together */
    gboolean hold;  /* after that be silent, and hang up when told */
    int told;       /* atomic */
    gboolean cut;   /* the budget was used up */
    GThread *thread;
} Relay;

/* FALSE when nothing more comes from there. */
static gboolean
relay_forward(Relay *relay, int from)
{
    char buffer[65536];
    ssize_t n = recv(relay->fds[from], buffer, MIN(sizeof buffer, relay->budget), 0);

    if (n <= 0) {
        (void)shutdown(relay->fds[!from], SHUT_WR);
        return FALSE;
    }
    for (ssize_t done = 0; done < n;) {
        ssize_t one = send(relay->fds[!from], buffer + done, (size_t)(n - done), MSG_NOSIGNAL);

        if (one <= 0)
            return FALSE;
        done += one;
    }
    relay->budget -= (guint64)n;
    return TRUE;
}

static gpointer
relay_run(gpointer data)
{
    Relay *relay = data;
    struct pollfd polls[2] = {{relay->fds[0], POLLIN, 0}, {relay->fds[1], POLLIN, 0}};

    while (relay->budget > 0 && (polls[0].fd >= 0 || polls[1].fd >= 0)) {
        (void)poll(polls, 2, -1);
        for (int i = 0; i < 2; i++)
            if (polls[i].fd >= 0 && polls[i].revents && relay->budget > 0 &&
                !relay_forward(relay, i))
                polls[i].fd = -1;
    }
    relay->cut = relay->budget == 0;
    while (relay->hold && relay->cut && !g_atomic_int_get(&relay->told))
        g_usleep(1000);
    close(relay->fds[0]);
    close(relay->fds[1]);
    return NULL;
}

/* ---- two pumps, and who brings their link back ---- */

typedef struct {
    PumpPair *pair;
    GPtrArray *relays;
    guint64 least, most; /* bytes until a link is cut; 0: never */
    guint cuts;
    guint timer;
} Wire;

static Relay *
wire_link(Wire *wire, guint64 budget, gboolean hold)
{
    Relay *relay = g_new0(Relay, 1);
    PumpSide *sides[] = {&wire->pair->source, &wire->pair->destination};
    uint8_t secret[VMF_TICKET_SECRET_SIZE] = {0};
    int fds[2];

    secret[0] = (uint8_t)wire->relays->len; /* another ticket each time */
    relay->budget = budget;
    relay->hold = hold;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        relay->fds[i] = fds[1];
        pump_pair_attach(sides[i], fds[0], i == 0, 0, secret);
        g_clear_error(&sides[i]->link_error);
    }
    relay->thread = g_thread_new("relay", relay_run, relay);
    g_ptr_array_add(wire->relays, relay);
    return relay;
}

static guint64
wire_budget(const Wire *wire)
{
    return wire->most == 0
               ? FOR_EVER
               : wire->least + (guint64)(g_random_double() * (double)(wire->most - wire->least));
}

/* Brings the link back, as the daemons do. */
static gboolean
wire_mend(gpointer data)
{
    Wire *wire = data;
    const PumpSide *source = &wire->pair->source, *destination = &wire->pair->destination;
    VmfPumpState state = vmf_pump_state(source->pump);

    if (source->link_answered && destination->link_answered &&
        (state == VMF_PUMP_STALLED || state == VMF_PUMP_STARTED)) {
        wire->cuts++;
        (void)wire_link(wire, wire_budget(wire), FALSE);
    }
    return G_SOURCE_CONTINUE;
}

/* Linked once; from then on by itself if `mends`. */
static Wire *
wire_new(gboolean encrypt, guint patience, gboolean mends)
{
    GVariantDict options;
    Wire *wire = g_new0(Wire, 1);

    g_variant_dict_init(&options, NULL);
    g_variant_dict_insert(&options, "patience", "u", patience);
    g_variant_dict_insert(&options, "zstd-window", "u", 20);
    g_variant_dict_insert(&options, "zstd-lanes", "u", 3);
    wire->pair = pump_pair_new_with(encrypt, g_variant_dict_end(&options));
    wire->relays = g_ptr_array_new();
    wire->timer = mends ? g_timeout_add(1, wire_mend, wire) : 0;
    return wire;
}

static void
wire_free(Wire *wire)
{
    g_clear_handle_id(&wire->timer, g_source_remove);
    pump_pair_free(wire->pair);
    for (guint i = 0; i < wire->relays->len; i++) {
        Relay *relay = wire->relays->pdata[i];

        g_atomic_int_set(&relay->told, 1);
        g_thread_join(relay->thread);
        g_free(relay);
    }
    g_ptr_array_unref(wire->relays);
    g_free(wire);
}

static void
wire_wait_linked(Wire *wire)
{
    pump_run_until(wire->pair->source.link_answered && wire->pair->destination.link_answered);
    assert_null(wire->pair->source.link_error);
    assert_null(wire->pair->destination.link_error);
}

/* A link that will be cut is up, and a channel open. */
static guint
wire_begin(Wire *wire, guint64 budget, gboolean hold, Relay **ret_relay)
{
    Relay *relay = wire_link(wire, budget, hold);
    guint id;

    if (ret_relay)
        *ret_relay = relay;
    wire_wait_linked(wire);
    id = pump_pair_open(wire->pair, "qemu");
    pump_write(wire->pair->at_source[id - 1], "the beginning");
    pump_expect(wire->pair->at_destination[id - 1], "the beginning");
    return id;
}

static void
assert_linked(const Wire *wire)
{
    assert_string_equal(vmf_pump_state_name(wire->pair->source.pump), "linked");
    assert_string_equal(vmf_pump_state_name(wire->pair->destination.pump), "linked");
}

/* ---- bytes ---- */

/* Both ways at once, cut again and again. */
static void
test_streams_over_links_that_break(void **state)
{
    for (int encrypt = 0; encrypt < 2; encrypt++) {
        Wire *wire = wire_new(encrypt, PATIENCE, TRUE);
        PumpPair *pair = wire->pair;
        PumpStream streams[4];
        guint id = wire_begin(wire, 2 * MIB, FALSE, NULL);

        wire->least = MIB / 8;
        wire->most = 4 * MIB;
        streams[0] = (PumpStream){
            .fd = pair->at_source[id - 1], .bytes = 24 * MIB + 1, .seed = 1, .finish = TRUE};
        streams[1] = streams[0];
        streams[1].fd = pair->at_destination[id - 1];
        streams[2] = (PumpStream){
            .fd = pair->at_destination[id - 1], .bytes = 5 * MIB, .seed = 2, .finish = TRUE};
        streams[3] = streams[2];
        streams[3].fd = pair->at_source[id - 1];
        for (int i = 0; i < 4; i++)
            (i % 2 ? pump_stream_read : pump_stream_write)(&streams[i]);
        for (int i = 0; i < 4; i++)
            pump_stream_wait(&streams[i]);
        assert_true(wire->cuts >= 8);
        pump_run_until(pair->source.ended);
        assert_null(pair->source.error);
        wire_free(wire);
    }
}

/* A whole conversation, cut behind its `budget`th byte. FALSE: it has not so many. */
static gboolean
converse(guint64 budget)
{
    Wire *wire = wire_new(FALSE, PATIENCE, TRUE);
    PumpPair *pair = wire->pair;
    Relay *relay = wire_link(wire, budget, FALSE);
    gboolean cut;
    int fds[2];

    pump_run_until(vmf_pump_state(pair->source.pump) == VMF_PUMP_LINKED ||
                   vmf_pump_state(pair->source.pump) == VMF_PUMP_STALLED);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(vmf_pump_attach_channel(pair->source.pump, "qemu", 0, fds[0], NULL), 1);
    pair->at_source[0] = fds[1];
    pump_write(fds[1], "question");
    pump_run_until(pair->at_destination[0] >= 0);
    pump_expect(pair->at_destination[0], "question");
    pump_write(pair->at_destination[0], "an answer");
    pump_expect(fds[1], "an answer");
    assert_int_equal(shutdown(fds[1], SHUT_WR), 0);
    pump_expect_end(pair->at_destination[0]);
    assert_int_equal(shutdown(pair->at_destination[0], SHUT_WR), 0);
    pump_expect_end(fds[1]);
    pump_run_until(pair->source.ended);
    assert_null(pair->source.error);
    if (!pair->destination.ended)
        vmf_pump_stop(pair->destination.pump, NULL);
    pump_pair_wait_ended(pair);
    assert_int_equal(pair->source.n_clean_channels, 1);
    /* when the goodbye was cut the destination has all, and cannot know that the source has, too */
    assert_true(!pair->destination.error ||
                g_error_matches(pair->destination.error, VMF_ERROR, VMF_ERROR_CANCELLED));
    g_clear_handle_id(&wire->timer, g_source_remove);
    g_thread_join(relay->thread);
    cut = relay->cut;
    g_ptr_array_remove(wire->relays, relay);
    g_free(relay);
    wire_free(wire);
    return cut;
}

/* Every kind of frame is lost sooner or later: OPEN, DATA, END, ACK, BYE. */
static void
test_a_cut_anywhere(void **state)
{
    const guint step = 13;
    guint64 budget = 1 + (guint64)g_random_int_range(0, step);

    for (print_message("first cut behind byte %" G_GUINT64_FORMAT "\n", budget); converse(budget);)
        budget += step;
    assert_true(budget > 300);
}

/* ---- patience ---- */

static void
test_patience_ends(void **state)
{
    Wire *wire = wire_new(TRUE, 300, FALSE);
    PumpPair *pair = wire->pair;
    Relay *relay;
    guint id = wire_begin(wire, FOR_EVER, FALSE, &relay);
    gint64 begin;

    (void)shutdown(relay->fds[0], SHUT_RDWR);
    pump_run_until(vmf_pump_state(pair->source.pump) == VMF_PUMP_STALLED &&
                   vmf_pump_state(pair->destination.pump) == VMF_PUMP_STALLED);
    begin = g_get_monotonic_time();
    pump_expect_silence(pair->at_destination[id - 1], 100);
    assert_false(pair->source.ended);
    pump_expect_broken(pair->at_source[id - 1]);
    pump_run_until(pair->source.ended);
    assert_true(g_get_monotonic_time() - begin >= 150 * 1000);
    assert_true(g_error_matches(pair->source.error, VMF_ERROR, VMF_ERROR_LINK_BROKEN));
    assert_non_null(strstr(pair->source.error->message, "did not come back within 0.3 s"));
    /* who waits for the end of a stream must not see one */
    pump_expect_silence(pair->at_destination[id - 1], 400);
    assert_string_equal(vmf_pump_state_name(pair->destination.pump), "stopping");
    wire_free(wire);
}

/* The guest stands still: there is less time. */
static void
test_patience_is_changed(void **state)
{
    Wire *wire = wire_new(TRUE, PATIENCE, FALSE);
    PumpPair *pair = wire->pair;
    Relay *relay;

    (void)wire_begin(wire, FOR_EVER, FALSE, &relay);
    vmf_pump_set_patience(pair->source.pump, 0); /* nobody means that */
    (void)shutdown(relay->fds[0], SHUT_RDWR);
    pump_run_until(vmf_pump_state(pair->source.pump) == VMF_PUMP_STALLED);
    vmf_pump_set_patience(pair->source.pump, 50);
    pump_run_until(pair->source.ended);
    assert_non_null(strstr(pair->source.error->message, "within 0.05 s"));
    wire_free(wire);
}

static void
test_stopped_while_stalled(void **state)
{
    Wire *wire = wire_new(TRUE, PATIENCE, FALSE);
    PumpPair *pair = wire->pair;
    Relay *relay;
    guint id = wire_begin(wire, FOR_EVER, FALSE, &relay);
    g_autoptr(GError) error = g_error_new_literal(VMF_ERROR, VMF_ERROR_CANCELLED, "enough");

    (void)shutdown(relay->fds[0], SHUT_RDWR);
    pump_run_until(vmf_pump_state(pair->source.pump) == VMF_PUMP_STALLED &&
                   vmf_pump_state(pair->destination.pump) == VMF_PUMP_STALLED);
    vmf_pump_stop(pair->source.pump, error);
    pump_expect_broken(pair->at_source[id - 1]);
    vmf_pump_stop(pair->destination.pump, error);
    pump_expect_broken(pair->at_destination[id - 1]);
    pump_pair_wait_ended(pair);
    assert_true(g_error_matches(pair->source.error, VMF_ERROR, VMF_ERROR_CANCELLED));
    assert_true(g_error_matches(pair->destination.error, VMF_ERROR, VMF_ERROR_CANCELLED));
    wire_free(wire);
}

/* ---- links that only one side takes for broken, or nobody ---- */

/* The destination hears of it by the new connection, if that is not by the ticket that was used. */
static void
test_half_open(void **state)
{
    const uint8_t used[VMF_TICKET_SECRET_SIZE] = {0}, other[VMF_TICKET_SECRET_SIZE] = {1};
    Wire *wire = wire_new(TRUE, PATIENCE, FALSE);
    PumpPair *pair = wire->pair;
    guint id = wire_begin(wire, FOR_EVER, FALSE, NULL);
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    pump_pair_attach(&pair->source, fds[0], TRUE, 0, other); /* who dialled knows better */
    assert_true(g_error_matches(pair->source.link_error, VMF_ERROR, VMF_ERROR_FAILED));
    g_clear_error(&pair->source.link_error);
    pump_pair_attach(&pair->destination, fds[1], FALSE, 0, used);
    assert_true(g_error_matches(pair->destination.link_error, VMF_ERROR, VMF_ERROR_FAILED));
    g_clear_error(&pair->destination.link_error);
    assert_linked(wire);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    pump_pair_attach(&pair->destination, fds[1], FALSE, 0, other);
    pump_run_until(vmf_pump_state(pair->source.pump) == VMF_PUMP_STALLED);
    pump_pair_attach(&pair->source, fds[0], TRUE, 0, other);
    wire_wait_linked(wire);
    assert_linked(wire);
    pump_write(pair->at_source[id - 1], "goes on");
    pump_expect(pair->at_destination[id - 1], "goes on");
    wire_free(wire);
}

/* Neither bytes nor an end: it is found out by the silence. µs that it took. */
static gint64
survive_silence(guint patience)
{
    Wire *wire = wire_new(TRUE, PATIENCE, TRUE);
    PumpPair *pair = wire->pair;
    PumpStream into, out_of;
    guint id = wire_begin(wire, 100 * 1024, TRUE, NULL);
    gint64 begin = g_get_monotonic_time();

    vmf_pump_set_patience(pair->source.pump, patience);
    into = (PumpStream){.fd = pair->at_source[id - 1], .bytes = 4 * MIB, .seed = 4};
    out_of = into;
    out_of.fd = pair->at_destination[id - 1];
    pump_stream_write(&into);
    pump_stream_read(&out_of);
    pump_stream_wait(&into);
    pump_stream_wait(&out_of);
    assert_true(wire->cuts >= 1);
    begin = g_get_monotonic_time() - begin;
    assert_linked(wire);
    wire_free(wire);
    return begin;
}

static void
test_silence(void **state)
{
    assert_true(survive_silence(PATIENCE) >= 4 * G_USEC_PER_SEC);
}

/* With little patience, as the guest stands still, it is found out soon. */
static void
test_silence_while_the_guest_stands(void **state)
{
    assert_in_range(survive_silence(5000), G_USEC_PER_SEC, 6 * G_USEC_PER_SEC);
}

/* ---- what happens while it is away ---- */

static void
test_a_channel_while_stalled(void **state)
{
    Wire *wire = wire_new(TRUE, PATIENCE, FALSE);
    PumpPair *pair = wire->pair;
    Relay *relay;
    guint first = wire_begin(wire, FOR_EVER, FALSE, &relay);
    int fds[2];

    (void)shutdown(relay->fds[0], SHUT_RDWR);
    pump_run_until(vmf_pump_state(pair->source.pump) == VMF_PUMP_STALLED &&
                   vmf_pump_state(pair->destination.pump) == VMF_PUMP_STALLED);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(vmf_pump_attach_channel(pair->source.pump, "qemu", 0, fds[0], NULL), 2);
    pair->at_source[1] = fds[1];
    pump_write(fds[1], "second");
    pump_write(pair->at_source[first - 1], "first");
    pump_write(pair->at_destination[first - 1], "back");
    pump_turn(20);
    (void)wire_link(wire, FOR_EVER, FALSE);
    wire_wait_linked(wire);
    pump_run_until(pair->at_destination[1] >= 0);
    pump_expect(pair->at_destination[1], "second");
    pump_expect(pair->at_destination[first - 1], "first");
    pump_expect(pair->at_source[first - 1], "back");
    wire_free(wire);
}

/* QEMU hangs up, or breaks, while nobody can be told. */
static void
test_ends_while_stalled(void **state)
{
    for (int broken = 0; broken < 2; broken++) {
        Wire *wire = wire_new(TRUE, PATIENCE, FALSE);
        PumpPair *pair = wire->pair;
        Relay *relay;
        guint id = wire_begin(wire, FOR_EVER, FALSE, &relay), other;

        other = pump_pair_open(pair, "nbd");
        pump_write(pair->at_destination[other - 1], "unread");
        pump_turn(20);
        pump_turn(20);
        (void)shutdown(relay->fds[0], SHUT_RDWR);
        pump_run_until(vmf_pump_state(pair->source.pump) == VMF_PUMP_STALLED &&
                       vmf_pump_state(pair->destination.pump) == VMF_PUMP_STALLED);
        if (broken)
            close(pair->at_source[other - 1]);
        else
            assert_int_equal(shutdown(pair->at_source[other - 1], SHUT_WR), 0);
        pump_turn(20);
        pump_expect_silence(pair->at_destination[other - 1], 50);
        (void)wire_link(wire, FOR_EVER, FALSE);
        wire_wait_linked(wire);
        if (broken)
            pump_expect_broken(pair->at_destination[other - 1]);
        else
            pump_expect_end(pair->at_destination[other - 1]);
        if (broken)
            pair->at_source[other - 1] = -1;
        pump_write(pair->at_source[id - 1], "goes on");
        pump_expect(pair->at_destination[id - 1], "goes on");
        wire_free(wire);
    }
}

static guint64
buffered(const PumpSide *side)
{
    g_autoptr(GVariant) figures = g_variant_ref_sink(vmf_pump_statistics(side->pump));
    guint64 bytes = 0;

    assert_true(g_variant_lookup(figures, "buffered", "t", &bytes));
    return bytes;
}

/* Without a link QEMU has to wait, and the pump takes no more memory than before. */
static void
test_memory_while_stalled(void **state)
{
    Wire *wire = wire_new(TRUE, PATIENCE, FALSE);
    PumpPair *pair = wire->pair;
    guint id = wire_begin(wire, 8 * MIB, FALSE, NULL);
    PumpStream into = {.fd = pair->at_source[id - 1], .bytes = 200 * MIB, .seed = 9};
    PumpStream out_of = {.fd = pair->at_destination[id - 1], .bytes = 200 * MIB, .seed = 9};
    guint64 held;

    pump_stream_write(&into);
    pump_stream_read(&out_of);
    pump_run_until(vmf_pump_state(pair->source.pump) == VMF_PUMP_STALLED &&
                   vmf_pump_state(pair->destination.pump) == VMF_PUMP_STALLED);
    do {
        held = buffered(&pair->source);
        pump_turn(200);
    } while (buffered(&pair->source) != held);
    for (int i = 0; i < 30; i++)
        pump_turn(10);
    assert_int_equal(buffered(&pair->source), held);
    assert_in_range(held, 1, 140 * MIB);
    assert_false(g_atomic_int_get(&into.done));
    (void)wire_link(wire, FOR_EVER, FALSE);
    wire_wait_linked(wire);
    pump_stream_wait(&into);
    pump_stream_wait(&out_of);
    wire_free(wire);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams_over_links_that_break),
        cmocka_unit_test(test_a_cut_anywhere),
        cmocka_unit_test(test_patience_ends),
        cmocka_unit_test(test_patience_is_changed),
        cmocka_unit_test(test_stopped_while_stalled),
        cmocka_unit_test(test_half_open),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_silence_while_the_guest_stands),
        cmocka_unit_test(test_a_channel_while_stalled),
        cmocka_unit_test(test_ends_while_stalled),
        cmocka_unit_test(test_memory_while_stalled),
    };

    return cmocka_run_group_tests_name("resume", tests, NULL, NULL);
}
