/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A channel from HELLO to BYE: what is right is taken and answered. Two real sides are in
 * test-pump.c. */
#include "mux-fixture.h"

static void
test_hello_and_ping(void **state)
{
    MuxFixture *f = mux_destination_new();

    assert_int_equal(f->counts[VMF_FRAME_PING], 1); /* a first round trip */
    mux_say(f, (VmfFrameHeader){.type = VMF_FRAME_PING, .sequence = 42}, NULL, 0);
    mux_run_until(f->counts[VMF_FRAME_PONG] == 1);
    assert_int_equal(f->last[VMF_FRAME_PONG].sequence, 42);
    mux_fixture_free(f);
}

static void
test_data_is_acknowledged_when_delivered(void **state)
{
    MuxFixture *f = mux_destination_new();

    mux_run_until(f->counts[VMF_FRAME_ACK] == 1); /* its share of the credit */
    assert_int_equal(f->last[VMF_FRAME_ACK].sequence, 0);
    assert_int_equal(f->ack.credit, VMF_CREDIT_INITIAL);
    f->deliver = FALSE;
    mux_say_data(f, 1, 0, 1000, VMF_FRAME_FLAG_ACK_NOW);
    mux_run_until(f->counts[VMF_FRAME_ACK] == 2);
    assert_int_equal(f->bytes, 1000);
    assert_int_equal(f->last[VMF_FRAME_ACK].sequence, 0); /* arrived, not delivered */
    assert_int_equal(f->ack.arrived, 1000);
    vmf_mux_delivered(f->mux, 1, 600);
    mux_run_until(f->counts[VMF_FRAME_ACK] == 3);
    assert_int_equal(f->last[VMF_FRAME_ACK].sequence, 600);
    assert_int_equal(f->ack.credit, VMF_CREDIT_INITIAL + 600);
    vmf_mux_delivered(f->mux, 1, 400);
    mux_say_end(f, 1, 1000);
    mux_run_until(f->ended);
    vmf_mux_end_delivered(f->mux, 1);
    mux_run_until(f->last[VMF_FRAME_ACK].sequence == 1001);
    mux_fixture_free(f);
}

/* Who takes more in a round trip may have more under way; who rests keeps none of it from others.
 */
static void
test_credit_goes_where_bytes_go(void **state)
{
    MuxFixture *f = mux_destination_new();
    guint64 offset = 0;

    mux_say_open(f, 2);
    mux_run_until(f->counts[VMF_FRAME_ACK] == 2);
    assert_int_equal(f->ack.credit, VMF_CREDIT_INITIAL);
    while (f->ack.credit - offset < 4 * VMF_CREDIT_INITIAL) {
        for (int i = 0; i < 4; i++, offset += VMF_FRAME_PAYLOAD_MAX)
            mux_say_data(f, 2, offset, VMF_FRAME_PAYLOAD_MAX, VMF_FRAME_FLAG_ACK_NOW);
        mux_run_until(f->ack.arrived == offset);
        assert_true(offset < 64 * VMF_CREDIT_INITIAL);
        g_usleep(10000); /* a round trip, or more */
    }
    assert_true(f->ack.credit - offset <= VMF_CREDIT_POOL / 2);
    mux_fixture_free(f);
}

/* What all may send together from the start is what all may have, but for the least of them. */
static void
test_a_small_pool_makes_small_credits(void **state)
{
    const gsize kept = 16 * VMF_CREDIT_INITIAL;
    MuxFixture *f = mux_destination_new_keeping(kept);
    guint64 together = 0;

    mux_run_until(f->counts[VMF_FRAME_ACK] == 1);
    together = f->ack.credit;
    for (guint id = 2; id <= VMF_CHANNELS_OPEN; id++) {
        mux_say_open(f, id);
        mux_run_until(f->counts[VMF_FRAME_ACK] == id);
        together += f->ack.credit;
    }
    assert_int_equal(together, kept);
    mux_fixture_free(f);
    f = mux_destination_new_keeping(1);
    mux_run_until(f->counts[VMF_FRAME_ACK] == 1);
    assert_int_equal(f->ack.credit, VMF_CREDIT_MIN);
    mux_fixture_free(f);
}

static void
test_a_channel_from_open_to_bye(void **state)
{
    MuxFixture *f = mux_source_new();

    mux_source_sends(f, 5000);
    vmf_mux_end(f->mux, 1);
    mux_run_until(f->counts[VMF_FRAME_END] == 1);
    assert_int_equal(f->peer_bytes, 5000);
    assert_int_equal(f->last[VMF_FRAME_END].sequence, 5000);
    mux_say_ack(f, 1, 5001, 65536, 5000);
    mux_run_until(f->end_acknowledged);
    mux_say_data(f, 1, 0, 7, 0);
    mux_say_end(f, 1, 7);
    mux_run_until(f->ended);
    assert_int_equal(f->bytes, 7);
    f->answer = TRUE;
    vmf_mux_bye(f->mux, NULL);
    mux_run_until(f->bye_came);
    assert_int_equal(f->counts[VMF_FRAME_BYE], 1);
    assert_int_equal(f->last[VMF_FRAME_ACK].sequence, 8);
    assert_null(f->said);
    assert_null(f->bye);
    g_clear_pointer(&f->peer, vmf_wire_free);
    mux_run_until(f->closed);
    assert_null(f->broken);
    mux_fixture_free(f);
}

static void
test_credit_bounds_what_is_sent(void **state)
{
    MuxFixture *f = mux_source_new();

    assert_int_equal(vmf_mux_room(f->mux, 1), 65536); /* the peer's initial credit */
    mux_source_sends(f, 65000);
    assert_int_equal(vmf_mux_room(f->mux, 1), 536);
    mux_source_sends(f, 536);
    assert_int_equal(vmf_mux_room(f->mux, 1), 0);
    mux_run_until(f->peer_bytes == 65536);
    mux_say_ack(f, 1, 0, 200000, 65536);
    mux_run_until(vmf_mux_room(f->mux, 1) > 0);
    assert_int_equal(vmf_mux_room(f->mux, 1), 200000 - 65536);
    assert_int_equal(vmf_mux_room(f->mux, 2), 0); /* not open */
    mux_fixture_free(f);
}

static void
test_kept_until_acknowledged(void **state)
{
    MuxFixture *f = mux_source_new();

    mux_source_sends(f, 1000);
    mux_source_sends(f, 2000);
    mux_run_until(f->peer_bytes == 3000);
    assert_true(vmf_chunk_pool_held(f->pool) >= 3000);
    mux_say_ack(f, 1, 999, 65536, 3000); /* not the whole of the first */
    mux_say_ack(f, 1, 1000, 65536, 3000);
    mux_say_ack(f, 1, 3000, 65536, 3000);
    /* only what the peer's wire reads into is held then */
    mux_run_until(vmf_chunk_pool_held(f->pool) <= 2 * VMF_CHUNK_SIZE &&
                  vmf_chunk_pool_held(f->pool) % VMF_CHUNK_SIZE == 0);
    assert_null(f->broken);
    mux_fixture_free(f);
}

static void
test_reset_of_the_peer(void **state)
{
    MuxFixture *f = mux_source_new();

    mux_source_sends(f, 1000);
    mux_say_reason(f, VMF_FRAME_RESET, 1, 3, "no QEMU there");
    mux_run_until(f->reset);
    assert_true(g_error_matches(f->reset, VMF_ERROR, VMF_ERROR_PEER_REFUSED));
    assert_string_equal(f->reset->message, "no QEMU there");
    assert_int_equal(vmf_mux_room(f->mux, 1), 0);
    /* the other channels go on */
    assert_true(vmf_mux_open(f->mux, 2, VMF_CHANNEL_QEMU, NULL));
    mux_fixture_free(f);
}

/* Bytes that were on their way are counted as arrived, and otherwise ignored. */
static void
test_late_bytes_after_our_reset(void **state)
{
    MuxFixture *f = mux_destination_new();
    g_autoptr(GError) error = g_error_new_literal(VMF_ERROR, VMF_ERROR_CANCELLED, "enough");

    vmf_mux_reset(f->mux, 1, error);
    mux_run_until(f->counts[VMF_FRAME_RESET] == 1);
    assert_int_equal(f->said->code, VMF_ERROR_CANCELLED);
    mux_say_data(f, 1, 0, 3000, VMF_FRAME_FLAG_ACK_NOW);
    mux_run_until(f->ack.arrived == 3000);
    assert_int_equal(f->bytes, 0);
    mux_say_end(f, 1, 3000);
    mux_say(f, (VmfFrameHeader){.type = VMF_FRAME_PING, .sequence = 1}, NULL, 0);
    mux_run_until(f->counts[VMF_FRAME_PONG] == 1);
    assert_false(f->ended);
    mux_fixture_free(f);
}

static void
test_peer_opens_as_many_as_it_may(void **state)
{
    MuxFixture *f = mux_destination_new();

    for (guint id = 2; id <= VMF_CHANNELS_OPEN; id++)
        mux_say_open(f, id);
    mux_run_until(f->opened == VMF_CHANNELS_OPEN);
    mux_say_open(f, VMF_CHANNELS_OPEN + 1);
    mux_assert_refused(f, VMF_ERROR_PROTOCOL, "all that this side can hold");
}

static void
test_we_open_as_many_as_the_peer_takes(void **state)
{
    MuxFixture *f = mux_source_new();
    g_autoptr(GError) error = NULL;

    assert_true(vmf_mux_open(f->mux, 2, VMF_CHANNEL_NBD, NULL));
    assert_false(vmf_mux_open(f->mux, 3, VMF_CHANNEL_NBD, &error));
    assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_LIMIT_REACHED));
    mux_fixture_free(f);
}

/* Another link of the migration has the numbers between. */
static void
test_numbers_may_be_left_out(void **state)
{
    MuxFixture *f = mux_destination_new();

    mux_say_open(f, 7);
    mux_run_until(f->opened == 2);
    assert_int_equal(f->last_opened, 7);
    mux_say_data(f, 7, 0, 100, VMF_FRAME_FLAG_ACK_NOW);
    mux_run_until(f->bytes == 100);
    mux_say_data(f, 6, 0, 1, 0);
    mux_assert_refused(f, VMF_ERROR_PROTOCOL, "channel 6, which was not opened");
    f = mux_source_new();
    assert_true(vmf_mux_open(f->mux, 9, VMF_CHANNEL_QEMU, NULL));
    mux_run_until(f->last[VMF_FRAME_OPEN].channel == 9);
    mux_say_ack(f, 9, 0, 1 << 20, 0);
    mux_run_until(vmf_mux_room(f->mux, 9) > 65536);
    assert_int_equal(vmf_mux_room(f->mux, 5), 0);
    mux_fixture_free(f);
}

/* Nothing that is said about a channel may pass its OPEN, however full the link is. */
static void
test_open_comes_first(void **state)
{
    MuxFixture *f = mux_source_new();

    mux_say_ack(f, 1, 0, 1 << 20, 0);
    mux_run_until(vmf_mux_room(f->mux, 1) == VMF_FRAME_PAYLOAD_MAX);
    mux_source_sends(f, VMF_FRAME_PAYLOAD_MAX); /* more than the socket takes */
    assert_true(vmf_mux_open(f->mux, 2, VMF_CHANNEL_NBD, NULL));
    g_usleep(20000); /* its first ACK is due now, and the peer has not read yet */
    mux_run_until(f->last[VMF_FRAME_ACK].channel == 2);
    assert_int_equal(f->counts[VMF_FRAME_OPEN], 2);
    mux_fixture_free(f);
}

static void
test_bye_with_a_reason(void **state)
{
    MuxFixture *f = mux_destination_new();

    mux_say_reason(f, VMF_FRAME_BYE, 0, 4, "somebody pressed Ctrl-C");
    mux_run_until(f->bye_came);
    assert_true(g_error_matches(f->bye, VMF_ERROR, VMF_ERROR_CANCELLED));
    assert_string_equal(f->bye->message, "somebody pressed Ctrl-C");
    mux_fixture_free(f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello_and_ping),
        cmocka_unit_test(test_data_is_acknowledged_when_delivered),
        cmocka_unit_test(test_credit_goes_where_bytes_go),
        cmocka_unit_test(test_a_small_pool_makes_small_credits),
        cmocka_unit_test(test_a_channel_from_open_to_bye),
        cmocka_unit_test(test_credit_bounds_what_is_sent),
        cmocka_unit_test(test_kept_until_acknowledged),
        cmocka_unit_test(test_reset_of_the_peer),
        cmocka_unit_test(test_late_bytes_after_our_reset),
        cmocka_unit_test(test_peer_opens_as_many_as_it_may),
        cmocka_unit_test(test_we_open_as_many_as_the_peer_takes),
        cmocka_unit_test(test_numbers_may_be_left_out),
        cmocka_unit_test(test_open_comes_first),
        cmocka_unit_test(test_bye_with_a_reason),
    };

    return cmocka_run_group_tests_name("mux", tests, NULL, NULL);
}
