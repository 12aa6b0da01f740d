/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One side of one migration's data path: its channels, its link, its beginning and its end.
 * What org.vmferry1.Pump says (data/org.vmferry1.Pump.xml), without the bus.
 *
 * A link that broke may be attached anew, if that was agreed on: the channels rest meanwhile, for
 * as long as the patience lasts.
 *
 * It ends by itself: when every channel has ended cleanly and both sides have said BYE, or on
 * failure, or when nobody attends to it and nothing is under way.
 *
 * Ownership: descriptors that are given are the pump's, even when the call fails.
 * Threads: belongs to the one whose thread-default context it was made in.
 */
#pragma once

#include "link/mux.h"

#define VMF_PUMP_LINK_WAIT 10  /* s, for proof and HELLO */
#define VMF_PUMP_BYE_WAIT 10   /* s, for the other side's BYE when all is delivered */
#define VMF_PUMP_LEAVE_WAIT 1  /* s, for it to hear of a failure and hang up */
#define VMF_PUMP_UNATTENDED 60 /* s without a daemon and without a channel */

/* 0 is the link that all goes over; others are for single channels that may not wait behind it. */
#define VMF_PUMP_LINKS 4

typedef struct VmfPump VmfPump;

typedef enum {
    VMF_PUMP_WAITING, /* for Start */
    VMF_PUMP_STARTED, /* no link */
    VMF_PUMP_LINKED,
    VMF_PUMP_STALLED, /* a link broke, and may be attached again */
    VMF_PUMP_STOPPING,
    VMF_PUMP_ENDED,
} VmfPumpState;

typedef struct {
    /* State, or the list of wanted channels, is another. */
    void (*changed)(gpointer owner);
    void (*wanted)(gpointer owner, guint channel, VmfChannelKind kind);
    void (*channel_ended)(gpointer owner, guint channel, gboolean clean);
    /* New figures; at most every 250 ms. */
    void (*figures)(gpointer owner);
    /* The last one. error: NULL if everything was delivered. */
    void (*ended)(gpointer owner, const GError *error);
} VmfPumpEvents;

VmfPump *vmf_pump_new(const VmfPumpEvents *events, gpointer owner);

/* Not from inside an event. */
void vmf_pump_free(VmfPump *pump);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfPump, vmf_pump_free)

/* options: a{sv} as in the XML, or NULL. Fails with VMF_ERROR_INVALID_ARGUMENT, or VMF_ERROR_FAILED
 * if it was started before. */
gboolean vmf_pump_start(VmfPump *pump, const char *id, const char *side, const uint8_t *secret,
                        gsize secret_length, gboolean encrypt, GVariant *options, GError **error);

/* error: NULL when the link stands; the caller's. Called exactly once, from the main loop. */
typedef void (*VmfPumpLinked)(gpointer data, const GError *error);

typedef struct {
    int fd;
    gboolean initiator;
    guint number;          /* of the link, below VMF_PUMP_LINKS */
    const uint8_t *secret; /* its own, VMF_TICKET_SECRET_SIZE bytes; NULL: the pump's */
} VmfPumpAttach;

void vmf_pump_attach_link(VmfPump *pump, const VmfPumpAttach *attach, VmfPumpLinked linked,
                          gpointer data);

/* The number of the new channel, which goes over that link, or 0. */
guint vmf_pump_attach_channel(VmfPump *pump, const char *kind, guint link, int fd, GError **error);

gboolean vmf_pump_answer_channel(VmfPump *pump, guint channel, int fd, GError **error);
gboolean vmf_pump_refuse_channel(VmfPump *pump, guint channel, const char *reason, GError **error);

/* Bytes per second of stream that are sent at most, frames included; 0: no bound. At any time. */
void vmf_pump_set_bandwidth(VmfPump *pump, guint64 rate);

/* At any time, at the source: memory for contents in bytes; whether pages are left out or sent as
 * deltas; how hard to pack (VMF_PACK_AUTO, VMF_PACK_OFF, or a level), and the level that AUTO is
 * expected to come to, 0 if nothing is. */
void vmf_pump_set_cache(VmfPump *pump, guint64 size);
void vmf_pump_set_delta(VmfPump *pump, gboolean delta);
void vmf_pump_set_zstd(VmfPump *pump, int level, guint expected);

/* How long a link that broke is waited for, ms, from now on if one is; if that was agreed on. */
void vmf_pump_set_patience(VmfPump *pump, guint patience);

/* error: why, for the other side and the report. */
void vmf_pump_stop(VmfPump *pump, const GError *error);

/* Whether some daemon is connected. */
void vmf_pump_set_attended(VmfPump *pump, gboolean attended);

VmfPumpState vmf_pump_state(const VmfPump *pump);
const char *vmf_pump_state_name(const VmfPump *pump);

/* The migration's: "" before Start; and for log lines, where it is NULL then. */
const char *vmf_pump_id(const VmfPump *pump);
const char *vmf_pump_log_id(const VmfPump *pump);

/* "source", "destination", or "". */
const char *vmf_pump_side(const VmfPump *pump);

/* au: the numbers of the links that broke; a(us), and a{sv} as in the XML; floating. */
GVariant *vmf_pump_lost_links(const VmfPump *pump);
GVariant *vmf_pump_wanted(const VmfPump *pump);
GVariant *vmf_pump_statistics(const VmfPump *pump);
