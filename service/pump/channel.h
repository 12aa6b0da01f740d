/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One channel at one side: a socket, an intake and an outlet on it, and their place on the link.
 *
 * It ends cleanly when both ends' files are at their end and all is delivered; in any other case
 * unclean, and then it takes care that nobody sees an end of file that no QEMU made: the source
 * closes its socket, a destination that speaks to a QEMU holds it until that QEMU hangs up, it is
 * told to let go, or VMF_CHANNEL_HOLD has passed (PROTOCOL.md, "RESET").
 *
 * Ownership: the channel closes its socket. Threads: belongs to one.
 */
#pragma once

#include "link/mux.h"
#include "pump/stages.h"
#include "pump/unpack.h"
#include "stream/stream.h"

#define VMF_CHANNEL_HOLD 60 /* s */
#define VMF_CHANNEL_WAIT 30 /* s, for the socket of a wanted channel */

typedef struct VmfChannel VmfChannel;

typedef struct {
    /* Bytes were taken from, or written to, the socket. */
    void (*moved)(gpointer owner, gsize from_socket, gsize to_socket);
    /* Source: what kind of connection of QEMU's it is. */
    void (*sniffed)(gpointer owner, VmfChannel *channel, VmfConnection connection);
    /* Over, cleanly if error is NULL. May come from inside a call; do not free the channel in it.
     */
    void (*over)(gpointer owner, VmfChannel *channel, const GError *error);
} VmfChannelEvents;

typedef struct {
    guint id;
    VmfChannelKind kind;
    VmfSide side;
    VmfMux *mux;
    VmfChunkPool *pool;
    VmfStagesSetup stages;             /* source: for QEMU's main connection */
    const VmfStagesSettings *settings; /* for the beginning; NULL: no stages */
    VmfUnpackSetup unpack;             /* destination: of what comes */
} VmfChannelSetup;

/* A channel without a socket yet; for the destination, one that will be refused if none comes. */
VmfChannel *vmf_channel_new(const VmfChannelSetup *setup, const VmfChannelEvents *events,
                            gpointer owner);
void vmf_channel_free(VmfChannel *channel);

guint vmf_channel_id(const VmfChannel *channel);
VmfChannelKind vmf_channel_kind(const VmfChannel *channel);
gboolean vmf_channel_is_over(const VmfChannel *channel);

/* It has no socket and still waits for one. */
gboolean vmf_channel_is_wanted(const VmfChannel *channel);

/* The stages of QEMU's main connection, to be asked and told; NULL: there are none. */
VmfStages *vmf_channel_stages(const VmfChannel *channel);

/* Takes the descriptor, whatever happens. */
void vmf_channel_attach(VmfChannel *channel, int fd);

/* What the link says; see VmfMuxEvents. */
void vmf_channel_data(VmfChannel *channel, const VmfSlice *bytes, gboolean packed);
void vmf_channel_end(VmfChannel *channel);
void vmf_channel_end_acknowledged(VmfChannel *channel);
void vmf_channel_room(VmfChannel *channel);

/* The other side or the link gave up: closes or holds. */
void vmf_channel_lost(VmfChannel *channel, const GError *error);

/* We give up: tells the other side, and closes; lets go of what is held. */
void vmf_channel_abort(VmfChannel *channel, const GError *error);
