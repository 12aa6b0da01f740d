/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What pump.c (beginning, end, and what is seen), pump-channels.c and pump-link.c share. See
 * pump.h.
 */
#pragma once

#include "pump/channel.h"
#include "pump/pump.h"
#include "pump/statistics.h"

struct VmfPump {
    const VmfPumpEvents *events;
    gpointer owner;
    VmfPumpState state;
    char *id;
    VmfSide side;
    uint8_t secret[VMF_TICKET_SECRET_SIZE];
    gboolean encrypt;

    VmfChunkPool *pool;
    VmfPace pace;
    VmfMux *mux;         /* from Start on */
    GPtrArray *channels; /* of VmfChannel; [id - 1] */
    guint n_over;
    gboolean carries_qemu; /* one of them is, or was, a stream of QEMU's */
    guint next_turn;       /* the channel that is offered room first */
    VmfStatistics statistics;

    VmfPumpLinked linked; /* while a link is being attached */
    gpointer linked_data;

    GError *error;     /* the first failure */
    gboolean leaving;  /* BYE is said, or needs not be */
    gboolean attended; /* by a daemon */
    GSource *deadline; /* for the link, then for the other side's goodbye */
    GSource *absence;  /* of a daemon */
    GSource *figures;  /* while bytes move */
    gint64 told;       /* of the last byte that the figures told of; monotonic µs */
};

/* pump.c */
void vmf_pump_set_state(VmfPump *pump, VmfPumpState state);

/* The time in which the link, or the other side's goodbye, must come. */
void vmf_pump_set_deadline(VmfPump *pump, guint seconds, GSourceFunc func);

/* What an orderly end means for those who are in the middle of something. */
GError *vmf_pump_stopped(void);

/* Keeps the first failure for the report. */
void vmf_pump_note(VmfPump *pump, const GError *error);

/* No channel is open. */
gboolean vmf_pump_is_idle(const VmfPump *pump);

/* A channel is over: maybe that was the last one. */
void vmf_pump_check_over(VmfPump *pump);

/* The link or the other side is lost: so is every channel, and the end comes when all let go. */
void vmf_pump_fail(VmfPump *pump, const GError *error);

/* Says goodbye, and gives the other side time to hear it. */
void vmf_pump_leave(VmfPump *pump);

/* Ends from the main loop, when nothing of the pump is on the stack. */
void vmf_pump_end_soon(VmfPump *pump);

/* Starts or ends the time that a pump goes without a daemon and without a channel. */
void vmf_pump_watch_absence(VmfPump *pump);

/* pump-channels.c: NULL for a number that was not opened. */
VmfChannel *vmf_pump_channel(const VmfPump *pump, guint id);
VmfChannel *vmf_pump_add_channel(VmfPump *pump, guint id, VmfChannelKind kind);

/* FALSE and VMF_ERROR_INVALID_ARGUMENT if it is not a connected stream socket. */
gboolean vmf_pump_check_socket(int fd, GError **error);

/* pump-link.c */
extern const VmfMuxEvents vmf_pump_mux_events;

/* The link that is being attached came to nothing; another may be tried. */
void vmf_pump_link_failed(VmfPump *pump, const GError *error);
