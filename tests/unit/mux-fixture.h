/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One side's channels against a peer that is played frame by frame, in one main loop. What the mux
 * tells its owner, and what the peer heard, is in the fixture.
 */
#pragma once

#include "cmocka-all.h"

#include "base/error.h"
#include "link/mux.h"

typedef struct {
    VmfChunkPool *pool;
    VmfPace pace;
    VmfMux *mux; /* what is tested */

    /* what it said to its owner */
    gboolean ready, closed, lost;
    guint opened, last_opened;
    guint64 bytes;
    gboolean ended, end_acknowledged;
    gboolean deliver; /* at once what comes */
    GError *reset, *broken;
    gboolean bye_came;
    GError *bye;

    /* the peer */
    VmfWire *peer;
    int peer_fd, raw; /* its socket; a copy of it, to write to and not to read */
    gboolean peer_secured, peer_cut;
    VmfFrameParser parser;
    guint counts[VMF_FRAME_RESUME + 1];
    VmfFrameHeader last[VMF_FRAME_RESUME + 1];
    VmfAck ack;
    guint64 peer_bytes;
    guint peer_opened; /* the last channel that the mux opened */
    GError *said;      /* the reason of a RESET or BYE */
    gboolean answer;   /* BYE with BYE */
} MuxFixture;

/* A link on which both have proved the secret, but not said HELLO. */
MuxFixture *mux_fixture_new(VmfSide side);

/* A destination that is ready, with channel 1 open; likewise a source. */
MuxFixture *mux_destination_new(void);
MuxFixture *mux_destination_new_keeping(gsize kept); /* VmfMuxSetup.kept_max */
MuxFixture *mux_source_new(void);

/* Likewise either, and resuming was agreed on. */
MuxFixture *mux_fixture_new_resumable(VmfSide side);

/* The link breaks, and there is a new connection; the mux has said HELLO over it. */
void mux_cut(MuxFixture *f);
void mux_connect(MuxFixture *f);

/* Nothing of the stream may be held any more. */
void mux_fixture_free(MuxFixture *f);

/* What the peer says. The payload is zeros after `payload`. */
void mux_say(MuxFixture *f, VmfFrameHeader header, const void *payload, gsize length);
void mux_say_reason(MuxFixture *f, VmfFrameType type, guint channel, uint16_t code,
                    const char *why);
void mux_say_hello(MuxFixture *f, VmfSide side, guint64 required);
void mux_say_hello_again(MuxFixture *f, VmfSide side, guint resumes);
void mux_say_resume(MuxFixture *f, guint channel, guint64 offset, const VmfResume *resume);
void mux_say_open(MuxFixture *f, guint channel);
void mux_say_data(MuxFixture *f, guint channel, guint64 offset, guint length, uint8_t flags);
void mux_say_end(MuxFixture *f, guint channel, guint64 offset);
void mux_say_ack(MuxFixture *f, guint channel, guint64 offset, guint64 credit, guint64 arrived);

/* What the owner of a source sends on channel 1. */
void mux_source_sends(MuxFixture *f, gsize length);

/* The mux has given the link up, told the peer why, and hung up. Frees the fixture. */
void mux_assert_refused(MuxFixture *f, VmfError code, const char *why);

/* Turns the loop until the condition holds; fails the test after 10 s. */
gboolean mux_on_late(gpointer data);

#define mux_run_until(condition)                                                                   \
    do {                                                                                           \
        gboolean late = FALSE;                                                                     \
        guint timer = g_timeout_add_seconds(60, mux_on_late, &late);                               \
                                                                                                   \
        while (!(condition) && !late)                                                              \
            g_main_context_iteration(NULL, TRUE);                                                  \
        assert_false(late);                                                                        \
        g_source_remove(timer);                                                                    \
    } while (0)
