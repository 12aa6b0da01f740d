/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What mux.c (life cycle), mux-send.c (what the owner sends), mux-receive.c (frames that come),
 * mux-acknowledge.c (what is said about them) and mux-resume.c (going on over a new connection)
 * share. See mux.h.
 */
#pragma once

#include "link/flow.h"
#include "link/mux.h"

typedef struct {
    guint id;
    VmfChannelKind kind;
    gboolean over; /* both ways, cleanly or not: only late frames of the other side may come */
    gboolean reset;

    /* what we send */
    guint64 sent, acknowledged, credit; /* offsets */
    VmfSliceQueue kept;                 /* whole frames, from the one with `kept_from` on */
    guint64 kept_from;
    gboolean end_sent, end_acknowledged;
    GError *reason; /* of our RESET */

    /* while a link that was lost goes on: what is sent again */
    guint64 again;  /* from this offset on; `sent`: nothing more */
    guint again_at; /* where that is in `kept` */
    gboolean end_again;
    gboolean listed; /* the other side said where it stands: */
    guint64 listed_received;
    VmfResume listed_as;

    /* what we take */
    guint64 received, delivered, granted; /* offsets */
    guint64 window;     /* bytes it may have under way, if all channels' windows leave room */
    gint64 window_time; /* when it was judged last, and what was received then */
    guint64 window_received;
    guint64 told; /* the last acknowledged offset that we sent */
    gboolean end_received, end_delivered;
    gboolean ack_due;
} VmfMuxChannel;

struct VmfMux {
    VmfSide side;
    VmfChunkPool *pool;
    VmfPace *pace;
    gboolean hurry;
    const VmfMuxEvents *events;
    gpointer owner;

    VmfWire *wire;             /* NULL: none */
    guint64 past_out, past_in; /* bytes of wires that are gone */
    VmfFrameParser parser;
    gboolean resumable;
    gboolean urgent;  /* what does not answer is soon given up */
    gboolean greeted; /* HELLO has come over this link */
    gboolean begun;   /* some link was ready */
    gboolean again;   /* something has to be sent again */
    guint expected;   /* RESUMEs that are to come before it is ready */
    gboolean ready, bye_sent, bye_received;
    gboolean packed_allowed;
    gboolean refused; /* what the other side says is not read any more */
    VmfHello peer;
    gint64 heard;                    /* monotonic time of the last bytes, µs */
    guint64 link_sent, link_arrived; /* DATA bytes that went over this link, and got there */
    guint64 arrived;                 /* and that came */

    GPtrArray *channels; /* of VmfMuxChannel; [id - 1]; NULL where another link has the number */
    guint n_open;
    gsize kept_max;
    guint64 credit_max;     /* that all channels have together */
    guint64 credit_initial; /* that each has at least */
    guint64 kept;           /* bytes, all channels */
    guint64 taken;          /* acknowledged, likewise, also of those that are over */
    guint64 outstanding;    /* credit given and not used: granted - delivered, all channels */

    VmfFlow *flow;
    GSource *pace_timer; /* runs when the pace leaves room again */
    gboolean room_grew;
    gboolean ack_waits;   /* the timer is set */
    gboolean ack_blocked; /* the other side does not take what it asked for */
    GSource *ack_timer;   /* acknowledges what was not important enough to be at once */
    GSource *ping_timer;
    gint64 ping_tick; /* when it should fire */
};

/* NULL for a number that was not opened. */
VmfMuxChannel *vmf_mux_channel(const VmfMux *mux, guint id);
VmfMuxChannel *vmf_mux_add_channel(VmfMux *mux, guint id, VmfChannelKind kind);

/* The channel is over; what was kept of it goes. */
void vmf_mux_close_channel(VmfMux *mux, VmfMuxChannel *channel);

/* Sends a frame whose payload is small, ahead of DATA or after it. */
void vmf_mux_send_small(VmfMux *mux, const VmfFrameHeader *header, const uint8_t *payload,
                        gboolean urgent);

void vmf_mux_acknowledge(VmfMux *mux, VmfMuxChannel *channel);

/* Sooner or later. */
void vmf_mux_acknowledge_soon(VmfMux *mux, VmfMuxChannel *channel);

/* All that is due: when its time has come, and when the other side takes answers again. */
gboolean vmf_mux_ack_waiting(gpointer mux);
void vmf_mux_acknowledge_due(VmfMux *mux);

/* So many answers wait for the other side to take them that no more are queued. */
gboolean vmf_mux_is_choked(const VmfMux *mux);

/* The other side broke the protocol: tells it and the owner. */
void vmf_mux_refuse(VmfMux *mux, const GError *error);

/* A DATA frame goes out, for the first time or again; takes the reference. */
void vmf_mux_put_data(VmfMux *mux, const VmfFrameHeader *header, VmfSlice frame);
gboolean vmf_mux_pace_allows(VmfMux *mux);

/* Said now, or, when there is no link, when one goes on. */
void vmf_mux_say_open(VmfMux *mux, const VmfMuxChannel *channel);
void vmf_mux_say_end(VmfMux *mux, const VmfMuxChannel *channel);
void vmf_mux_say_reset(VmfMux *mux, const VmfMuxChannel *channel);

/* What the other side says of a channel: FALSE and VMF_ERROR_PROTOCOL if that cannot be. */
gboolean vmf_mux_take_ack(VmfMux *mux, VmfMuxChannel *channel, guint64 offset, guint64 credit,
                          GError **error);

/* There is room: for what is sent again, and then for the owner. */
void vmf_mux_use_room(VmfMux *mux);

/* mux-resume.c: after HELLO, where all channels stand; what the other side says of its; and when
 * both are known. */
guint vmf_mux_count_channels(const VmfMux *mux);
void vmf_mux_say_resume(VmfMux *mux);
gboolean vmf_mux_expect_resume(VmfMux *mux, const VmfFrame *hello, GError **error);
gboolean vmf_mux_on_resume(VmfMux *mux, const VmfFrame *frame, GError **error);
gboolean vmf_mux_begin(VmfMux *mux, GError **error);

/* TRUE when nothing (more) has to be sent again. */
gboolean vmf_mux_send_again(VmfMux *mux);

/* The pace leaves room again. */
gboolean vmf_mux_paced(gpointer mux);

/* There is a link, and what comes over it is still wanted. */
gboolean vmf_mux_is_listening(const VmfMux *mux);

/* The wire's bytes. */
void vmf_mux_receive(VmfMux *mux, const VmfSlice *bytes);
