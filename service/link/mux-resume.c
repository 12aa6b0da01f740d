/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A link that goes on over a new connection: both sides say where their channels stand, and what
 * the other one has not got is sent again. PROTOCOL.md, "Resuming".
 *
 * Frames are kept as they were sent, packed or not, so nothing above notices.
 */
#include "base/bytes.h"
#include "base/error.h"
#include "link/mux-private.h"

#define REFUSE(error, ...) (g_set_error((error), VMF_ERROR, VMF_ERROR_PROTOCOL, __VA_ARGS__), FALSE)

guint
vmf_mux_count_channels(const VmfMux *mux)
{
    guint count = 0;

    for (guint id = 1; id <= mux->channels->len; id++)
        count += vmf_mux_channel(mux, id) ? 1 : 0;
    return count;
}

void
vmf_mux_say_resume(VmfMux *mux)
{
    for (guint id = 1; id <= mux->channels->len; id++) {
        VmfMuxChannel *channel = vmf_mux_channel(mux, id);
        VmfFrameHeader header = {.type = VMF_FRAME_RESUME, .length = VMF_RESUME_SIZE};
        uint8_t payload[VMF_RESUME_SIZE];

        if (!channel)
            continue;
        channel->listed = FALSE; /* over this connection */
        header.channel = (uint16_t)id;
        header.sequence = channel->received;
        vmf_resume_encode(&(VmfResume){.acknowledged = channel->delivered + channel->end_delivered,
                                       .credit = channel->granted,
                                       .end = channel->end_received},
                          payload);
        vmf_mux_send_small(mux, &header, payload, TRUE);
    }
}

/* ---- what the other side says ---- */

gboolean
vmf_mux_expect_resume(VmfMux *mux, const VmfFrame *hello, GError **error)
{
    VmfBytes bytes = VMF_BYTES(hello->payload, hello->header.length);

    (void)vmf_bytes_get_data(&bytes, VMF_HELLO_SIZE);
    mux->expected = vmf_bytes_get_u32(&bytes);
    if (bytes.failed || mux->expected > VMF_CHANNELS_TOTAL)
        return REFUSE(error,
                      "a HELLO of %u bytes that tells of %u channels; expected %d or more, and at "
                      "most %d, as resuming was agreed on",
                      hello->header.length, mux->expected, VMF_HELLO_RESUME_SIZE,
                      VMF_CHANNELS_TOTAL);
    return mux->expected > 0 || vmf_mux_begin(mux, error);
}

gboolean
vmf_mux_on_resume(VmfMux *mux, const VmfFrame *frame, GError **error)
{
    guint id = frame->header.channel;
    VmfMuxChannel *channel = vmf_mux_channel(mux, id);
    VmfResume resume;

    if (mux->expected == 0)
        return REFUSE(error, "a RESUME of channel %u; expected no more than HELLO told of", id);
    if (!vmf_resume_decode(frame->payload, &resume, error))
        return FALSE;
    /* the destination may not have got the last OPENs */
    if (!channel && (mux->side == VMF_SIDE_SOURCE || id <= mux->channels->len))
        return REFUSE(error, "a RESUME of channel %u, which was not opened", id);
    if (channel && channel->listed)
        return REFUSE(error, "a second RESUME of channel %u", id);
    if (channel) {
        channel->listed = TRUE;
        channel->listed_received = frame->header.sequence;
        channel->listed_as = resume;
    }
    return --mux->expected > 0 || vmf_mux_begin(mux, error);
}

/* Whether what it said of the channel can be, after all that was sent and acknowledged. */
static gboolean
vmf_mux_check_listed(const VmfMux *mux, const VmfMuxChannel *channel, GError **error)
{
    if (channel->over)
        return TRUE;
    if (!channel->listed)
        return (mux->side == VMF_SIDE_SOURCE && channel->acknowledged == 0) ||
               REFUSE(error, "no RESUME of channel %u", channel->id);
    if (channel->listed_received < channel->acknowledged ||
        channel->listed_received > channel->sent ||
        channel->listed_as.acknowledged > channel->listed_received + channel->listed_as.end ||
        (channel->listed_as.end &&
         !(channel->end_sent && channel->listed_received == channel->sent)))
        return REFUSE(error,
                      "a RESUME of channel %u from offset %" G_GUINT64_FORMAT
                      "; expected %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT
                      ", and END if that was sent",
                      channel->id, channel->listed_received, channel->acknowledged, channel->sent);
    return TRUE;
}

/* ---- going on ---- */

/* From where on it is sent again. */
static void
vmf_mux_rewind(VmfMuxChannel *channel, guint64 offset)
{
    guint64 end = channel->kept_from;

    channel->again = offset;
    for (channel->again_at = 0; channel->again_at < channel->kept.count; channel->again_at++) {
        end +=
            vmf_slice_queue_peek(&channel->kept, channel->again_at)->length - VMF_FRAME_HEADER_SIZE;
        if (end > offset)
            return;
    }
}

static gboolean
vmf_mux_take_up(VmfMux *mux, VmfMuxChannel *channel, GError **error)
{
    gboolean listed = channel->listed;

    channel->listed = FALSE;
    if (mux->side == VMF_SIDE_SOURCE && !listed)
        vmf_mux_say_open(mux, channel);
    if (channel->over) {
        if (channel->reset)
            vmf_mux_say_reset(mux, channel);
        return TRUE;
    }
    vmf_mux_rewind(channel, listed ? channel->listed_received : 0);
    channel->end_again = channel->end_sent && !(listed && channel->listed_as.end);
    mux->again |= channel->again < channel->sent || channel->end_again;
    vmf_mux_acknowledge_soon(mux, channel); /* what was delivered since we said where it stands */
    return !listed || vmf_mux_take_ack(mux, channel, channel->listed_as.acknowledged,
                                       channel->listed_as.credit, error);
}

gboolean
vmf_mux_begin(VmfMux *mux, GError **error)
{
    for (guint id = 1; id <= mux->channels->len; id++)
        if (vmf_mux_channel(mux, id) && !vmf_mux_check_listed(mux, vmf_mux_channel(mux, id), error))
            return FALSE;
    if (mux->begun) { /* it may be another way, and its figures are counted from 0 */
        vmf_flow_free(mux->flow);
        mux->flow = vmf_flow_new(VMF_FLIGHT_MAX);
    }
    mux->ready = mux->begun = TRUE;
    mux->events->ready(mux->owner);
    for (guint id = 1; id <= mux->channels->len; id++)
        if (vmf_mux_channel(mux, id) && !vmf_mux_take_up(mux, vmf_mux_channel(mux, id), error))
            return FALSE;
    mux->room_grew = TRUE;
    return TRUE;
}

/* ---- sending again ---- */

/* A frame's part from `offset` on, in memory of its own: its header is another. */
static VmfSlice
vmf_mux_cut(VmfMux *mux, const VmfSlice *frame, gsize offset)
{
    VmfChunk *chunk = vmf_chunk_new(mux->pool, frame->length - offset);
    VmfSlice rest = {chunk, chunk->data, frame->length - offset};

    memcpy(rest.data + VMF_FRAME_HEADER_SIZE, frame->data + VMF_FRAME_HEADER_SIZE + offset,
           rest.length - VMF_FRAME_HEADER_SIZE);
    return rest;
}

static void
vmf_mux_send_kept(VmfMux *mux, VmfMuxChannel *channel)
{
    VmfSlice frame = *vmf_slice_queue_peek(&channel->kept, channel->again_at);
    VmfFrameHeader header;
    gsize done;

    g_return_if_fail(vmf_frame_header_decode(frame.data, &header, NULL));
    done = (gsize)(channel->again - header.sequence);
    if (done > 0)
        frame = vmf_mux_cut(mux, &frame, done);
    else
        vmf_chunk_ref(frame.chunk);
    header.flags &= VMF_FRAME_FLAG_PACKED;
    header.sequence += done;
    header.length -= (uint32_t)done;
    channel->again += header.length;
    channel->again_at++;
    vmf_mux_put_data(mux, &header, frame);
}

static gboolean
vmf_mux_send_channel_again(VmfMux *mux, VmfMuxChannel *channel)
{
    while (channel->again < channel->sent) {
        if (vmf_wire_waiting(mux->wire) >= VMF_WIRE_QUEUE || vmf_flow_room(mux->flow) == 0 ||
            !vmf_mux_pace_allows(mux))
            return FALSE;
        vmf_mux_send_kept(mux, channel);
    }
    if (channel->end_again)
        vmf_mux_say_end(mux, channel);
    channel->end_again = FALSE;
    return TRUE;
}

gboolean
vmf_mux_send_again(VmfMux *mux)
{
    gboolean done = TRUE;

    for (guint id = 1; id <= mux->channels->len && mux->again; id++)
        if (vmf_mux_channel(mux, id))
            done &= vmf_mux_send_channel_again(mux, vmf_mux_channel(mux, id));
    mux->again = !done;
    return done;
}
