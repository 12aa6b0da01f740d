/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The life of a link and its channels, and all that is sent. What comes is in mux-receive.c. */
#include "base/error.h"
#include "link/mux-private.h"

#include <string.h>

#define SEND_MIN (64 * 1024)               /* less is not worth a frame */
#define PING_INTERVAL (5 * G_USEC_PER_SEC) /* µs of silence */
#define SILENCE_MAX (30 * G_USEC_PER_SEC)  /* µs */
#define TICK_LATE (2 * G_USEC_PER_SEC)     /* µs: this process was stopped */

VmfMuxChannel *
vmf_mux_channel(const VmfMux *mux, guint id)
{
    return id >= 1 && id <= mux->channels->len ? mux->channels->pdata[id - 1] : NULL;
}

static void
vmf_mux_channel_free(gpointer data)
{
    VmfMuxChannel *channel = data;

    vmf_slice_queue_clear(&channel->kept);
    g_free(channel);
}

VmfMuxChannel *
vmf_mux_add_channel(VmfMux *mux, VmfChannelKind kind)
{
    VmfMuxChannel *channel = g_new0(VmfMuxChannel, 1);

    channel->id = mux->channels->len + 1;
    channel->kind = kind;
    channel->credit = mux->peer.credit;
    channel->granted = VMF_CREDIT_INITIAL;
    mux->outstanding += channel->granted;
    mux->n_open++;
    g_ptr_array_add(mux->channels, channel);
    return channel;
}

void
vmf_mux_close_channel(VmfMux *mux, VmfMuxChannel *channel)
{
    mux->kept -= channel->sent - channel->kept_from;
    channel->kept_from = channel->sent;
    vmf_slice_queue_clear(&channel->kept);
    mux->outstanding -= channel->granted - channel->delivered;
    mux->n_open--;
    channel->over = TRUE;
}

gboolean
vmf_mux_is_listening(const VmfMux *mux)
{
    return mux->wire && !mux->refused;
}

gboolean
vmf_mux_is_attached(const VmfMux *mux)
{
    return mux->wire != NULL;
}

gboolean
vmf_mux_is_ready(const VmfMux *mux)
{
    return vmf_mux_is_listening(mux) && mux->ready;
}

/* A header and its payload in memory of their own. */
static VmfSlice
vmf_mux_frame(VmfMux *mux, const VmfFrameHeader *header, const uint8_t *payload)
{
    gsize length = VMF_FRAME_HEADER_SIZE + header->length;
    VmfChunk *chunk = vmf_chunk_new(mux->pool, length);

    vmf_frame_header_encode(header, chunk->data);
    if (header->length > 0)
        memcpy(chunk->data + VMF_FRAME_HEADER_SIZE, payload, header->length);
    return (VmfSlice){chunk, chunk->data, length};
}

void
vmf_mux_send_small(VmfMux *mux, const VmfFrameHeader *header, const uint8_t *payload,
                   gboolean urgent)
{
    VmfSlice frame;

    if (!mux->wire || mux->bye_sent)
        return;
    frame = vmf_mux_frame(mux, header, payload);
    if (urgent)
        vmf_wire_send_urgent(mux->wire, frame);
    else
        vmf_wire_send(mux->wire, frame);
}

static void
vmf_mux_ping(VmfMux *mux, gint64 now)
{
    const VmfFrameHeader header = {.type = VMF_FRAME_PING, .sequence = (uint64_t)now};

    vmf_mux_send_small(mux, &header, NULL, TRUE);
    mux->ping_tick = now + PING_INTERVAL;
    g_source_set_ready_time(mux->ping_timer, mux->ping_tick);
}

static gboolean
vmf_mux_tick(gpointer data)
{
    VmfMux *mux = data;
    gint64 now = g_get_monotonic_time();
    g_autoptr(GError) error = NULL;

    g_source_set_ready_time(mux->ping_timer, -1);
    if (mux->refused)
        return G_SOURCE_CONTINUE;
    if (now - mux->ping_tick > TICK_LATE)
        mux->heard = now; /* what came meanwhile was not read yet */
    if (now - mux->heard >= SILENCE_MAX) {
        error = g_error_new(VMF_ERROR, VMF_ERROR_LINK_BROKEN,
                            "nothing was heard over the data link for %d s",
                            (int)(SILENCE_MAX / G_USEC_PER_SEC));
        vmf_mux_detach(mux);
        mux->events->broken(mux->owner, error);
        return G_SOURCE_CONTINUE;
    }
    if (now - mux->heard >= PING_INTERVAL) {
        vmf_mux_ping(mux, now);
        return G_SOURCE_CONTINUE;
    }
    mux->ping_tick = mux->heard + PING_INTERVAL;
    g_source_set_ready_time(mux->ping_timer, mux->ping_tick);
    return G_SOURCE_CONTINUE;
}

void
vmf_mux_refuse(VmfMux *mux, const GError *error)
{
    vmf_mux_bye(mux, error);
    mux->refused = TRUE;
    mux->events->broken(mux->owner, error);
}

static void
vmf_mux_on_secured(gpointer owner)
{
    VmfMux *mux = owner;
    const VmfHello hello = {
        .side = mux->side,
        .channels = VMF_CHANNELS_OPEN,
        .credit = VMF_CREDIT_INITIAL,
    };
    const VmfFrameHeader header = {.type = VMF_FRAME_HELLO, .length = VMF_HELLO_SIZE};
    uint8_t payload[VMF_HELLO_SIZE];

    vmf_hello_encode(&hello, payload);
    vmf_mux_send_small(mux, &header, payload, TRUE); /* as the PING, which must not pass it */
    mux->heard = g_get_monotonic_time();
    vmf_mux_ping(mux, mux->heard); /* a first round trip, before there is a queue */
}

static void
vmf_mux_on_received(gpointer owner, const VmfSlice *bytes)
{
    vmf_mux_receive(owner, bytes);
}

static void
vmf_mux_on_drained(gpointer owner)
{
    VmfMux *mux = owner;

    if (mux->ack_blocked) {
        mux->ack_blocked = FALSE;
        vmf_mux_acknowledge_due(mux);
    }
    if (vmf_mux_is_ready(mux))
        mux->events->room(mux->owner);
}

static void
vmf_mux_on_broken(gpointer owner, const GError *error)
{
    VmfMux *mux = owner;
    gboolean expected = mux->refused || mux->bye_sent;
    g_autoptr(GError) why = g_error_copy(error); /* the wire's own goes with it */

    vmf_mux_detach(mux);
    if (expected)
        mux->events->closed(mux->owner);
    else
        mux->events->broken(mux->owner, why);
}

static const VmfWireEvents vmf_mux_wire_events = {
    .secured = vmf_mux_on_secured,
    .received = vmf_mux_on_received,
    .drained = vmf_mux_on_drained,
    .broken = vmf_mux_on_broken,
};

static gboolean
vmf_mux_dispatch(GSource *source, GSourceFunc func, gpointer data)
{
    return func(data);
}

static GSourceFuncs vmf_mux_timer_funcs = {.dispatch = vmf_mux_dispatch};

/* A timer that is set by g_source_set_ready_time(). */
static GSource *
vmf_mux_timer(VmfMux *mux, GSourceFunc func)
{
    g_autoptr(GMainContext) context = g_main_context_ref_thread_default();
    GSource *timer = g_source_new(&vmf_mux_timer_funcs, sizeof(GSource));

    g_source_set_callback(timer, func, mux, NULL);
    g_source_attach(timer, context);
    return timer;
}

VmfMux *
vmf_mux_new(VmfSide side, VmfChunkPool *pool, const VmfMuxEvents *events, gpointer owner)
{
    VmfMux *mux = g_new0(VmfMux, 1);

    mux->side = side;
    mux->pool = pool;
    mux->events = events;
    mux->owner = owner;
    mux->channels = g_ptr_array_new_with_free_func(vmf_mux_channel_free);
    mux->flow = vmf_flow_new(VMF_FLIGHT_MAX);
    mux->ack_timer = vmf_mux_timer(mux, vmf_mux_ack_waiting);
    mux->ping_timer = vmf_mux_timer(mux, vmf_mux_tick);
    return mux;
}

void
vmf_mux_free(VmfMux *mux)
{
    vmf_mux_detach(mux);
    g_ptr_array_unref(mux->channels);
    vmf_flow_free(mux->flow);
    g_source_destroy(mux->ack_timer);
    g_source_unref(mux->ack_timer);
    g_source_destroy(mux->ping_timer);
    g_source_unref(mux->ping_timer);
    g_free(mux);
}

gboolean
vmf_mux_attach(VmfMux *mux, const VmfWireSetup *setup, GError **error)
{
    vmf_mux_detach(mux);
    mux->wire = vmf_wire_new(setup, mux->pool, &vmf_mux_wire_events, mux, error);
    return mux->wire != NULL;
}

void
vmf_mux_detach(VmfMux *mux)
{
    if (mux->wire) {
        mux->past_out += vmf_wire_bytes_out(mux->wire);
        mux->past_in += vmf_wire_bytes_in(mux->wire);
        vmf_wire_free(g_steal_pointer(&mux->wire));
    }
    g_source_set_ready_time(mux->ping_timer, -1);
    memset(&mux->parser, 0, sizeof mux->parser);
    mux->ready = mux->refused = mux->bye_sent = mux->bye_received = FALSE;
}

guint
vmf_mux_open(VmfMux *mux, VmfChannelKind kind, GError **error)
{
    VmfFrameHeader header = {.type = VMF_FRAME_OPEN, .length = VMF_OPEN_SIZE};
    uint8_t payload[VMF_OPEN_SIZE];
    VmfMuxChannel *channel;

    if (!vmf_mux_is_ready(mux) || mux->bye_sent || mux->bye_received) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_LINK_BROKEN,
                            "there is no data link that a channel could be opened on");
        return 0;
    }
    if (mux->n_open >= MIN(mux->peer.channels, VMF_CHANNELS_OPEN) ||
        mux->channels->len == VMF_CHANNELS_TOTAL) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_LIMIT_REACHED,
                    "%u channels are open and %u have been: no more can be carried by one "
                    "migration; use fewer parallel connections",
                    mux->n_open, mux->channels->len);
        return 0;
    }
    channel = vmf_mux_add_channel(mux, kind);
    header.channel = (uint16_t)channel->id;
    vmf_open_encode(kind, payload);
    /* urgent, or the first ACK of the channel would get there before it */
    vmf_mux_send_small(mux, &header, payload, TRUE);
    vmf_mux_acknowledge_soon(mux, channel); /* its share of the credit for the way back */
    return channel->id;
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
        mux->kept >= VMF_KEPT_MAX || channel->kept.count >= VMF_KEPT_SLICES_MAX)
        return 0;
    waits = channel->sent - channel->acknowledged;
    if (waits + MIN(limit / 4, SEND_MIN) > limit)
        return 0;
    return MIN(vmf_flow_room(mux->flow), MIN(limit - waits, channel->credit - channel->sent));
}

void
vmf_mux_send(VmfMux *mux, guint id, VmfSlice bytes)
{
    VmfMuxChannel *channel = vmf_mux_channel(mux, id);
    VmfFrameHeader header = {
        .type = VMF_FRAME_DATA, .channel = (uint16_t)id, .length = (uint32_t)bytes.length};
    VmfSlice frame = {bytes.chunk, bytes.data - VMF_FRAME_HEADER_SIZE,
                      bytes.length + VMF_FRAME_HEADER_SIZE};

    G_STATIC_ASSERT(VMF_FRAME_HEADER_SIZE == VMF_CHUNK_HEADROOM);
    g_return_if_fail(vmf_mux_may_send(mux, channel) && bytes.length > 0 &&
                     bytes.length <= VMF_FRAME_PAYLOAD_MAX &&
                     bytes.length <= channel->credit - channel->sent);
    if (vmf_flow_sent(mux->flow, bytes.length, g_get_monotonic_time()))
        header.flags = VMF_FRAME_FLAG_ACK_NOW;
    header.sequence = channel->sent;
    vmf_frame_header_encode(&header, frame.data);
    channel->sent += bytes.length;
    mux->link_sent += bytes.length;
    mux->kept += bytes.length;
    vmf_chunk_ref(frame.chunk);
    vmf_slice_queue_push(&channel->kept, frame);
    vmf_wire_send(mux->wire, frame);
}

void
vmf_mux_starved(VmfMux *mux)
{
    vmf_flow_starved(mux->flow);
}

void
vmf_mux_end(VmfMux *mux, guint id)
{
    VmfMuxChannel *channel = vmf_mux_channel(mux, id);
    const VmfFrameHeader header = {
        .type = VMF_FRAME_END, .channel = (uint16_t)id, .sequence = channel->sent};

    g_return_if_fail(!channel->end_sent);
    if (channel->over)
        return;
    channel->end_sent = TRUE;
    vmf_mux_send_small(mux, &header, NULL, FALSE);
}

void
vmf_mux_reset(VmfMux *mux, guint id, const GError *error)
{
    VmfMuxChannel *channel = vmf_mux_channel(mux, id);
    uint8_t payload[2 + VMF_FRAME_REASON_MAX];
    VmfFrameHeader header = {.type = VMF_FRAME_RESET, .channel = (uint16_t)id};

    if (!channel || channel->over)
        return;
    header.length = (uint32_t)vmf_reason_encode(error, payload);
    vmf_mux_send_small(mux, &header, payload, FALSE);
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

void
vmf_mux_get_figures(const VmfMux *mux, VmfMuxFigures *ret)
{
    *ret = (VmfMuxFigures){
        .wire_out = mux->past_out + (mux->wire ? vmf_wire_bytes_out(mux->wire) : 0),
        .wire_in = mux->past_in + (mux->wire ? vmf_wire_bytes_in(mux->wire) : 0),
        .rate = vmf_flow_rate(mux->flow),
        .rtt = vmf_flow_rtt(mux->flow),
        .in_flight = vmf_flow_in_flight(mux->flow),
        .limit = vmf_flow_limit(mux->flow),
    };
}
