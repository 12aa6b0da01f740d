/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the owner of a mux sends, and how much it may. */
#include "base/error.h"
#include "link/mux-private.h"

#define SEND_MIN (64 * 1024) /* less is not worth a frame */

/* What may have arrived and not be delivered yet, beside what fills the link: a batch is delivered
 * when all of it was unpacked and QEMU has taken it, which on a busy host is late. */
#define DELIVERING (512 * 1024)

void
vmf_mux_say_open(VmfMux *mux, const VmfMuxChannel *channel)
{
    const VmfFrameHeader header = {
        .type = VMF_FRAME_OPEN, .channel = (uint16_t)channel->id, .length = VMF_OPEN_SIZE};
    uint8_t payload[VMF_OPEN_SIZE];

    vmf_open_encode(channel->kind, payload);
    /* urgent, or the first ACK of the channel would get there before it */
    if (vmf_mux_is_ready(mux)) /* else it is said when the link goes on */
        vmf_mux_send_small(mux, &header, payload, TRUE);
}

void
vmf_mux_say_end(VmfMux *mux, const VmfMuxChannel *channel)
{
    const VmfFrameHeader header = {
        .type = VMF_FRAME_END, .channel = (uint16_t)channel->id, .sequence = channel->sent};

    if (vmf_mux_is_ready(mux))
        vmf_mux_send_small(mux, &header, NULL, FALSE);
}

void
vmf_mux_say_reset(VmfMux *mux, const VmfMuxChannel *channel)
{
    uint8_t payload[2 + VMF_FRAME_REASON_MAX];
    VmfFrameHeader header = {.type = VMF_FRAME_RESET, .channel = (uint16_t)channel->id};

    header.length = (uint32_t)vmf_reason_encode(channel->reason, payload);
    if (vmf_mux_is_ready(mux))
        vmf_mux_send_small(mux, &header, payload, FALSE);
}

gboolean
vmf_mux_open(VmfMux *mux, guint id, VmfChannelKind kind, GError **error)
{
    VmfMuxChannel *channel;

    if (!(vmf_mux_is_ready(mux) || vmf_mux_can_resume(mux)) || mux->bye_sent || mux->bye_received) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_LINK_BROKEN,
                            "there is no data link that a channel could be opened on");
        return FALSE;
    }
    g_return_val_if_fail(id > mux->channels->len, FALSE);
    if (mux->n_open >= MIN(mux->peer.channels, VMF_CHANNELS_OPEN) || id > VMF_CHANNELS_TOTAL) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_LIMIT_REACHED,
                    "%u channels are open and %u have been: no more can be carried by one "
                    "migration; use fewer parallel connections",
                    mux->n_open, id - 1);
        return FALSE;
    }
    channel = vmf_mux_add_channel(mux, id, kind);
    vmf_mux_say_open(mux, channel);
    vmf_mux_acknowledge_soon(mux, channel); /* its share of the credit for the way back */
    return TRUE;
}

static gsize
vmf_mux_pace_room(const VmfMux *mux, gint64 now)
{
    return mux->hurry ? G_MAXSIZE : vmf_pace_room(mux->pace, now);
}

/* The pace has left no room; it will. */
static void
vmf_mux_wait_for_pace(VmfMux *mux, gint64 now)
{
    vmf_flow_starved(mux->flow, g_get_monotonic_time()); /* the link is not the limit */
    g_source_set_ready_time(mux->pace_timer, vmf_pace_next(mux->pace, now));
}

gboolean
vmf_mux_paced(gpointer data)
{
    VmfMux *mux = data;

    g_source_set_ready_time(mux->pace_timer, -1);
    vmf_mux_pace_changed(mux);
    return G_SOURCE_CONTINUE;
}

void
vmf_mux_pace_changed(VmfMux *mux)
{
    gint64 now = g_get_monotonic_time();

    if (!vmf_mux_is_ready(mux))
        return;
    if (vmf_mux_pace_room(mux, now) == 0)
        vmf_mux_wait_for_pace(mux, now);
    else
        vmf_mux_use_room(mux);
}

void
vmf_mux_use_room(VmfMux *mux)
{
    if (vmf_mux_is_ready(mux) && !mux->bye_sent && vmf_mux_send_again(mux))
        mux->events->room(mux->owner);
}

static gboolean
vmf_mux_may_send(const VmfMux *mux, const VmfMuxChannel *channel)
{
    return channel && !channel->over && !channel->end_sent && vmf_mux_is_ready(mux) &&
           !mux->bye_sent;
}

gsize
vmf_mux_room(const VmfMux *mux, guint id)
{
    const VmfMuxChannel *channel = vmf_mux_channel(mux, id);
    gsize limit = vmf_flow_limit(mux->flow);
    guint64 waits; /* sent, and not yet where it belongs */

    if (!vmf_mux_may_send(mux, channel) || vmf_wire_waiting(mux->wire) >= VMF_WIRE_QUEUE ||
        channel->again < channel->sent || mux->kept >= mux->kept_max ||
        channel->kept.count >= VMF_KEPT_SLICES_MAX)
        return 0;
    waits = channel->sent - channel->acknowledged;
    if (waits + MIN(limit / 4, SEND_MIN) > limit + DELIVERING)
        return 0;
    return MIN(MIN(vmf_flow_room(mux->flow), vmf_mux_pace_room(mux, g_get_monotonic_time())),
               MIN(limit + DELIVERING - waits, channel->credit - channel->sent));
}

gboolean
vmf_mux_pace_allows(VmfMux *mux)
{
    gint64 now = g_get_monotonic_time();

    if (vmf_mux_pace_room(mux, now) > 0)
        return TRUE;
    vmf_mux_wait_for_pace(mux, now);
    return FALSE;
}

void
vmf_mux_put_data(VmfMux *mux, const VmfFrameHeader *header, VmfSlice frame)
{
    VmfFrameHeader marked = *header;
    gint64 now = g_get_monotonic_time();

    G_STATIC_ASSERT(VMF_FRAME_HEADER_SIZE == VMF_CHUNK_HEADROOM);
    if (vmf_flow_sent(mux->flow, header->length, now))
        marked.flags |= VMF_FRAME_FLAG_ACK_NOW;
    vmf_frame_header_encode(&marked, frame.data);
    mux->link_sent += header->length;
    vmf_pace_spend(mux->pace, frame.length, now);
    vmf_wire_send(mux->wire, frame);
    if (vmf_mux_pace_room(mux, now) == 0)
        vmf_mux_wait_for_pace(mux, now);
}

void
vmf_mux_send(VmfMux *mux, guint id, VmfSlice bytes, gboolean packed)
{
    VmfMuxChannel *channel = vmf_mux_channel(mux, id);
    VmfFrameHeader header = {
        .type = VMF_FRAME_DATA, .channel = (uint16_t)id, .length = (uint32_t)bytes.length};
    VmfSlice frame = {bytes.chunk, bytes.data - VMF_FRAME_HEADER_SIZE,
                      bytes.length + VMF_FRAME_HEADER_SIZE};

    g_return_if_fail(vmf_mux_may_send(mux, channel) && bytes.length > 0 &&
                     bytes.length <= VMF_FRAME_PAYLOAD_MAX &&
                     bytes.length <= channel->credit - channel->sent);
    header.flags = packed ? VMF_FRAME_FLAG_PACKED : 0;
    header.sequence = channel->sent;
    channel->sent += bytes.length;
    channel->again = channel->sent;
    mux->kept += bytes.length;
    vmf_chunk_ref(frame.chunk);
    vmf_slice_queue_push(&channel->kept, frame);
    channel->again_at = channel->kept.count;
    vmf_mux_put_data(mux, &header, frame);
}

void
vmf_mux_starved(VmfMux *mux)
{
    vmf_flow_starved(mux->flow, g_get_monotonic_time());
}

void
vmf_mux_end(VmfMux *mux, guint id)
{
    VmfMuxChannel *channel = vmf_mux_channel(mux, id);

    g_return_if_fail(!channel->end_sent);
    if (channel->over)
        return;
    channel->end_sent = TRUE;
    if (channel->again < channel->sent)
        channel->end_again = TRUE; /* after what is sent again */
    else
        vmf_mux_say_end(mux, channel);
}

void
vmf_mux_reset(VmfMux *mux, guint id, const GError *error)
{
    VmfMuxChannel *channel = vmf_mux_channel(mux, id);

    if (!channel || channel->over)
        return;
    channel->reason = g_error_copy(error);
    vmf_mux_say_reset(mux, channel);
    vmf_mux_close_channel(mux, channel);
    channel->reset = TRUE;
}

void
vmf_mux_delivered(VmfMux *mux, guint id, gsize bytes)
{
    VmfMuxChannel *channel = vmf_mux_channel(mux, id);

    if (channel->over)
        return;
    channel->delivered += bytes;
    mux->outstanding -= bytes;
    vmf_mux_acknowledge_soon(mux, channel);
}

void
vmf_mux_end_delivered(VmfMux *mux, guint id)
{
    VmfMuxChannel *channel = vmf_mux_channel(mux, id);

    if (channel->over)
        return;
    channel->end_delivered = TRUE;
    vmf_mux_acknowledge(mux, channel);
    if (channel->end_acknowledged)
        vmf_mux_close_channel(mux, channel);
}

void
vmf_mux_bye(VmfMux *mux, const GError *error)
{
    VmfFrameHeader header = {.type = VMF_FRAME_BYE};
    uint8_t payload[2 + VMF_FRAME_REASON_MAX];

    if (!mux->wire || mux->bye_sent)
        return;
    header.length = (uint32_t)vmf_reason_encode(error, payload);
    vmf_mux_send_small(mux, &header, payload, FALSE);
    mux->bye_sent = TRUE;
    vmf_wire_finish(mux->wire);
}
