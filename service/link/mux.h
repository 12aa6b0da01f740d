/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The channels of one migration on a data link: offsets, acknowledgement, credit, what is kept for
 * sending again, and how much may be on its way. PROTOCOL.md, "Frames", is what it does.
 *
 * The owner brings bytes (vmf_mux_send) as long as vmf_mux_room() says that there is room, and
 * takes bytes by the `data` event, saying vmf_mux_delivered() when they were written to where they
 * belong. Memory is bounded by that: a channel whose end does not read uses up its credit and then
 * waits, without holding up others.
 *
 * A link may break and go on over a new connection, if that was agreed on: what was not
 * acknowledged is sent again, and the channels notice nothing but a rest.
 *
 * Events come from the main loop, or from inside vmf_mux_* calls only where that is said. The mux
 * must not be freed from inside one.
 *
 * Threads: belongs to the one whose thread-default context it was made in.
 */
#pragma once

#include <glib.h>

#include "link/chunk.h"
#include "link/frame.h"
#include "link/pace.h"
#include "link/wire.h"

#define VMF_CHANNELS_OPEN 64               /* at once */
#define VMF_CREDIT_INITIAL (1024 * 1024)   /* bytes, of every channel; less of a smaller pool */
#define VMF_CREDIT_POOL (64 * 1024 * 1024) /* bytes, shared by the open channels, at most */
#define VMF_FLIGHT_MAX (64 * 1024 * 1024)  /* bytes on their way */
#define VMF_KEPT_MAX (128 * 1024 * 1024)   /* bytes kept for sending again */
#define VMF_KEPT_SLICES_MAX 4096           /* and in how many pieces, per channel */

typedef struct VmfMux VmfMux;

typedef struct {
    /* Both sides have proved the secret and said HELLO. */
    void (*ready)(gpointer owner);
    /* Destination: the source opened a channel. FALSE and VMF_ERROR_PROTOCOL refuse the link. */
    gboolean (*opened)(gpointer owner, guint channel, VmfChannelKind kind, GError **error);
    /* Bytes of a channel, in order, as they were sent; keep with vmf_slice_keep(). */
    void (*data)(gpointer owner, guint channel, const VmfSlice *bytes, gboolean packed);
    /* After the last byte: the other end is at its end of file. */
    void (*end)(gpointer owner, guint channel);
    /* The other side has our END and delivered every byte before it. */
    void (*end_acknowledged)(gpointer owner, guint channel);
    /* The channel is over, uncleanly, by the other side's doing. */
    void (*reset)(gpointer owner, guint channel, const GError *error);
    /* vmf_mux_room() may have grown. */
    void (*room)(gpointer owner);
    /* The other side has said its last; error: NULL if all was delivered. */
    void (*bye)(gpointer owner, const GError *error);
    /* The link failed: it broke, was refused, or the other side broke the protocol (and is told).
     */
    void (*broken)(gpointer owner, const GError *error);
    /* The link broke, and vmf_mux_attach() may bring it back: `ready` follows. Only if resumable.
     */
    void (*lost)(gpointer owner, const GError *error);
    /* After vmf_mux_bye(), or after `broken` if still attached: the other side has hung up. */
    void (*closed)(gpointer owner);
} VmfMuxEvents;

typedef struct {
    VmfSide side;
    VmfChunkPool *pool;
    VmfPace *pace;      /* what all that share it send together is bounded by it */
    gboolean hurry;     /* what goes over this link counts, but does not wait */
    gsize kept_max;     /* bytes kept for sending again, and that came and are not delivered; 0:
                           VMF_KEPT_MAX, and VMF_CREDIT_POOL */
    gboolean resumable; /* it was agreed that a link that broke goes on over another connection */
} VmfMuxSetup;

/* Pool and pace are the caller's, and live longer. */
VmfMux *vmf_mux_new(const VmfMuxSetup *setup, const VmfMuxEvents *events, gpointer owner);
void vmf_mux_free(VmfMux *mux);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfMux, vmf_mux_free)

/*
 * One link at a time. `ready`, `bye` or `broken` follow; if it was not `ready`, detach it, and
 * another may be attached. On one that was lost, or is given up for this one, the channels go on.
 * Fails with VMF_ERROR_FAILED.
 */
gboolean vmf_mux_attach(VmfMux *mux, const VmfWireSetup *setup, GError **error);
void vmf_mux_detach(VmfMux *mux);

/* While a guest stands still a link that does not answer is given up within 2 s or so, and not 8.
 */
void vmf_mux_set_urgent(VmfMux *mux, gboolean urgent);

/* Packed bytes were agreed on: they may come. */
void vmf_mux_allow_packed(VmfMux *mux);

gboolean vmf_mux_is_attached(const VmfMux *mux);
gboolean vmf_mux_is_ready(const VmfMux *mux);

/* It was ready once, and its channels can go on over a new link. */
gboolean vmf_mux_can_resume(const VmfMux *mux);

/*
 * Source: a new channel. `id` is above those of all that were opened here before, but need not be
 * the next: a migration's links share the numbers. Fails with VMF_ERROR_LIMIT_REACHED or
 * VMF_ERROR_LINK_BROKEN.
 */
gboolean vmf_mux_open(VmfMux *mux, guint id, VmfChannelKind kind, GError **error);

/* Bytes that may be brought now. */
gsize vmf_mux_room(const VmfMux *mux, guint channel);

/*
 * 1 to vmf_mux_room() and VMF_FRAME_PAYLOAD_MAX bytes; VMF_CHUNK_HEADROOM bytes in front of them
 * must be free. Takes the reference. packed: the other side gets to know; only if it may be.
 */
void vmf_mux_send(VmfMux *mux, guint channel, VmfSlice bytes, gboolean packed);

/* The pace is another; `room` may come from inside. */
void vmf_mux_pace_changed(VmfMux *mux);

/* There is room, but the input has nothing now. */
void vmf_mux_starved(VmfMux *mux);

void vmf_mux_end(VmfMux *mux, guint channel);

/* Nothing more is sent or taken on the channel. Harmless on one that is over. */
void vmf_mux_reset(VmfMux *mux, guint channel, const GError *error);

/* `bytes` more of the channel, or its end, are where they belong. */
void vmf_mux_delivered(VmfMux *mux, guint channel, gsize bytes);
void vmf_mux_end_delivered(VmfMux *mux, guint channel);

/* Says BYE (error NULL: all is delivered); nothing more is sent. */
void vmf_mux_bye(VmfMux *mux, const GError *error);

typedef struct {
    guint links;               /* 1 if attached */
    guint64 wire_out, wire_in; /* bytes */
    guint64 taken, kept;       /* bytes of channels: acknowledged, and not yet */
    guint64 rate;              /* bytes/s */
    gint64 rtt;                /* µs */
    gsize in_flight, limit;    /* bytes */
} VmfMuxFigures;

void vmf_mux_get_figures(const VmfMux *mux, VmfMuxFigures *ret);
