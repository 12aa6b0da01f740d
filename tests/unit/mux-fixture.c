/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mux-fixture.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"

/* ---- the mux's owner ---- */

static void
on_ready(gpointer owner)
{
    ((MuxFixture *)owner)->ready = TRUE;
}

static gboolean
on_opened(gpointer owner, guint channel, VmfChannelKind kind, GError **error)
{
    MuxFixture *f = owner;

    f->opened++;
    f->last_opened = channel;
    assert_int_equal(kind, VMF_CHANNEL_QEMU);
    return TRUE;
}

static void
on_data(gpointer owner, guint channel, const VmfSlice *bytes, gboolean packed)
{
    MuxFixture *f = owner;

    f->bytes += bytes->length;
    if (f->deliver)
        vmf_mux_delivered(f->mux, channel, bytes->length);
}

static void
on_end(gpointer owner, guint channel)
{
    MuxFixture *f = owner;

    f->ended = TRUE;
    if (f->deliver)
        vmf_mux_end_delivered(f->mux, channel);
}

static void
on_end_acknowledged(gpointer owner, guint channel)
{
    ((MuxFixture *)owner)->end_acknowledged = TRUE;
}

static void
on_reset(gpointer owner, guint channel, const GError *error)
{
    MuxFixture *f = owner;

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
    MuxFixture *f = owner;

    f->bye_came = TRUE;
    f->bye = error ? g_error_copy(error) : NULL;
}

static void
on_broken(gpointer owner, const GError *error)
{
    MuxFixture *f = owner;

    assert_null(f->broken);
    f->broken = g_error_copy(error);
}

static void
on_lost(gpointer owner, const GError *error)
{
    ((MuxFixture *)owner)->lost = TRUE;
}

static void
on_closed(gpointer owner)
{
    ((MuxFixture *)owner)->closed = TRUE;
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
    .lost = on_lost,
    .closed = on_closed,
};

/* ---- the peer ---- */

static void
peer_secured(gpointer owner)
{
    ((MuxFixture *)owner)->peer_secured = TRUE;
}

/* The payload is zeros after `payload`. */
void
mux_say(MuxFixture *f, VmfFrameHeader header, const void *payload, gsize length)
{
    gsize size = VMF_FRAME_HEADER_SIZE + header.length;
    VmfChunk *chunk = vmf_chunk_new(f->pool, size);

    memset(chunk->data, 0, size);
    vmf_frame_header_encode(&header, chunk->data);
    if (length > 0)
        memcpy(chunk->data + VMF_FRAME_HEADER_SIZE, payload, length);
    vmf_wire_send(f->peer, (VmfSlice){chunk, chunk->data, size});
}

void
mux_say_reason(MuxFixture *f, VmfFrameType type, guint channel, uint16_t code, const char *why)
{
    uint8_t payload[100];

    vmf_put_u16(payload, code);
    memcpy(payload + 2, why, strlen(why));
    mux_say(f,
            (VmfFrameHeader){
                .type = type, .channel = (uint16_t)channel, .length = (uint32_t)(2 + strlen(why))},
            payload, 2 + strlen(why));
}

static void
peer_take(MuxFixture *f, const VmfFrame *frame)
{
    f->counts[frame->header.type]++;
    f->last[frame->header.type] = frame->header;
    if (frame->header.type == VMF_FRAME_OPEN)
        f->peer_opened = frame->header.channel;
    if (frame->header.type == VMF_FRAME_ACK && f->opened == 0) /* of a source */
        assert_true(frame->header.channel <= f->peer_opened);
    if (frame->header.type == VMF_FRAME_ACK)
        vmf_ack_decode(frame->payload, &f->ack);
    if (frame->header.type == VMF_FRAME_DATA)
        f->peer_bytes += frame->header.length;
    if (frame->header.type == VMF_FRAME_BYE || frame->header.type == VMF_FRAME_RESET) {
        g_clear_error(&f->said);
        f->said = vmf_reason_decode(frame->payload, frame->header.length);
    }
    if (frame->header.type == VMF_FRAME_BYE && f->answer)
        mux_say_reason(f, VMF_FRAME_BYE, 0, 0, "");
}

static void
peer_received(gpointer owner, const VmfSlice *bytes)
{
    MuxFixture *f = owner;
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
    ((MuxFixture *)owner)->peer_cut = TRUE;
}

static const VmfWireEvents peer_events = {peer_secured, peer_received, peer_drained, peer_broken};

gboolean
mux_on_late(gpointer data)
{
    *(gboolean *)data = TRUE;
    return G_SOURCE_REMOVE;
}

void
mux_say_hello(MuxFixture *f, VmfSide side, guint64 required)
{
    const VmfHello hello = {
        .side = side, .channels = 2, .credit = 65536, .required = required, .offered = required};
    uint8_t payload[VMF_HELLO_SIZE];

    vmf_hello_encode(&hello, payload);
    mux_say(f, (VmfFrameHeader){.type = VMF_FRAME_HELLO, .length = VMF_HELLO_SIZE}, payload,
            sizeof payload);
}

void
mux_say_open(MuxFixture *f, guint channel)
{
    mux_say(f, (VmfFrameHeader){.type = VMF_FRAME_OPEN, .channel = (uint16_t)channel, .length = 4},
            "\1", 1);
}

void
mux_say_data(MuxFixture *f, guint channel, guint64 offset, guint length, uint8_t flags)
{
    mux_say(f,
            (VmfFrameHeader){.type = VMF_FRAME_DATA,
                             .flags = flags,
                             .channel = (uint16_t)channel,
                             .length = length,
                             .sequence = offset},
            NULL, 0);
}

void
mux_say_end(MuxFixture *f, guint channel, guint64 offset)
{
    mux_say(
        f,
        (VmfFrameHeader){.type = VMF_FRAME_END, .channel = (uint16_t)channel, .sequence = offset},
        NULL, 0);
}

void
mux_say_ack(MuxFixture *f, guint channel, guint64 offset, guint64 credit, guint64 arrived)
{
    const VmfAck ack = {credit, arrived};
    uint8_t payload[VMF_ACK_SIZE];

    vmf_ack_encode(&ack, payload);
    mux_say(f,
            (VmfFrameHeader){.type = VMF_FRAME_ACK,
                             .channel = (uint16_t)channel,
                             .length = VMF_ACK_SIZE,
                             .sequence = offset},
            payload, sizeof payload);
}

static const uint8_t secret[VMF_TICKET_SECRET_SIZE] = {5};

/* What a side is told by its first HELLO, again. */
void
mux_say_hello_again(MuxFixture *f, VmfSide side, guint resumes)
{
    const VmfHello hello = {.side = side, .channels = 2, .credit = 65536};
    uint8_t payload[VMF_HELLO_RESUME_SIZE];

    vmf_hello_encode(&hello, payload);
    vmf_put_u32(payload + VMF_HELLO_SIZE, resumes);
    mux_say(f, (VmfFrameHeader){.type = VMF_FRAME_HELLO, .length = sizeof payload}, payload,
            sizeof payload);
}

void
mux_say_resume(MuxFixture *f, guint channel, guint64 offset, const VmfResume *resume)
{
    uint8_t payload[VMF_RESUME_SIZE];

    vmf_resume_encode(resume, payload);
    mux_say(f,
            (VmfFrameHeader){.type = VMF_FRAME_RESUME,
                             .channel = (uint16_t)channel,
                             .length = VMF_RESUME_SIZE,
                             .sequence = offset},
            payload, sizeof payload);
}

/* A new connection on which both have proved the secret, and the mux has said HELLO. */
void
mux_connect(MuxFixture *f)
{
    int fds[2];

    g_clear_pointer(&f->peer, vmf_wire_free);
    memset(&f->parser, 0, sizeof f->parser);
    memset(f->counts, 0, sizeof f->counts);
    f->peer_secured = f->peer_cut = FALSE;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_true(vmf_mux_attach(f->mux, &(VmfWireSetup){fds[0], FALSE, FALSE, secret, FALSE}, NULL));
    f->peer_fd = fds[1];
    f->peer = vmf_wire_new(&(VmfWireSetup){fds[1], TRUE, FALSE, secret, FALSE}, f->pool,
                           &peer_events, f, NULL);
    mux_run_until(f->peer_secured && f->counts[VMF_FRAME_HELLO] == 1);
}

/* A link on which both have proved the secret, but not said HELLO. */
static MuxFixture *
mux_fixture_make(VmfSide side, gboolean resumable, gsize kept)
{
    MuxFixture *f = g_new0(MuxFixture, 1);

    f->pool = vmf_chunk_pool_new();
    f->deliver = TRUE;
    f->mux = vmf_mux_new(&(VmfMuxSetup){.side = side,
                                        .pool = f->pool,
                                        .pace = &f->pace,
                                        .kept_max = kept,
                                        .resumable = resumable},
                         &mux_events, f);
    mux_connect(f);
    return f;
}

MuxFixture *
mux_fixture_new(VmfSide side)
{
    return mux_fixture_make(side, FALSE, 0);
}

MuxFixture *
mux_fixture_new_resumable(VmfSide side)
{
    MuxFixture *f = mux_fixture_make(side, TRUE, 0);

    mux_say_hello_again(f, (VmfSide)(VMF_SIDE_SOURCE + VMF_SIDE_DESTINATION - side), 0);
    if (side == VMF_SIDE_DESTINATION)
        mux_say_open(f, 1);
    mux_run_until(f->ready);
    if (side == VMF_SIDE_SOURCE)
        assert_true(vmf_mux_open(f->mux, 1, VMF_CHANNEL_QEMU, NULL));
    mux_run_until(side == VMF_SIDE_SOURCE ? f->counts[VMF_FRAME_OPEN] == 1 : f->opened == 1);
    return f;
}

void
mux_cut(MuxFixture *f)
{
    f->lost = FALSE;
    g_clear_pointer(&f->peer, vmf_wire_free);
    mux_run_until(f->lost);
    assert_true(vmf_mux_can_resume(f->mux));
    mux_connect(f);
}

/* A destination that is ready, with channel 1 open. */
MuxFixture *
mux_destination_new(void)
{
    return mux_destination_new_keeping(0);
}

MuxFixture *
mux_destination_new_keeping(gsize kept)
{
    MuxFixture *f = mux_fixture_make(VMF_SIDE_DESTINATION, FALSE, kept);

    mux_say_hello(f, VMF_SIDE_SOURCE, 0);
    mux_say_open(f, 1);
    mux_run_until(f->opened == 1);
    assert_true(f->ready);
    return f;
}

/* A source that is ready, with channel 1 open. */
MuxFixture *
mux_source_new(void)
{
    MuxFixture *f = mux_fixture_new(VMF_SIDE_SOURCE);

    mux_say_hello(f, VMF_SIDE_DESTINATION, 0);
    mux_run_until(f->ready);
    assert_true(vmf_mux_open(f->mux, 1, VMF_CHANNEL_QEMU, NULL));
    mux_run_until(f->counts[VMF_FRAME_OPEN] == 1);
    return f;
}

void
mux_fixture_free(MuxFixture *f)
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
void
mux_assert_refused(MuxFixture *f, VmfError code, const char *why)
{
    mux_run_until(f->broken && f->peer_cut);
    assert_true(g_error_matches(f->broken, VMF_ERROR, (gint)code));
    if (!strstr(f->broken->message, why))
        fail_msg("\"%s\" does not say \"%s\"", f->broken->message, why);
    assert_non_null(f->said);
    assert_int_equal(f->said->code, code);
    assert_string_equal(f->said->message, f->broken->message);
    assert_false(vmf_mux_is_ready(f->mux));
    mux_fixture_free(f);
}

void
mux_source_sends(MuxFixture *f, gsize length)
{
    VmfChunk *chunk = vmf_chunk_new(f->pool, VMF_CHUNK_HEADROOM + length);

    assert_true(vmf_mux_room(f->mux, 1) >= length);
    memset(chunk->data, 0, VMF_CHUNK_HEADROOM + length);
    vmf_mux_send(f->mux, 1, (VmfSlice){chunk, chunk->data + VMF_CHUNK_HEADROOM, length}, FALSE);
}
