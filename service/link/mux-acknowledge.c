/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is said about bytes that came: where they are, and how many more may come. */
#include "link/mux-private.h"

#define ACK_STEP (512 * 1024)  /* bytes delivered that are worth an ACK at once */
#define WINDOW_PERIOD 10000    /* µs; shorter ones say little */
#define ACK_DELAY 5000         /* µs that one may wait otherwise */
#define URGENT_MAX (64 * 1024) /* bytes of answers that the other side has not taken */

/*
 * A channel that takes a quarter of its window in a round trip gets a larger one; one that hardly
 * sends takes nothing from the others.
 */
static void
vmf_mux_widen(VmfMux *mux, VmfMuxChannel *channel, gint64 now)
{
    if (now - channel->window_time < MAX(vmf_flow_rtt(mux->flow), WINDOW_PERIOD))
        return;
    if (channel->received - channel->window_received > channel->window / 4)
        channel->window = MIN(channel->window * 2, mux->credit_max);
    channel->window_time = now;
    channel->window_received = channel->received;
}

/* The offset that the channel's other side may send up to, from here on. A channel that uses up
 * half of its window gets a larger one; one that hardly sends takes nothing from the others by
 * that.
 */
static guint64
vmf_mux_grant(VmfMux *mux, const VmfMuxChannel *channel)
{
    guint64 share = mux->credit_max / MAX(mux->n_open, 1);
    guint64 others = mux->outstanding - (channel->granted - channel->delivered);
    guint64 free = others < mux->credit_max ? mux->credit_max - others : 0;

    return MAX(channel->granted, channel->delivered + MAX(MIN(channel->window, MIN(share, free)),
                                                          mux->credit_initial));
}

gboolean
vmf_mux_is_choked(const VmfMux *mux)
{
    return mux->wire && vmf_wire_waiting_urgent(mux->wire) >= URGENT_MAX;
}

static void
vmf_mux_send_ack(VmfMux *mux, VmfMuxChannel *channel)
{
    guint64 granted = channel->granted;
    VmfAck ack = {.arrived = mux->arrived};
    const VmfFrameHeader header = {
        .type = VMF_FRAME_ACK,
        .channel = (uint16_t)channel->id,
        .length = VMF_ACK_SIZE,
        .sequence = channel->delivered + channel->end_delivered,
    };
    uint8_t payload[VMF_ACK_SIZE];

    if (!channel->over) {
        vmf_mux_widen(mux, channel, g_get_monotonic_time());
        granted = vmf_mux_grant(mux, channel);
        mux->outstanding += granted - channel->granted;
    }
    ack.credit = channel->granted = granted;
    channel->told = channel->delivered;
    channel->ack_due = FALSE;
    vmf_ack_encode(&ack, payload);
    vmf_mux_send_small(mux, &header, payload, TRUE);
}

void
vmf_mux_acknowledge(VmfMux *mux, VmfMuxChannel *channel)
{
    if (!vmf_mux_is_ready(mux)) /* it would be lost, or come too early: said when a link goes on */
        channel->ack_due = TRUE;
    else if (vmf_mux_is_choked(mux))
        channel->ack_due = mux->ack_blocked = TRUE;
    else
        vmf_mux_send_ack(mux, channel);
}

void
vmf_mux_acknowledge_soon(VmfMux *mux, VmfMuxChannel *channel)
{
    if (channel->delivered - channel->told >= ACK_STEP) {
        vmf_mux_acknowledge(mux, channel);
        return;
    }
    channel->ack_due = TRUE;
    if (!mux->ack_waits) {
        mux->ack_waits = TRUE;
        g_source_set_ready_time(mux->ack_timer, g_get_monotonic_time() + ACK_DELAY);
    }
}

void
vmf_mux_acknowledge_due(VmfMux *mux)
{
    for (guint id = 1; id <= mux->channels->len; id++) {
        VmfMuxChannel *channel = vmf_mux_channel(mux, id);

        if (channel && channel->ack_due)
            vmf_mux_acknowledge(mux, channel);
    }
}

gboolean
vmf_mux_ack_waiting(gpointer data)
{
    VmfMux *mux = data;

    mux->ack_waits = FALSE;
    g_source_set_ready_time(mux->ack_timer, -1);
    vmf_mux_acknowledge_due(mux);
    return G_SOURCE_CONTINUE;
}
