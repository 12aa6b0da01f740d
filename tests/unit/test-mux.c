/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One side's channels against a peer that is played frame by frame: what is right is taken and
 * answered, everything else is refused by name. Two real sides are in test-pump.c.
 */
#include "cmocka-all.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/error.h"
#include "link/mux.h"

#define CREDIT VMF_CREDIT_INITIAL

typedef struct {
    VmfChunkPool *pool;
    VmfPace pace;
    VmfMux *mux; /* what is tested */

    /* what it said to its owner */
    gboolean ready, closed;
    guint opened;
    guint64 bytes;
    gboolean ended, end_acknowledged;
    gboolean deliver; /* at once what comes */
    GError *reset, *broken;
    gboolean bye_came;
    GError *bye;

    /* the peer */
    VmfWire *peer;
    int peer_fd, raw; /* its socket; a copy of it, to write to and not to read */
    gboolean peer_secured, peer_cut;
    VmfFrameParser parser;
    guint counts[VMF_FRAME_BYE + 1];
    VmfFrameHeader last[VMF_FRAME_BYE + 1];
    VmfAck ack;
    guint64 peer_bytes;
    GError *said;    /* the reason of a RESET or BYE */
    gboolean answer; /* BYE with BYE */
} Fixture;

/* ---- the mux's owner ---- */

static void
on_ready(gpointer owner)
{
    ((Fixture *)owner)->ready = TRUE;
}

static void
on_opened(gpointer owner, guint channel, VmfChannelKind kind)
{
    Fixture *f = owner;

    f->opened++;
    assert_int_equal(channel, f->opened);
    assert_int_equal(kind, VMF_CHANNEL_QEMU);
}

static void
on_data(gpointer owner, guint channel, const VmfSlice *bytes)
{
    Fixture *f = owner;

    f->bytes += bytes->length;
    if (f->deliver)
        vmf_mux_delivered(f->mux, channel, bytes->length);
}

static void
on_end(gpointer owner, guint channel)
{
    Fixture *f = owner;

    f->ended = TRUE;
    if (f->deliver)
        vmf_mux_end_delivered(f->mux, channel);
}

static void
on_end_acknowledged(gpointer owner, guint channel)
{
    ((Fixture *)owner)->end_acknowledged = TRUE;
}

static void
on_reset(gpointer owner, guint channel, const GError *error)
{
    Fixture *f = owner;

    assert_null(f->reset);
    f->reset = g_error_copy(error);
}

static void
on_room(gpointer owner)
{
}

static void
on_bye(gpointer owner, const GError *error)
{
    Fixture *f = owner;

    f->bye_came = TRUE;
    f->bye = error ? g_error_copy(error) : NULL;
}

static void
on_broken(gpointer owner, const GError *error)
{
    Fixture *f = owner;

    assert_null(f->broken);
    f->broken = g_error_copy(error);
}

static void
on_closed(gpointer owner)
{
    ((Fixture *)owner)->closed = TRUE;
}

static const VmfMuxEvents mux_events = {
    .ready = on_ready,
    .opened = on_opened,
    .data = on_data,
    .end = on_end,
    .end_acknowledged = on_end_acknowledged,
    .reset = on_reset,
    .room = on_room,
    .bye = on_bye,
    .broken = on_broken,
    .closed = on_closed,
};

/* ---- the peer ---- */

static void
peer_secured(gpointer owner)
{
    ((Fixture *)owner)->peer_secured = TRUE;
}

/* The payload is zeros after `payload`. */
static void
say(Fixture *f, VmfFrameHeader header, const void *payload, gsize length)
{
    gsize size = VMF_FRAME_HEADER_SIZE + header.length;
    VmfChunk *chunk = vmf_chunk_new(f->pool, size);

    memset(chunk->data, 0, size);
    vmf_frame_header_encode(&header, chunk->data);
    if (length > 0)
        memcpy(chunk->data + VMF_FRAME_HEADER_SIZE, payload, length);
    vmf_wire_send(f->peer, (VmfSlice){chunk, chunk->data, size});
}

static void
say_reason(Fixture *f, VmfFrameType type, guint channel, uint16_t code, const char *why)
{
    uint8_t payload[100];

    vmf_put_u16(payload, code);
    memcpy(payload + 2, why, strlen(why));
    say(f,
        (VmfFrameHeader){
            .type = type, .channel = (uint16_t)channel, .length = (uint32_t)(2 + strlen(why))},
        payload, 2 + strlen(why));
}

static void
peer_take(Fixture *f, const VmfFrame *frame)
{
    f->counts[frame->header.type]++;
    f->last[frame->header.type] = frame->header;
    if (frame->header.type == VMF_FRAME_ACK && f->opened == 0) /* of a source */
        assert_true(frame->header.channel <= f->counts[VMF_FRAME_OPEN]);
    if (frame->header.type == VMF_FRAME_ACK)
        vmf_ack_decode(frame->payload, &f->ack);
    if (frame->header.type == VMF_FRAME_DATA)
        f->peer_bytes += frame->header.length;
    if (frame->header.type == VMF_FRAME_BYE || frame->header.type == VMF_FRAME_RESET) {
        g_clear_error(&f->said);
        f->said = vmf_reason_decode(frame->payload, frame->header.length);
    }
    if (frame->header.type == VMF_FRAME_BYE && f->answer)
        say_reason(f, VMF_FRAME_BYE, 0, 0, "");
}

static void
peer_received(gpointer owner, const VmfSlice *bytes)
{
    Fixture *f = owner;
    const uint8_t *data = bytes->data;
    gsize length = bytes->length;
    VmfFrame frame;

    while (vmf_frame_parser_next(&f->parser, &data, &length, &frame, NULL) == VMF_PARSE_FRAME)
        peer_take(f, &frame);
}

static void
peer_drained(gpointer owner)
{
}

static void
peer_broken(gpointer owner, const GError *error)
{
    ((Fixture *)owner)->peer_cut = TRUE;
}

static const VmfWireEvents peer_events = {peer_secured, peer_received, peer_drained, peer_broken};

static gboolean
on_late(gpointer data)
{
    *(gboolean *)data = TRUE;
    return G_SOURCE_REMOVE;
}

#define run_until(condition)                                                                       \
    do {                                                                                           \
        gboolean late = FALSE;                                                                     \
        guint timer = g_timeout_add_seconds(10, on_late, &late);                                   \
                                                                                                   \
        while (!(condition) && !late)                                                              \
            g_main_context_iteration(NULL, TRUE);                                                  \
        assert_false(late);                                                                        \
        g_source_remove(timer);                                                                    \
    } while (0)

static void
say_hello(Fixture *f, VmfSide side, guint64 required)
{
    const VmfHello hello = {
        .side = side, .channels = 2, .credit = 65536, .required = required, .offered = required};
    uint8_t payload[VMF_HELLO_SIZE];

    vmf_hello_encode(&hello, payload);
    say(f, (VmfFrameHeader){.type = VMF_FRAME_HELLO, .length = VMF_HELLO_SIZE}, payload,
        sizeof payload);
}

static void
say_open(Fixture *f, guint channel)
{
    say(f, (VmfFrameHeader){.type = VMF_FRAME_OPEN, .channel = (uint16_t)channel, .length = 4},
        "\1", 1);
}

static void
say_data(Fixture *f, guint channel, guint64 offset, guint length, uint8_t flags)
{
    say(f,
        (VmfFrameHeader){.type = VMF_FRAME_DATA,
                         .flags = flags,
                         .channel = (uint16_t)channel,
                         .length = length,
                         .sequence = offset},
        NULL, 0);
}

static void
say_end(Fixture *f, guint channel, guint64 offset)
{
    say(f,
        (VmfFrameHeader){.type = VMF_FRAME_END, .channel = (uint16_t)channel, .sequence = offset},
        NULL, 0);
}

static void
say_ack(Fixture *f, guint channel, guint64 offset, guint64 credit, guint64 arrived)
{
    const VmfAck ack = {credit, arrived};
    uint8_t payload[VMF_ACK_SIZE];

    vmf_ack_encode(&ack, payload);
    say(f,
        (VmfFrameHeader){.type = VMF_FRAME_ACK,
                         .channel = (uint16_t)channel,
                         .length = VMF_ACK_SIZE,
                         .sequence = offset},
        payload, sizeof payload);
}

/* A link on which both have proved the secret, but not said HELLO. */
static Fixture *
fixture_new(VmfSide side)
{
    static const uint8_t secret[VMF_TICKET_SECRET_SIZE] = {5};
    Fixture *f = g_new0(Fixture, 1);
    int fds[2];

    f->pool = vmf_chunk_pool_new();
    f->deliver = TRUE;
    f->mux = vmf_mux_new(side, f->pool, &f->pace, &mux_events, f);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_true(vmf_mux_attach(f->mux, &(VmfWireSetup){fds[0], FALSE, FALSE, secret}, NULL));
    f->peer_fd = fds[1];
    f->peer =
        vmf_wire_new(&(VmfWireSetup){fds[1], TRUE, FALSE, secret}, f->pool, &peer_events, f, NULL);
    run_until(f->peer_secured && f->counts[VMF_FRAME_HELLO] == 1);
    return f;
}

/* A destination that is ready, with channel 1 open. */
static Fixture *
destination_new(void)
{
    Fixture *f = fixture_new(VMF_SIDE_DESTINATION);

    say_hello(f, VMF_SIDE_SOURCE, 0);
    say_open(f, 1);
    run_until(f->opened == 1);
    assert_true(f->ready);
    return f;
}

/* A source that is ready, with channel 1 open. */
static Fixture *
source_new(void)
{
    Fixture *f = fixture_new(VMF_SIDE_SOURCE);

    say_hello(f, VMF_SIDE_DESTINATION, 0);
    run_until(f->ready);
    assert_int_equal(vmf_mux_open(f->mux, VMF_CHANNEL_QEMU, NULL), 1);
    run_until(f->counts[VMF_FRAME_OPEN] == 1);
    return f;
}

static void
fixture_free(Fixture *f)
{
    vmf_mux_free(f->mux);
    g_clear_pointer(&f->peer, vmf_wire_free);
    if (f->raw > 0)
        close(f->raw);
    g_clear_error(&f->reset);
    g_clear_error(&f->broken);
    g_clear_error(&f->bye);
    g_clear_error(&f->said);
    assert_int_equal(vmf_chunk_pool_held(f->pool), 0);
    vmf_chunk_pool_free(f->pool);
    g_free(f);
}

/* The mux has given the link up, told the peer why, and hung up. Frees the fixture. */
static void
assert_refused(Fixture *f, VmfError code, const char *why)
{
    run_until(f->broken && f->peer_cut);
    assert_true(g_error_matches(f->broken, VMF_ERROR, (gint)code));
    if (!strstr(f->broken->message, why))
        fail_msg("\"%s\" does not say \"%s\"", f->broken->message, why);
    assert_non_null(f->said);
    assert_int_equal(f->said->code, code);
    assert_string_equal(f->said->message, f->broken->message);
    assert_false(vmf_mux_is_ready(f->mux));
    fixture_free(f);
}

static void
source_sends(Fixture *f, gsize length)
{
    VmfChunk *chunk = vmf_chunk_new(f->pool, VMF_CHUNK_HEADROOM + length);

    assert_true(vmf_mux_room(f->mux, 1) >= length);
    memset(chunk->data, 0, VMF_CHUNK_HEADROOM + length);
    vmf_mux_send(f->mux, 1, (VmfSlice){chunk, chunk->data + VMF_CHUNK_HEADROOM, length});
}

/* ---- what is right ---- */

static void
test_hello_and_ping(void **state)
{
    Fixture *f = destination_new();

    assert_int_equal(f->counts[VMF_FRAME_PING], 1); /* a first round trip */
    say(f, (VmfFrameHeader){.type = VMF_FRAME_PING, .sequence = 42}, NULL, 0);
    run_until(f->counts[VMF_FRAME_PONG] == 1);
    assert_int_equal(f->last[VMF_FRAME_PONG].sequence, 42);
    fixture_free(f);
}

static void
test_data_is_acknowledged_when_delivered(void **state)
{
    Fixture *f = destination_new();

    run_until(f->counts[VMF_FRAME_ACK] == 1); /* its share of the credit */
    assert_int_equal(f->last[VMF_FRAME_ACK].sequence, 0);
    assert_int_equal(f->ack.credit, VMF_CREDIT_POOL);
    f->deliver = FALSE;
    say_data(f, 1, 0, 1000, VMF_FRAME_FLAG_ACK_NOW);
    run_until(f->counts[VMF_FRAME_ACK] == 2);
    assert_int_equal(f->bytes, 1000);
    assert_int_equal(f->last[VMF_FRAME_ACK].sequence, 0); /* arrived, not delivered */
    assert_int_equal(f->ack.arrived, 1000);
    vmf_mux_delivered(f->mux, 1, 600);
    run_until(f->counts[VMF_FRAME_ACK] == 3);
    assert_int_equal(f->last[VMF_FRAME_ACK].sequence, 600);
    assert_int_equal(f->ack.credit, VMF_CREDIT_POOL + 600);
    vmf_mux_delivered(f->mux, 1, 400);
    say_end(f, 1, 1000);
    run_until(f->ended);
    vmf_mux_end_delivered(f->mux, 1);
    run_until(f->last[VMF_FRAME_ACK].sequence == 1001);
    fixture_free(f);
}

static void
test_a_channel_from_open_to_bye(void **state)
{
    Fixture *f = source_new();

    source_sends(f, 5000);
    vmf_mux_end(f->mux, 1);
    run_until(f->counts[VMF_FRAME_END] == 1);
    assert_int_equal(f->peer_bytes, 5000);
    assert_int_equal(f->last[VMF_FRAME_END].sequence, 5000);
    say_ack(f, 1, 5001, 65536, 5000);
    run_until(f->end_acknowledged);
    say_data(f, 1, 0, 7, 0);
    say_end(f, 1, 7);
    run_until(f->ended);
    assert_int_equal(f->bytes, 7);
    f->answer = TRUE;
    vmf_mux_bye(f->mux, NULL);
    run_until(f->bye_came);
    assert_int_equal(f->counts[VMF_FRAME_BYE], 1);
    assert_int_equal(f->last[VMF_FRAME_ACK].sequence, 8);
    assert_null(f->said);
    assert_null(f->bye);
    g_clear_pointer(&f->peer, vmf_wire_free);
    run_until(f->closed);
    assert_null(f->broken);
    fixture_free(f);
}

static void
test_credit_bounds_what_is_sent(void **state)
{
    Fixture *f = source_new();

    assert_int_equal(vmf_mux_room(f->mux, 1), 65536); /* the peer's initial credit */
    source_sends(f, 65000);
    assert_int_equal(vmf_mux_room(f->mux, 1), 536);
    source_sends(f, 536);
    assert_int_equal(vmf_mux_room(f->mux, 1), 0);
    run_until(f->peer_bytes == 65536);
    say_ack(f, 1, 0, 200000, 65536);
    run_until(vmf_mux_room(f->mux, 1) > 0);
    assert_int_equal(vmf_mux_room(f->mux, 1), 200000 - 65536);
    assert_int_equal(vmf_mux_room(f->mux, 2), 0); /* not open */
    fixture_free(f);
}

static void
test_kept_until_acknowledged(void **state)
{
    Fixture *f = source_new();

    source_sends(f, 1000);
    source_sends(f, 2000);
    run_until(f->peer_bytes == 3000);
    assert_true(vmf_chunk_pool_held(f->pool) >= 3000);
    say_ack(f, 1, 999, 65536, 3000); /* not the whole of the first */
    say_ack(f, 1, 1000, 65536, 3000);
    say_ack(f, 1, 3000, 65536, 3000);
    /* only what the peer's wire reads into is held then */
    run_until(vmf_chunk_pool_held(f->pool) <= 2 * VMF_CHUNK_SIZE &&
              vmf_chunk_pool_held(f->pool) % VMF_CHUNK_SIZE == 0);
    assert_null(f->broken);
    fixture_free(f);
}

static void
test_reset_of_the_peer(void **state)
{
    Fixture *f = source_new();

    source_sends(f, 1000);
    say_reason(f, VMF_FRAME_RESET, 1, 3, "no QEMU there");
    run_until(f->reset);
    assert_true(g_error_matches(f->reset, VMF_ERROR, VMF_ERROR_PEER_REFUSED));
    assert_string_equal(f->reset->message, "no QEMU there");
    assert_int_equal(vmf_mux_room(f->mux, 1), 0);
    /* the other channels go on */
    assert_int_equal(vmf_mux_open(f->mux, VMF_CHANNEL_QEMU, NULL), 2);
    fixture_free(f);
}

/* Bytes that were on their way are counted as arrived, and otherwise ignored. */
static void
test_late_bytes_after_our_reset(void **state)
{
    Fixture *f = destination_new();
    g_autoptr(GError) error = g_error_new_literal(VMF_ERROR, VMF_ERROR_CANCELLED, "enough");

    vmf_mux_reset(f->mux, 1, error);
    run_until(f->counts[VMF_FRAME_RESET] == 1);
    assert_int_equal(f->said->code, VMF_ERROR_CANCELLED);
    say_data(f, 1, 0, 3000, VMF_FRAME_FLAG_ACK_NOW);
    run_until(f->ack.arrived == 3000);
    assert_int_equal(f->bytes, 0);
    say_end(f, 1, 3000);
    say(f, (VmfFrameHeader){.type = VMF_FRAME_PING, .sequence = 1}, NULL, 0);
    run_until(f->counts[VMF_FRAME_PONG] == 1);
    assert_false(f->ended);
    fixture_free(f);
}

static void
test_peer_opens_as_many_as_it_may(void **state)
{
    Fixture *f = destination_new();

    for (guint id = 2; id <= VMF_CHANNELS_OPEN; id++)
        say_open(f, id);
    run_until(f->opened == VMF_CHANNELS_OPEN);
    say_open(f, VMF_CHANNELS_OPEN + 1);
    assert_refused(f, VMF_ERROR_PROTOCOL, "all that this side can hold");
}

static void
test_we_open_as_many_as_the_peer_takes(void **state)
{
    Fixture *f = source_new();
    g_autoptr(GError) error = NULL;

    assert_int_equal(vmf_mux_open(f->mux, VMF_CHANNEL_NBD, NULL), 2);
    assert_int_equal(vmf_mux_open(f->mux, VMF_CHANNEL_NBD, &error), 0);
    assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_LIMIT_REACHED));
    fixture_free(f);
}

/* Nothing that is said about a channel may pass its OPEN, however full the link is. */
static void
test_open_comes_first(void **state)
{
    Fixture *f = source_new();

    say_ack(f, 1, 0, 1 << 20, 0);
    run_until(vmf_mux_room(f->mux, 1) == VMF_FRAME_PAYLOAD_MAX);
    source_sends(f, VMF_FRAME_PAYLOAD_MAX); /* more than the socket takes */
    assert_int_equal(vmf_mux_open(f->mux, VMF_CHANNEL_NBD, NULL), 2);
    g_usleep(20000); /* its first ACK is due now, and the peer has not read yet */
    run_until(f->last[VMF_FRAME_ACK].channel == 2);
    assert_int_equal(f->counts[VMF_FRAME_OPEN], 2);
    fixture_free(f);
}

static void
test_bye_with_a_reason(void **state)
{
    Fixture *f = destination_new();

    say_reason(f, VMF_FRAME_BYE, 0, 4, "somebody pressed Ctrl-C");
    run_until(f->bye_came);
    assert_true(g_error_matches(f->bye, VMF_ERROR, VMF_ERROR_CANCELLED));
    assert_string_equal(f->bye->message, "somebody pressed Ctrl-C");
    fixture_free(f);
}

/* ---- what is refused ---- */

static void
test_frames_before_hello(void **state)
{
    Fixture *f = fixture_new(VMF_SIDE_DESTINATION);

    say_open(f, 1);
    assert_refused(f, VMF_ERROR_PROTOCOL, "expected HELLO");
}

static void
test_second_hello(void **state)
{
    Fixture *f = destination_new();

    say_hello(f, VMF_SIDE_SOURCE, 0);
    assert_refused(f, VMF_ERROR_PROTOCOL, "second HELLO");
}

static void
test_same_side(void **state)
{
    Fixture *f = fixture_new(VMF_SIDE_DESTINATION);

    say_hello(f, VMF_SIDE_DESTINATION, 0);
    assert_refused(f, VMF_ERROR_PROTOCOL, "expected side 1");
}

static void
test_required_feature(void **state)
{
    Fixture *f = fixture_new(VMF_SIDE_DESTINATION);

    say_hello(f, VMF_SIDE_SOURCE, 4);
    assert_refused(f, VMF_ERROR_NOT_SUPPORTED, "0x4");
}

static void
test_unknown_type(void **state)
{
    Fixture *f = destination_new();

    say(f, (VmfFrameHeader){.type = (VmfFrameType)77}, NULL, 0);
    assert_refused(f, VMF_ERROR_PROTOCOL, "unknown type 77");
}

static void
test_gap(void **state)
{
    Fixture *f = destination_new();

    say_data(f, 1, 0, 10, 0);
    say_data(f, 1, 11, 10, 0);
    assert_refused(f, VMF_ERROR_PROTOCOL,
                   "a gap in the bytes of channel 1 at offset 11; expected 10");
}

static void
test_overlap(void **state)
{
    Fixture *f = destination_new();

    say_data(f, 1, 0, 10, 0);
    say_data(f, 1, 9, 10, 0);
    assert_refused(f, VMF_ERROR_PROTOCOL, "an overlap in the bytes of channel 1 at offset 9");
}

static void
test_over_credit(void **state)
{
    Fixture *f = destination_new();

    f->deliver = FALSE;
    for (guint64 offset = 0; offset < VMF_CREDIT_POOL; offset += VMF_FRAME_PAYLOAD_MAX)
        say_data(f, 1, offset, VMF_FRAME_PAYLOAD_MAX, 0);
    run_until(f->bytes == VMF_CREDIT_POOL);
    assert_null(f->broken);
    say_data(f, 1, VMF_CREDIT_POOL, 1, 0);
    assert_refused(f, VMF_ERROR_PROTOCOL, "over its credit");
}

static void
test_data_after_end(void **state)
{
    Fixture *f = destination_new();

    say_end(f, 1, 0);
    say_data(f, 1, 0, 1, 0);
    assert_refused(f, VMF_ERROR_PROTOCOL, "after its END");
}

static void
test_data_after_the_peers_reset(void **state)
{
    Fixture *f = destination_new();

    say_reason(f, VMF_FRAME_RESET, 1, 1, "x");
    say_data(f, 1, 0, 1, 0);
    assert_refused(f, VMF_ERROR_PROTOCOL, "after its RESET");
}

static void
test_end_in_the_wrong_place(void **state)
{
    Fixture *f = destination_new();

    say_data(f, 1, 0, 10, 0);
    say_end(f, 1, 9);
    assert_refused(f, VMF_ERROR_PROTOCOL, "expected 10");
}

static void
test_unopened_channels(void **state)
{
    Fixture *f = destination_new();

    say_data(f, 2, 0, 1, 0);
    assert_refused(f, VMF_ERROR_PROTOCOL, "channel 2, which was not opened");
    f = destination_new();
    say_ack(f, 2, 0, 0, 0);
    assert_refused(f, VMF_ERROR_PROTOCOL, "channel 2, which was not opened");
    f = destination_new();
    say_reason(f, VMF_FRAME_RESET, 2, 1, "x");
    assert_refused(f, VMF_ERROR_PROTOCOL, "channel 2, which was not opened");
}

static void
test_opens_out_of_order(void **state)
{
    Fixture *f = destination_new();

    say_open(f, 3);
    assert_refused(f, VMF_ERROR_PROTOCOL, "expected 2");
    f = destination_new();
    say_open(f, 1);
    assert_refused(f, VMF_ERROR_PROTOCOL, "expected 2");
    f = source_new();
    say_open(f, 2);
    assert_refused(f, VMF_ERROR_PROTOCOL, "only the source opens");
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
        Fixture *f = source_new();

        source_sends(f, 1000);
        run_until(f->peer_bytes == 1000);
        say_ack(f, 1, 500, 65536, 500);
        say_ack(f, 1, lies[i].offset, lies[i].credit, lies[i].arrived);
        assert_refused(f, VMF_ERROR_PROTOCOL, "expected");
    }
}

static void
test_bye_too_early(void **state)
{
    Fixture *f = destination_new();

    say_reason(f, VMF_FRAME_BYE, 0, 0, "");
    assert_refused(f, VMF_ERROR_PROTOCOL, "while 1 channels are open");
}

static void
test_frames_after_bye(void **state)
{
    Fixture *f = destination_new();

    say_reason(f, VMF_FRAME_BYE, 0, 1, "x");
    say(f, (VmfFrameHeader){.type = VMF_FRAME_PING}, NULL, 0);
    assert_refused(f, VMF_ERROR_PROTOCOL, "after BYE");
}

/* From here on the peer speaks, but does not listen. */
static void
go_deaf(Fixture *f)
{
    f->raw = fcntl(f->peer_fd, F_DUPFD_CLOEXEC, 3);
    assert_true(f->raw > 0);
    g_clear_pointer(&f->peer, vmf_wire_free);
}

/* Says one frame again and again, until it was refused or said often enough. */
static void
say_deaf(Fixture *f, const void *frame, gsize length, guint n)
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
    Fixture *f = destination_new();

    go_deaf(f);
    vmf_frame_header_encode(&ping, bytes);
    say_deaf(f, bytes, VMF_FRAME_HEADER_SIZE, 200000);
    assert_non_null(f->broken);
    if (!strstr(f->broken->message, "many PINGs"))
        fail_msg("%s", f->broken->message);
    fixture_free(f);

    f = destination_new();
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
    run_until(f->bytes == 50000);
    assert_null(f->broken);
    fixture_free(f);
}

static void
test_reset_without_reason(void **state)
{
    Fixture *f = destination_new();

    say_reason(f, VMF_FRAME_RESET, 1, 0, "");
    assert_refused(f, VMF_ERROR_PROTOCOL, "code 0");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello_and_ping),
        cmocka_unit_test(test_data_is_acknowledged_when_delivered),
        cmocka_unit_test(test_a_channel_from_open_to_bye),
        cmocka_unit_test(test_credit_bounds_what_is_sent),
        cmocka_unit_test(test_kept_until_acknowledged),
        cmocka_unit_test(test_reset_of_the_peer),
        cmocka_unit_test(test_late_bytes_after_our_reset),
        cmocka_unit_test(test_peer_opens_as_many_as_it_may),
        cmocka_unit_test(test_we_open_as_many_as_the_peer_takes),
        cmocka_unit_test(test_open_comes_first),
        cmocka_unit_test(test_bye_with_a_reason),
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

    return cmocka_run_group_tests_name("mux", tests, NULL, NULL);
}
