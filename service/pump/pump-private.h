/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What pump.c (beginning, end, and what is seen), pump-channels.c and pump-link.c share. See
 * pump.h.
 */
#pragma once

#include "pump/channel.h"
#include "pump/pump-options.h"
#include "pump/pump.h"
#include "pump/statistics.h"

/* A data link, or the place of one that was given up. */
typedef struct {
    VmfPump *pump;
    guint number;
    VmfMux *mux;

    VmfPumpLinked linked; /* while it is being attached */
    gpointer linked_data;
    GSource *deadline;                      /* for proof and HELLO */
    gboolean lost;                          /* it broke, and may come back */
    uint8_t secret[VMF_TICKET_SECRET_SIZE]; /* of the connection that came last */

    gboolean bye;     /* the other side says that all is delivered */
    gboolean settled; /* while leaving: nothing more is to come from there */
} VmfPumpLink;

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
    VmfPumpOptions options;
    VmfStages *main;       /* those of QEMU's main connection, its channel's; NULL: none yet */
    const char *untouched; /* why QEMU's stream is not worked on; NULL: the stages know */
    VmfPumpLink *links[VMF_PUMP_LINKS]; /* 0 from Start on; the others from their first use on */
    GPtrArray *channels;                /* of VmfChannel; [id - 1]; NULL: not opened yet */
    guint n_channels, n_over;
    guint n_wanted;        /* up to this number, the daemon was told of them */
    gboolean carries_qemu; /* one of them is, or was, a stream of QEMU's */
    guint next_turn;       /* the channel that is offered room first */
    VmfStatistics statistics;

    GSource *stall;    /* until a link that broke is given up; NULL: none is */
    GError *stall_why; /* what broke first */
    GError *error;     /* the first failure */
    gboolean leaving;  /* BYE is said, or needs not be */
    gboolean attended; /* by a daemon */
    GSource *deadline; /* for the other side's goodbye */
    GSource *absence;  /* of a daemon */
    GSource *figures;  /* while bytes move */
    gint64 told;       /* of the last byte that the figures told of; monotonic µs */
};

/* pump.c */
void vmf_pump_set_state(VmfPump *pump, VmfPumpState state);

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
VmfChannel *vmf_pump_add_channel(VmfPump *pump, guint id, VmfChannelKind kind, VmfMux *mux);

/* Calls `func` for every channel that was opened. */
void vmf_pump_each_channel(VmfPump *pump, void (*func)(VmfChannel *channel, const GError *error),
                           const GError *error);

/* FALSE and VMF_ERROR_INVALID_ARGUMENT if it is not a connected stream socket. */
gboolean vmf_pump_check_socket(int fd, GError **error);

/* pump-link.c */
VmfPumpLink *vmf_pump_link_new(VmfPump *pump, guint number);
void vmf_pump_link_free(VmfPumpLink *link);

/* The link that is being attached came to nothing; another may be tried. */
void vmf_pump_link_failed(VmfPumpLink *link, const GError *error);

/* The patience is another. */
void vmf_pump_wait_again(VmfPump *pump);

/* A link that broke is not waited for (any more). */
void vmf_pump_end_stall(VmfPump *pump);

/* All that is attached to a link, together. */
void vmf_pump_get_figures(const VmfPump *pump, VmfMuxFigures *ret);
