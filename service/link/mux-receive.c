/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Frames that come, held against the state of their channel. PROTOCOL.md says why each is refused.
 */
#include "base/error.h"
#include "base/log.h"
#include "link/mux-private.h"

typedef gboolean (*VmfFrameFunc)(VmfMux *mux, const VmfFrame *frame, const VmfSlice *from,
                                 GError **error);

#define REFUSE(error, ...) (g_set_error((error), VMF_ERROR, VMF_ERROR_PROTOCOL, __VA_ARGS__), FALSE)

static gboolean
vmf_mux_on_hello(VmfMux *mux, const VmfFrame *frame, const VmfSlice *from, GError **error)
{
    if (mux->greeted)
        return REFUSE(error, "a second HELLO");
    if (!vmf_hello_decode(frame->payload, frame->header.length, &mux->peer, error))
        return FALSE;
    if (mux->peer.side == mux->side)
        return REFUSE(error, "a HELLO of the same side as ours; expected side %u",
                      VMF_SIDE_SOURCE + VMF_SIDE_DESTINATION - (guint)mux->side);
    if (mux->peer.required != 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED,
                    "the other side requires features that this version of vmferry does not know "
                    "(bits 0x%" G_GINT64_MODIFIER "x): bring both hosts to a common version",
                    mux->peer.required);
        return FALSE;
    }
    mux->greeted = TRUE;
    return mux->resumable ? vmf_mux_expect_resume(mux, frame, error) : vmf_mux_begin(mux, error);
}

static gboolean
vmf_mux_on_open(VmfMux *mux, const VmfFrame *frame, const VmfSlice *from, GError **error)
{
    guint id = frame->header.channel;
    VmfMuxChannel *channel;
    VmfChannelKind kind;

    if (mux->side != VMF_SIDE_DESTINATION)
        return REFUSE(error, "an OPEN from the destination; only the source opens channels");
    if (id <= mux->channels->len)
        return REFUSE(error, "an OPEN of channel %u; expected %u or more", id,
                      mux->channels->len + 1);
    if (mux->n_open == VMF_CHANNELS_OPEN)
        return REFUSE(error,
                      "an OPEN of channel %u while %u are open, which is all that this side "
                      "can hold",
                      id, mux->n_open);
    if (!vmf_open_decode(frame->payload, frame->header.length, &kind, error))
        return FALSE;
    channel = vmf_mux_add_channel(mux, id, kind);
    vmf_mux_acknowledge_soon(mux, channel); /* gives it its share of the credit */
    return mux->events->opened(mux->owner, id, kind, error);
}

/* The channel of a DATA or END, which must continue what came before. */
static VmfMuxChannel *
vmf_mux_expect(VmfMux *mux, const VmfFrame *frame, GError **error)
{
    VmfMuxChannel *channel = vmf_mux_channel(mux, frame->header.channel);

    if (!channel) {
        (void)REFUSE(error, "bytes for channel %u, which was not opened", frame->header.channel);
        return NULL;
    }
    if (channel->end_received || (channel->over && !channel->reset)) {
        (void)REFUSE(error, "bytes for channel %u after its %s", channel->id,
                     channel->end_received ? "END" : "RESET");
        return NULL;
    }
    if (!channel->reset && frame->header.sequence != channel->received) {
        (void)REFUSE(
            error, "%s of channel %u at offset %" G_GUINT64_FORMAT "; expected %" G_GUINT64_FORMAT,
            frame->header.sequence > channel->received ? "a gap in the bytes"
                                                       : "an overlap in the bytes",
            channel->id, frame->header.sequence, channel->received);
        return NULL;
    }
    return channel;
}

static gboolean
vmf_mux_on_data(VmfMux *mux, const VmfFrame *frame, const VmfSlice *from, GError **error)
{
    VmfMuxChannel *channel = vmf_mux_expect(mux, frame, error);
    VmfSlice bytes = {from->chunk, (uint8_t *)frame->payload, frame->header.length};
    gboolean packed = (frame->header.flags & VMF_FRAME_FLAG_PACKED) != 0;

    if (!channel)
        return FALSE;
    if (packed && !mux->packed_allowed)
        return REFUSE(error, "packed bytes of channel %u; expected none, as was agreed",
                      channel->id);
    mux->arrived += bytes.length;
    if (!channel->reset) { /* else it was on its way when we gave the channel up */
        if (channel->received + bytes.length > channel->granted)
            return REFUSE(error,
                          "bytes of channel %u over its credit; expected none at or after "
                          "offset %" G_GUINT64_FORMAT,
                          channel->id, channel->granted);
        channel->received += bytes.length;
        mux->events->data(mux->owner, channel->id, &bytes, packed);
    }
    if (frame->header.flags & VMF_FRAME_FLAG_ACK_NOW)
        vmf_mux_acknowledge(mux, channel);
    else
        vmf_mux_acknowledge_soon(mux, channel);
    return TRUE;
}

static gboolean
vmf_mux_on_end(VmfMux *mux, const VmfFrame *frame, const VmfSlice *from, GError **error)
{
    VmfMuxChannel *channel = vmf_mux_expect(mux, frame, error);

    if (!channel)
        return FALSE;
    channel->end_received = TRUE;
    if (!channel->reset)
        mux->events->end(mux->owner, channel->id);
    return TRUE;
}

static gboolean
vmf_mux_on_reset(VmfMux *mux, const VmfFrame *frame, const VmfSlice *from, GError **error)
{
    VmfMuxChannel *channel = vmf_mux_channel(mux, frame->header.channel);
    g_autoptr(GError) reason = NULL;

    if (!channel)
        return REFUSE(error, "a RESET of channel %u, which was not opened", frame->header.channel);
    if (channel->over) /* both sides gave up at once */
        return TRUE;
    reason = vmf_reason_decode(frame->payload, frame->header.length);
    if (!reason)
        return REFUSE(error, "a RESET with code 0; expected a reason");
    vmf_mux_close_channel(mux, channel);
    mux->events->reset(mux->owner, channel->id, reason);
    return TRUE;
}

/* Drops the frames that are wholly acknowledged. */
static void
vmf_mux_forget(VmfMux *mux, VmfMuxChannel *channel)
{
    while (channel->kept.count > 0) {
        gsize frame = vmf_slice_queue_peek(&channel->kept, 0)->length;
        gsize payload = frame - VMF_FRAME_HEADER_SIZE;

        if (channel->kept_from + payload > channel->acknowledged)
            return;
        channel->kept_from += payload;
        mux->kept -= payload;
        channel->again_at -= channel->again_at > 0 ? 1 : 0;
        vmf_slice_queue_drop(&channel->kept, frame);
    }
}

gboolean
vmf_mux_take_ack(VmfMux *mux, VmfMuxChannel *channel, guint64 offset, guint64 credit,
                 GError **error)
{
    guint64 most = channel->sent + channel->end_sent;

    if (offset < channel->acknowledged || offset > most || credit < channel->credit)
        return REFUSE(error,
                      "an ACK of channel %u to offset %" G_GUINT64_FORMAT
                      " with credit %" G_GUINT64_FORMAT "; expected %" G_GUINT64_FORMAT
                      " to %" G_GUINT64_FORMAT " and %" G_GUINT64_FORMAT " or more",
                      channel->id, offset, credit, channel->acknowledged, most, channel->credit);
    mux->taken += MIN(offset, channel->sent) - channel->acknowledged;
    channel->acknowledged = MIN(offset, channel->sent);
    channel->credit = credit;
    vmf_mux_forget(mux, channel);
    if (offset > channel->sent && !channel->end_acknowledged) {
        channel->end_acknowledged = TRUE;
        if (channel->end_delivered)
            vmf_mux_close_channel(mux, channel);
        mux->events->end_acknowledged(mux->owner, channel->id);
    }
    return TRUE;
}

static gboolean
vmf_mux_on_ack(VmfMux *mux, const VmfFrame *frame, const VmfSlice *from, GError **error)
{
    VmfMuxChannel *channel = vmf_mux_channel(mux, frame->header.channel);
    guint64 offset = frame->header.sequence;
    VmfAck ack;

    vmf_ack_decode(frame->payload, &ack);
    if (!channel)
        return REFUSE(error, "an ACK for channel %u, which was not opened", frame->header.channel);
    if (ack.arrived < mux->link_arrived || ack.arrived > mux->link_sent)
        return REFUSE(error,
                      "an ACK of %" G_GUINT64_FORMAT " bytes arrived; expected %" G_GUINT64_FORMAT
                      " to %" G_GUINT64_FORMAT,
                      ack.arrived, mux->link_arrived, mux->link_sent);
    mux->link_arrived = ack.arrived;
    mux->room_grew = TRUE;
    vmf_flow_arrived(mux->flow, ack.arrived, g_get_monotonic_time());
    if (channel->over)
        return TRUE;
    return vmf_mux_take_ack(mux, channel, offset, ack.credit, error);
}

static gboolean
vmf_mux_on_ping(VmfMux *mux, const VmfFrame *frame, const VmfSlice *from, GError **error)
{
    const VmfFrameHeader pong = {.type = VMF_FRAME_PONG, .sequence = frame->header.sequence};

    if (vmf_mux_is_choked(mux))
        return REFUSE(error, "many PINGs whose answers were not taken; expected one at a time");
    vmf_mux_send_small(mux, &pong, NULL, TRUE);
    return TRUE;
}

static gboolean
vmf_mux_on_pong(VmfMux *mux, const VmfFrame *frame, const VmfSlice *from, GError **error)
{
    gint64 now = g_get_monotonic_time();

    /* our own clock comes back; a value that was never sent is worth nothing, and does no harm */
    if (frame->header.sequence <= (guint64)now)
        vmf_flow_round_trip(mux->flow, now - (gint64)frame->header.sequence, now);
    return TRUE;
}

static gboolean
vmf_mux_on_bye(VmfMux *mux, const VmfFrame *frame, const VmfSlice *from, GError **error)
{
    g_autoptr(GError) reason = vmf_reason_decode(frame->payload, frame->header.length);

    if (!reason && mux->n_open > 0)
        return REFUSE(error, "a BYE with code 0 while %u channels are open", mux->n_open);
    mux->bye_received = TRUE;
    mux->events->bye(mux->owner, reason);
    return TRUE;
}

static gboolean
vmf_mux_on_resume_frame(VmfMux *mux, const VmfFrame *frame, const VmfSlice *from, GError **error)
{
    return vmf_mux_on_resume(mux, frame, error);
}

static const VmfFrameFunc vmf_mux_funcs[] = {
    [VMF_FRAME_HELLO] = vmf_mux_on_hello, [VMF_FRAME_OPEN] = vmf_mux_on_open,
    [VMF_FRAME_DATA] = vmf_mux_on_data,   [VMF_FRAME_END] = vmf_mux_on_end,
    [VMF_FRAME_RESET] = vmf_mux_on_reset, [VMF_FRAME_ACK] = vmf_mux_on_ack,
    [VMF_FRAME_PING] = vmf_mux_on_ping,   [VMF_FRAME_PONG] = vmf_mux_on_pong,
    [VMF_FRAME_BYE] = vmf_mux_on_bye,     [VMF_FRAME_RESUME] = vmf_mux_on_resume_frame,
};

/* A side may refuse our HELLO before it says its own; and it may measure before it is heard. */
static gboolean
vmf_mux_may_come_early(const VmfMux *mux, VmfFrameType type)
{
    return type == VMF_FRAME_HELLO || type == VMF_FRAME_BYE ||
           (mux->greeted &&
            (type == VMF_FRAME_RESUME || type == VMF_FRAME_PING || type == VMF_FRAME_PONG));
}

static gboolean
vmf_mux_take(VmfMux *mux, const VmfFrame *frame, const VmfSlice *from, GError **error)
{
    if (mux->bye_received)
        return REFUSE(error, "a frame of type %u after BYE", frame->header.type);
    if (!mux->ready && !vmf_mux_may_come_early(mux, frame->header.type))
        return REFUSE(error, "a frame of type %u first; expected %s", frame->header.type,
                      mux->greeted ? "RESUME" : "HELLO");
    return vmf_mux_funcs[frame->header.type](mux, frame, from, error);
}

void
vmf_mux_receive(VmfMux *mux, const VmfSlice *bytes)
{
    const uint8_t *data = bytes->data;
    gsize length = bytes->length;
    g_autoptr(GError) error = NULL;
    VmfParse parse = VMF_PARSE_FRAME;
    VmfFrame frame;

    mux->heard = g_get_monotonic_time();
    while (parse == VMF_PARSE_FRAME && vmf_mux_is_listening(mux)) {
        parse = vmf_frame_parser_next(&mux->parser, &data, &length, &frame, &error);
        if (parse == VMF_PARSE_FRAME && !vmf_mux_take(mux, &frame, bytes, &error))
            parse = VMF_PARSE_ERROR;
    }
    if (parse == VMF_PARSE_ERROR)
        vmf_mux_refuse(mux, error);
    if (mux->room_grew) {
        mux->room_grew = FALSE;
        vmf_mux_use_room(mux);
    }
}
