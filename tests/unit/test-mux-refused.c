/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is not as PROTOCOL.md says is refused by name. */
#include "mux-fixture.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void
test_frames_before_hello(void **state)
{
    MuxFixture *f = mux_fixture_new(VMF_SIDE_DESTINATION);

    mux_say_open(f, 1);
    mux_assert_refused(f, VMF_ERROR_PROTOCOL, "expected HELLO");
}

static void
test_second_hello(void **state)
{
    MuxFixture *f = mux_destination_new();

    mux_say_hello(f, VMF_SIDE_SOURCE, 0);
    mux_assert_refused(f, VMF_ERROR_PROTOCOL, "second HELLO");
}

static void
test_same_side(void **state)
{
    MuxFixture *f = mux_fixture_new(VMF_SIDE_DESTINATION);

    mux_say_hello(f, VMF_SIDE_DESTINATION, 0);
    mux_assert_refused(f, VMF_ERROR_PROTOCOL, "expected side 1");
}

static void
test_required_feature(void **state)
{
    MuxFixture *f = mux_fixture_new(VMF_SIDE_DESTINATION);

    mux_say_hello(f, VMF_SIDE_SOURCE, 4);
    mux_assert_refused(f, VMF_ERROR_NOT_SUPPORTED, "0x4");
}

static void
test_unknown_type(void **state)
{
    MuxFixture *f = mux_destination_new();

    mux_say(f, (VmfFrameHeader){.type = (VmfFrameType)77}, NULL, 0);
    mux_assert_refused(f, VMF_ERROR_PROTOCOL, "unknown type 77");
}

static void
test_gap(void **state)
{
    MuxFixture *f = mux_destination_new();

    mux_say_data(f, 1, 0, 10, 0);
    mux_say_data(f, 1, 11, 10, 0);
    mux_assert_refused(f, VMF_ERROR_PROTOCOL,
                       "a gap in the bytes of channel 1 at offset 11; expected 10");
}

static void
test_overlap(void **state)
{
    MuxFixture *f = mux_destination_new();

    mux_say_data(f, 1, 0, 10, 0);
    mux_say_data(f, 1, 9, 10, 0);
    mux_assert_refused(f, VMF_ERROR_PROTOCOL, "an overlap in the bytes of channel 1 at offset 9");
}

static void
test_over_credit(void **state)
{
    MuxFixture *f = mux_destination_new();

    f->deliver = FALSE;
    mux_run_until(f->counts[VMF_FRAME_ACK] == 1); /* after data it might give more */
    for (guint64 offset = 0; offset < VMF_CREDIT_INITIAL; offset += VMF_FRAME_PAYLOAD_MAX)
        mux_say_data(f, 1, offset, VMF_FRAME_PAYLOAD_MAX, 0);
    mux_run_until(f->bytes == VMF_CREDIT_INITIAL);
    assert_null(f->broken);
    mux_say_data(f, 1, VMF_CREDIT_INITIAL, 1, 0);
    mux_assert_refused(f, VMF_ERROR_PROTOCOL, "over its credit");
}

static void
test_data_after_end(void **state)
{
    MuxFixture *f = mux_destination_new();

    mux_say_end(f, 1, 0);
    mux_say_data(f, 1, 0, 1, 0);
    mux_assert_refused(f, VMF_ERROR_PROTOCOL, "after its END");
}

static void
test_data_after_the_peers_reset(void **state)
{
    MuxFixture *f = mux_destination_new();

    mux_say_reason(f, VMF_FRAME_RESET, 1, 1, "x");
    mux_say_data(f, 1, 0, 1, 0);
    mux_assert_refused(f, VMF_ERROR_PROTOCOL, "after its RESET");
}

static void
test_end_in_the_wrong_place(void **state)
{
    MuxFixture *f = mux_destination_new();

    mux_say_data(f, 1, 0, 10, 0);
    mux_say_end(f, 1, 9);
    mux_assert_refused(f, VMF_ERROR_PROTOCOL, "expected 10");
}

static void
test_unopened_channels(void **state)
{
    MuxFixture *f = mux_destination_new();

    mux_say_data(f, 2, 0, 1, 0);
    mux_assert_refused(f, VMF_ERROR_PROTOCOL, "channel 2, which was not opened");
    f = mux_destination_new();
    mux_say_ack(f, 2, 0, 0, 0);
    mux_assert_refused(f, VMF_ERROR_PROTOCOL, "channel 2, which was not opened");
    f = mux_destination_new();
    mux_say_reason(f, VMF_FRAME_RESET, 2, 1, "x");
    mux_assert_refused(f, VMF_ERROR_PROTOCOL, "channel 2, which was not opened");
}

static void
test_opens_out_of_order(void **state)
{
    MuxFixture *f = mux_destination_new();

    mux_say_open(f, 1);
    mux_assert_refused(f, VMF_ERROR_PROTOCOL, "expected 2 or more");
    f = mux_destination_new();
    mux_say_open(f, 5);
    mux_say_open(f, 4);
    mux_assert_refused(f, VMF_ERROR_PROTOCOL, "an OPEN of channel 4; expected 6");
    f = mux_destination_new();
    mux_say_open(f, VMF_CHANNELS_TOTAL + 1);
    mux_assert_refused(f, VMF_ERROR_PROTOCOL, "a channel up to 1024");
    f = mux_source_new();
    mux_say_open(f, 2);
    mux_assert_refused(f, VMF_ERROR_PROTOCOL, "only the source opens");
}

/* A peer that acknowledges what it did not get, or takes back what it said. */
static void
test_lying_acks(void **state)
{
    const struct {
        guint64 offset, credit, arrived;
    } lies[] = {
        {1001, 65536, 1000}, /* END was not sent */
        {1000, 65536, 1001}, /* more than was sent */
        {499, 65536, 1000},  /* goes back */
        {500, 65535, 1000},  /* takes credit back */
        {500, 65536, 499},   /* unarrives */
    };

    for (guint i = 0; i < G_N_ELEMENTS(lies); i++) {
        MuxFixture *f = mux_source_new();

        mux_source_sends(f, 1000);
        mux_run_until(f->peer_bytes == 1000);
        mux_say_ack(f, 1, 500, 65536, 500);
        mux_say_ack(f, 1, lies[i].offset, lies[i].credit, lies[i].arrived);
        mux_assert_refused(f, VMF_ERROR_PROTOCOL, "expected");
    }
}

static void
test_bye_too_early(void **state)
{
    MuxFixture *f = mux_destination_new();

    mux_say_reason(f, VMF_FRAME_BYE, 0, 0, "");
    mux_assert_refused(f, VMF_ERROR_PROTOCOL, "while 1 channels are open");
}

static void
test_frames_after_bye(void **state)
{
    MuxFixture *f = mux_destination_new();

    mux_say_reason(f, VMF_FRAME_BYE, 0, 1, "x");
    mux_say(f, (VmfFrameHeader){.type = VMF_FRAME_PING}, NULL, 0);
    mux_assert_refused(f, VMF_ERROR_PROTOCOL, "after BYE");
}

/* From here on the peer speaks, but does not listen. */
static void
go_deaf(MuxFixture *f)
{
    f->raw = fcntl(f->peer_fd, F_DUPFD_CLOEXEC, 3);
    assert_true(f->raw > 0);
    g_clear_pointer(&f->peer, vmf_wire_free);
}

/* Says one frame again and again, until it was refused or said often enough. */
static void
say_deaf(MuxFixture *f, const void *frame, gsize length, guint n)
{
    for (guint i = 0; i < n && !f->broken;) {
        if (send(f->raw, frame, length, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)length)
            i++;
        else
            g_main_context_iteration(NULL, FALSE);
        assert_true(vmf_chunk_pool_held(f->pool) < 1024 * 1024);
    }
}

/* Whoever asks and asks and never listens must not fill our memory with answers. */
static void
test_answers_are_bounded(void **state)
{
    const VmfFrameHeader ping = {.type = VMF_FRAME_PING, .sequence = 1};
    uint8_t bytes[VMF_FRAME_HEADER_SIZE + 1] = {0};
    MuxFixture *f = mux_destination_new();

    go_deaf(f);
    vmf_frame_header_encode(&ping, bytes);
    say_deaf(f, bytes, VMF_FRAME_HEADER_SIZE, 200000);
    assert_non_null(f->broken);
    if (!strstr(f->broken->message, "many PINGs"))
        fail_msg("%s", f->broken->message);
    mux_fixture_free(f);

    f = mux_destination_new();
    go_deaf(f);
    for (guint i = 0; i < 50000; i++) { /* single bytes, each to be acknowledged at once */
        const VmfFrameHeader data = {.type = VMF_FRAME_DATA,
                                     .flags = VMF_FRAME_FLAG_ACK_NOW,
                                     .channel = 1,
                                     .length = 1,
                                     .sequence = i};

        vmf_frame_header_encode(&data, bytes);
        say_deaf(f, bytes, sizeof bytes, 1);
    }
    mux_run_until(f->bytes == 50000);
    assert_null(f->broken);
    mux_fixture_free(f);
}

static void
test_reset_without_reason(void **state)
{
    MuxFixture *f = mux_destination_new();

    mux_say_reason(f, VMF_FRAME_RESET, 1, 0, "");
    mux_assert_refused(f, VMF_ERROR_PROTOCOL, "code 0");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_before_hello),
        cmocka_unit_test(test_second_hello),
        cmocka_unit_test(test_same_side),
        cmocka_unit_test(test_required_feature),
        cmocka_unit_test(test_unknown_type),
        cmocka_unit_test(test_gap),
        cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_over_credit),
        cmocka_unit_test(test_data_after_end),
        cmocka_unit_test(test_data_after_the_peers_reset),
        cmocka_unit_test(test_end_in_the_wrong_place),
        cmocka_unit_test(test_unopened_channels),
        cmocka_unit_test(test_opens_out_of_order),
        cmocka_unit_test(test_lying_acks),
        cmocka_unit_test(test_bye_too_early),
        cmocka_unit_test(test_frames_after_bye),
        cmocka_unit_test(test_answers_are_bounded),
        cmocka_unit_test(test_reset_without_reason),
    };

    return cmocka_run_group_tests_name("mux-refused", tests, NULL, NULL);
}
