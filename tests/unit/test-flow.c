/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The in-flight bound on simulated links. All times are simulated; nothing here waits. */
#include "cmocka-all.h"

#include <glib.h>

#include "link/flow.h"

#define TICK 50           /* µs */
#define FRAMES 65536      /* on their way at once, at most */
#define FRAME (64 * 1024) /* bytes, of the largest */
#define MIB (1024.0 * 1024.0)
#define SECOND G_USEC_PER_SEC

typedef struct {
    guint64 total; /* payload bytes up to the end of this frame */
    gint64 due;    /* when its news get to where they go */
    gboolean ask;
} Event;

typedef struct {
    Event *ring;
    guint head, n;
} Events;

/* A sender, a queue of any length before a link of a rate, and a receiver that acknowledges. */
typedef struct {
    VmfFlow *flow;
    gint64 now;
    double rate;    /* bytes/s of the link */
    gint64 one_way; /* µs */
    gint64 late;    /* µs that the receiver takes to acknowledge */
    double input;   /* bytes/s that there are to send; 0: always enough */

    double credit_in; /* input that waits */
    double passed;    /* bytes that have left the queue */
    guint64 sent;
    Events frames, acks;
    guint64 told; /* acknowledged */

    guint64 delivered;
    gint64 worst_wait; /* µs, the longest that a byte queued before the link */
} Sim;

static void
sim_push(Events *events, Event event)
{
    assert_true(events->n < FRAMES);
    events->ring[(events->head + events->n++) % FRAMES] = event;
}

static Event *
sim_first(Events *events)
{
    return events->n > 0 ? &events->ring[events->head] : NULL;
}

static void
sim_pop(Events *events)
{
    events->head = (events->head + 1) % FRAMES;
    events->n--;
}

static void
sim_init(Sim *sim, double rate, gint64 rtt)
{
    *sim = (Sim){.flow = vmf_flow_new(64 * 1024 * 1024), .now = 1000, .rate = rate};
    sim->one_way = rtt / 2;
    sim->frames.ring = g_new(Event, FRAMES);
    sim->acks.ring = g_new(Event, FRAMES);
}

static void
sim_clear(Sim *sim)
{
    vmf_flow_free(sim->flow);
    g_free(sim->frames.ring);
    g_free(sim->acks.ring);
}

static void
sim_send(Sim *sim)
{
    gsize room;

    sim->credit_in = sim->input > 0 ? sim->credit_in + sim->input * TICK / SECOND : 1e18;
    while ((room = vmf_flow_room(sim->flow)) > 0) {
        gsize n = (gsize)MIN((double)MIN(room, FRAME), sim->credit_in);

        if (n == 0) {
            vmf_flow_starved(sim->flow, sim->now);
            return;
        }
        sim->credit_in -= (double)n;
        sim->sent += n;
        sim_push(&sim->frames, (Event){sim->sent, 0, vmf_flow_sent(sim->flow, n, sim->now)});
    }
}

/* What left the queue arrives after the way; it is acknowledged at once, or after some more. */
static void
sim_link(Sim *sim)
{
    Event *frame;
    gint64 wait;

    sim->passed = MIN(sim->passed + sim->rate * TICK / SECOND, (double)sim->sent);
    wait = (gint64)(((double)sim->sent - sim->passed) * SECOND / sim->rate);
    sim->worst_wait = MAX(sim->worst_wait, wait);
    while ((frame = sim_first(&sim->frames)) && (double)frame->total <= sim->passed + 1) {
        if (frame->ask || frame->total - sim->told >= 512 * 1024 || frame->total == sim->sent) {
            sim->told = frame->total;
            sim_push(&sim->acks,
                     (Event){frame->total, sim->now + 2 * sim->one_way + sim->late, FALSE});
        }
        sim->delivered = frame->total;
        sim_pop(&sim->frames);
    }
}

static void
sim_ticks(Sim *sim, gint64 until)
{
    Event *ack;

    for (; sim->now < until; sim->now += TICK) {
        while ((ack = sim_first(&sim->acks)) && ack->due <= sim->now) {
            vmf_flow_arrived(sim->flow, ack->total, sim->now);
            sim_pop(&sim->acks);
        }
        sim_send(sim);
        sim_link(sim);
    }
}

typedef struct {
    double use;  /* of the link, 0 to 1 */
    gint64 wait; /* µs, worst */
} Result;

/* Runs for a while and says how it went. */
static Result
sim_run(Sim *sim, double seconds)
{
    guint64 before = sim->delivered;
    Result result;

    sim->worst_wait = 0;
    sim_ticks(sim, sim->now + (gint64)(seconds * SECOND));
    result.use = (double)(sim->delivered - before) / (sim->rate * seconds);
    result.wait = sim->worst_wait;
    print_message("%.1f MiB/s, %.1f ms: use %.3f, wait %.1f ms, bound %.2f MiB, rtt %.1f ms\n",
                  sim->rate / MIB, 2 * (double)sim->one_way / 1000, result.use,
                  (double)result.wait / 1000, (double)vmf_flow_limit(sim->flow) / MIB,
                  (double)vmf_flow_rtt(sim->flow) / 1000);
    return result;
}

static void
test_lan(void **state)
{
    Sim sim;
    Result result;

    sim_init(&sim, 45 * MIB, 200);
    result = sim_run(&sim, 0.5);
    assert_true(result.use > 0.97);
    result = sim_run(&sim, 5);
    assert_true(result.use > 0.99);
    assert_true(result.wait < 24000);
    assert_in_range(vmf_flow_rate(sim.flow), 44 * MIB, 47 * MIB);
    sim_clear(&sim);
}

static void
test_fast(void **state)
{
    Sim sim;
    Result result;

    sim_init(&sim, 1e9, 100);
    sim_run(&sim, 0.5);
    result = sim_run(&sim, 2);
    assert_true(result.use > 0.99);
    assert_true(result.wait < 24000);
    sim_clear(&sim);
}

static void
test_thin(void **state)
{
    Sim sim;
    Result result;

    sim_init(&sim, 1 * MIB, 20000);
    sim_run(&sim, 2);
    result = sim_run(&sim, 10);
    assert_true(result.use > 0.99);
    /* the floor of the bound is what a link this thin gets */
    assert_true(result.wait < (gint64)(VMF_FLOW_FLOOR / MIB * SECOND) + 20000);
    sim_clear(&sim);
}

static void
test_wan_fills_fast(void **state)
{
    Sim sim;
    Result result;

    sim_init(&sim, 100 * MIB, 100000);
    result = sim_run(&sim, 2);
    assert_true(result.use > 0.4);
    result = sim_run(&sim, 5);
    assert_true(result.use > 0.97);
    assert_true(result.wait < 30000);
    sim_clear(&sim);
}

/* A busy receiver acknowledges late; the round trip was measured while it did not. */
static void
test_late_acknowledgements(void **state)
{
    Sim sim;
    Result result;

    sim_init(&sim, 24 * MIB, 100000);
    sim.late = 32000;
    vmf_flow_round_trip(sim.flow, 100000, sim.now);
    sim_run(&sim, 3);
    result = sim_run(&sim, 6);
    assert_true(result.use > 0.75); /* and falls to half within the time if nothing is tried */
    assert_true(result.wait < 50000);
    sim_clear(&sim);
}

/* Input that comes in gulps leaves the link idle for moments, and is not the limit for that. */
static void
test_moments_without_input(void **state)
{
    g_autoptr(VmfFlow) flow = vmf_flow_new(64 * 1024 * 1024);
    guint64 total = 0;
    gint64 now = 1;

    vmf_flow_round_trip(flow, 10000, now);
    for (int i = 0; i < 100; i++, now += 10000) {
        gsize room = vmf_flow_room(flow);

        vmf_flow_sent(flow, room, now);
        vmf_flow_arrived(flow, total += room, now + 9000);
        vmf_flow_starved(flow, now + 9000);
    }
    assert_true(vmf_flow_limit(flow) > 32 * MIB);
}

/* After the smallest round trip is forgotten it is measured again, and does not creep upwards. */
static void
test_queue_does_not_creep(void **state)
{
    Sim sim;
    Result result;

    for (int i = 0; i < 2; i++) {
        sim_init(&sim, i ? 100 * MIB : 45 * MIB, i ? 100000 : 200);
        sim_run(&sim, 2);
        result = sim_run(&sim, 60);
        assert_true(result.use > 0.97);
        assert_true(result.wait < 30000);
        assert_true(vmf_flow_rtt(sim.flow) < (i ? 105000 : 4000));
        sim_clear(&sim);
    }
}

static void
test_rate_drops_and_comes_back(void **state)
{
    Sim sim;
    Result result;

    sim_init(&sim, 100 * MIB, 1000);
    sim_run(&sim, 2);
    sim.rate = 10 * MIB;
    sim_run(&sim, 1); /* what was on its way takes its time */
    result = sim_run(&sim, 2);
    assert_true(result.use > 0.99);
    assert_true(result.wait < 30000);
    sim.rate = 100 * MIB;
    sim_run(&sim, 0.2);
    result = sim_run(&sim, 2);
    assert_true(result.use > 0.97);
    assert_true(result.wait < 30000);
    sim_clear(&sim);
}

static void
test_way_gets_longer(void **state)
{
    Sim sim;
    Result result;

    sim_init(&sim, 50 * MIB, 1000);
    sim_run(&sim, 2);
    sim.one_way = 30000;
    sim_run(&sim, 15);
    result = sim_run(&sim, 5);
    assert_true(result.use > 0.97);
    assert_true(result.wait < 30000);
    assert_in_range(vmf_flow_rtt(sim.flow), 60000, 66000);
    sim_clear(&sim);
}

/* A trickle tells nothing about the link; what was known stays. */
static void
test_idle_input_keeps_the_rate(void **state)
{
    Sim sim;
    guint64 rate;

    sim_init(&sim, 100 * MIB, 200);
    sim_run(&sim, 1);
    rate = vmf_flow_rate(sim.flow);
    assert_in_range(rate, 98 * MIB, 104 * MIB);
    sim.input = 1 * MIB;
    sim_run(&sim, 20);
    assert_int_equal(vmf_flow_rate(sim.flow), rate);
    sim.input = 0;
    assert_true(sim_run(&sim, 0.5).use > 0.97);
    sim_clear(&sim);
}

/* An input that never has more than one gulp ready must not be held to a gulp per round trip. */
static void
test_gulps(void **state)
{
    g_autoptr(VmfFlow) flow = vmf_flow_new(64 * 1024 * 1024);
    guint64 total = 0;
    gint64 now = 1000;

    for (; now < 100000; now += 500) {
        total += 200 * 1024;
        vmf_flow_sent(flow, 200 * 1024, now);
        vmf_flow_starved(flow, now);
        vmf_flow_arrived(flow, total, now + 300);
    }
    assert_in_range(vmf_flow_rate(flow), 390 * MIB, 430 * MIB);
    assert_true(vmf_flow_limit(flow) > 7 * MIB);
}

static void
test_bounds(void **state)
{
    g_autoptr(VmfFlow) flow = vmf_flow_new(1024 * 1024);

    assert_int_equal(vmf_flow_limit(flow), VMF_FLOW_FLOOR);
    assert_int_equal(vmf_flow_room(flow), VMF_FLOW_FLOOR);
    assert_int_equal(vmf_flow_rate(flow), 0);
    vmf_flow_sent(flow, VMF_FLOW_FLOOR - 1000, 1);
    assert_int_equal(vmf_flow_in_flight(flow), VMF_FLOW_FLOOR - 1000);
    assert_int_equal(vmf_flow_room(flow), 0); /* not worth a frame */
    vmf_flow_arrived(flow, VMF_FLOW_FLOOR - 1000, 20);
    assert_int_equal(vmf_flow_in_flight(flow), 0);
    for (int i = 0; i < 10000; i++) { /* 3.2 GB/s */
        vmf_flow_sent(flow, 64 * 1024, 100 + i * 20);
        vmf_flow_arrived(flow, VMF_FLOW_FLOOR - 1000 + (guint64)(i + 1) * 64 * 1024, 110 + i * 20);
    }
    assert_int_equal(vmf_flow_limit(flow), 1024 * 1024);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lan),
        cmocka_unit_test(test_fast),
        cmocka_unit_test(test_thin),
        cmocka_unit_test(test_wan_fills_fast),
        cmocka_unit_test(test_late_acknowledgements),
        cmocka_unit_test(test_moments_without_input),
        cmocka_unit_test(test_queue_does_not_creep),
        cmocka_unit_test(test_rate_drops_and_comes_back),
        cmocka_unit_test(test_way_gets_longer),
        cmocka_unit_test(test_idle_input_keeps_the_rate),
        cmocka_unit_test(test_gulps),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests_name("flow", tests, NULL, NULL);
}
