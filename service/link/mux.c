/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The life of a link and its channels. What is sent is in mux-send.c, what comes in mux-receive.c.
 */
#include "base/bytes.h"
#include "base/error.h"
#include "base/timer.h"
#include "link/mux-private.h"

#include <string.h>

#define TICK_LATE (2 * G_USEC_PER_SEC) /* µs: this process was stopped */

VmfMuxChannel *
vmf_mux_channel(const VmfMux *mux, guint id)
{
    return id >= 1 && id <= mux->channels->len ? mux->channels->pdata[id - 1] : NULL;
}

static void
vmf_mux_channel_free(gpointer data)
{
    VmfMuxChannel *channel = data;

    if (!channel)
        return;
    vmf_slice_queue_clear(&channel->kept);
    g_clear_error(&channel->reason);
    g_free(channel);
}

VmfMuxChannel *
vmf_mux_add_channel(VmfMux *mux, guint id, VmfChannelKind kind)
{
    VmfMuxChannel *channel = g_new0(VmfMuxChannel, 1);

    channel->id = id;
    channel->kind = kind;
    channel->credit = mux->peer.credit;
    channel->granted = channel->window = mux->credit_initial;
    mux->outstanding += channel->granted;
    mux->n_open++;
    g_ptr_array_set_size(mux->channels, (gint)id);
    mux->channels->pdata[id - 1] = channel;
    return channel;
}

void
vmf_mux_close_channel(VmfMux *mux, VmfMuxChannel *channel)
{
    mux->kept -= channel->sent - channel->kept_from;
    channel->kept_from = channel->again = channel->sent;
    channel->end_again = FALSE;
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

void
vmf_mux_allow_packed(VmfMux *mux)
{
    mux->packed_allowed = TRUE;
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

gboolean
vmf_mux_can_resume(const VmfMux *mux)
{
    return mux->resumable && mux->begun && !mux->refused && !mux->bye_sent && !mux->bye_received;
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

/* µs of silence, after which it is asked; and for broken taken. */
typedef struct {
    gint64 ask, broken;
} VmfSilence;

/* Sooner where a link that is given up is soon replaced, and while a guest stands still. */
static VmfSilence
vmf_mux_silence(const VmfMux *mux)
{
    gint64 more = 4 * vmf_flow_rtt(mux->flow);

    if (!mux->resumable)
        return (VmfSilence){5 * G_USEC_PER_SEC, 30 * G_USEC_PER_SEC};
    if (mux->urgent)
        return (VmfSilence){G_USEC_PER_SEC / 2 + more, 2 * G_USEC_PER_SEC + 2 * more};
    return (VmfSilence){2 * G_USEC_PER_SEC, 8 * G_USEC_PER_SEC + more};
}

void
vmf_mux_set_urgent(VmfMux *mux, gboolean urgent)
{
    mux->urgent = urgent;
    if (mux->wire && mux->greeted) /* it looks again */
        g_source_set_ready_time(mux->ping_timer, 0);
}

/* The link is gone: for now, or for good. */
static void
vmf_mux_lose(VmfMux *mux, const GError *error)
{
    gboolean can_resume = vmf_mux_can_resume(mux);

    vmf_mux_detach(mux);
    if (can_resume)
        mux->events->lost(mux->owner, error);
    else
        mux->events->broken(mux->owner, error);
}

static void
vmf_mux_ping(VmfMux *mux, gint64 now)
{
    const VmfFrameHeader header = {.type = VMF_FRAME_PING, .sequence = (uint64_t)now};

    vmf_mux_send_small(mux, &header, NULL, TRUE);
    mux->ping_tick = now + vmf_mux_silence(mux).ask;
    g_source_set_ready_time(mux->ping_timer, mux->ping_tick);
}

static gboolean
vmf_mux_tick(gpointer data)
{
    VmfMux *mux = data;
    gint64 now = g_get_monotonic_time();
    VmfSilence silence = vmf_mux_silence(mux);
    g_autoptr(GError) error = NULL;

    g_source_set_ready_time(mux->ping_timer, -1);
    if (mux->refused)
        return G_SOURCE_CONTINUE;
    if (now - mux->ping_tick > TICK_LATE)
        mux->heard = now; /* what came meanwhile was not read yet */
    if (now - mux->heard >= silence.broken) {
        error = g_error_new(VMF_ERROR, VMF_ERROR_LINK_BROKEN,
                            "nothing was heard over the data link for %d s",
                            (int)((now - mux->heard) / G_USEC_PER_SEC));
        vmf_mux_lose(mux, error);
        return G_SOURCE_CONTINUE;
    }
    if (now - mux->heard >= silence.ask) {
        vmf_mux_ping(mux, now);
        return G_SOURCE_CONTINUE;
    }
    mux->ping_tick = mux->heard + silence.ask;
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
        .credit = (uint32_t)mux->credit_initial,
    };
    const VmfFrameHeader header = {
        .type = VMF_FRAME_HELLO, .length = mux->resumable ? VMF_HELLO_RESUME_SIZE : VMF_HELLO_SIZE};
    uint8_t payload[VMF_HELLO_RESUME_SIZE];

    vmf_hello_encode(&hello, payload);
    vmf_put_u32(payload + VMF_HELLO_SIZE, vmf_mux_count_channels(mux));
    vmf_mux_send_small(mux, &header, payload, TRUE); /* as the PING, which must not pass it */
    vmf_mux_say_resume(mux);
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
    vmf_mux_use_room(mux);
}

static void
vmf_mux_on_broken(gpointer owner, const GError *error)
{
    VmfMux *mux = owner;
    gboolean expected = mux->refused || mux->bye_sent;
    g_autoptr(GError) why = g_error_copy(error); /* the wire's own goes with it */

    if (!expected) {
        vmf_mux_lose(mux, why);
        return;
    }
    vmf_mux_detach(mux);
    mux->events->closed(mux->owner);
}

static const VmfWireEvents vmf_mux_wire_events = {
    .secured = vmf_mux_on_secured,
    .received = vmf_mux_on_received,
    .drained = vmf_mux_on_drained,
    .broken = vmf_mux_on_broken,
};

VmfMux *
vmf_mux_new(const VmfMuxSetup *setup, const VmfMuxEvents *events, gpointer owner)
{
    VmfMux *mux = g_new0(VmfMux, 1);

    mux->side = setup->side;
    mux->pool = setup->pool;
    mux->pace = setup->pace;
    mux->hurry = setup->hurry;
    mux->resumable = setup->resumable;
    mux->kept_max = setup->kept_max > 0 ? setup->kept_max : VMF_KEPT_MAX;
    mux->credit_max = MIN(mux->kept_max, VMF_CREDIT_POOL);
    mux->credit_initial =
        CLAMP(mux->credit_max / VMF_CHANNELS_OPEN, VMF_CREDIT_MIN, VMF_CREDIT_INITIAL);
    mux->events = events;
    mux->owner = owner;
    mux->channels = g_ptr_array_new_with_free_func(vmf_mux_channel_free);
    mux->flow = vmf_flow_new(VMF_FLIGHT_MAX);
    mux->ack_timer = vmf_alarm_new(vmf_mux_ack_waiting, mux);
    mux->ping_timer = vmf_alarm_new(vmf_mux_tick, mux);
    mux->pace_timer = vmf_alarm_new(vmf_mux_paced, mux);
    return mux;
}

void
vmf_mux_free(VmfMux *mux)
{
    vmf_mux_detach(mux);
    g_ptr_array_unref(mux->channels);
    vmf_flow_free(mux->flow);
    vmf_timer_clear(&mux->ack_timer);
    vmf_timer_clear(&mux->ping_timer);
    vmf_timer_clear(&mux->pace_timer);
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
    mux->greeted = mux->ready = mux->refused = mux->bye_sent = mux->bye_received = FALSE;
    mux->ack_blocked = FALSE;
    mux->expected = 0;
    mux->link_sent = mux->link_arrived = mux->arrived = 0;
}

void
vmf_mux_get_figures(const VmfMux *mux, VmfMuxFigures *ret)
{
    *ret = (VmfMuxFigures){
        .links = mux->wire ? 1 : 0,
        .wire_out = mux->past_out + (mux->wire ? vmf_wire_bytes_out(mux->wire) : 0),
        .wire_in = mux->past_in + (mux->wire ? vmf_wire_bytes_in(mux->wire) : 0),
        .taken = mux->taken,
        .kept = mux->kept,
        .rate = vmf_flow_rate(mux->flow),
        .rtt = vmf_flow_rtt(mux->flow),
        .in_flight = vmf_flow_in_flight(mux->flow),
        .limit = vmf_flow_limit(mux->flow),
    };
}
