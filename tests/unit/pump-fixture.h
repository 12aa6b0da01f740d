/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two pumps with a link between them, in one main loop, and the test as both QEMUs.
 *
 * The QEMU ends are plain sockets: a test writes and reads them itself (they do not block), or has
 * a thread stream bytes through them (they are made to block for that).
 */
#pragma once

#include "cmocka-all.h"

#include "base/error.h"
#include "pump/pump.h"

#define PUMP_CHANNELS_MAX 80

typedef struct PumpPair PumpPair;

typedef struct {
    PumpPair *pair;
    VmfPump *pump;
    guint n_ended_channels, n_clean_channels;
    gboolean ended;
    GError *error; /* why it ended; NULL: cleanly */
    gboolean link_answered;
    GError *link_error;
    guint64 buffered_max;
} PumpSide;

struct PumpPair {
    PumpSide source, destination;
    int link;           /* a duplicate of the link's socket at the source, to break it by */
    gboolean no_answer; /* leave channels unanswered */
    const char *refuse; /* refuse them, with this reason */
    int at_source[PUMP_CHANNELS_MAX];      /* [channel - 1]: where the QEMUs are */
    int at_destination[PUMP_CHANNELS_MAX]; /* -1: not there */
};

/* Started, not linked; with these options of Start (taken), or NULL. */
PumpPair *pump_pair_new(gboolean encrypt);
PumpPair *pump_pair_new_with(gboolean encrypt, GVariant *options);

/* And linked. */
PumpPair *pump_pair_linked(gboolean encrypt);

/* Closes what is still open; the pumps need not have ended. */
void pump_pair_free(PumpPair *pair);

/* Attaches one side's link; the answer is in `side`. The secret is the pumps' if it is NULL. */
void pump_pair_attach(PumpSide *side, int fd, gboolean initiator, guint number,
                      const uint8_t *link_secret);

/* What pump_pair_new() uses; the owner is a PumpSide. */
const VmfPumpEvents *pump_pair_events(void);

/* Makes a link of two sockets; waits for both answers. */
void pump_pair_link(PumpPair *pair);

/* Opens a channel, and waits until the destination has its socket (or will not have it). */
guint pump_pair_open(PumpPair *pair, const char *kind);
guint pump_pair_open_on(PumpPair *pair, const char *kind, guint link);

/* Waits until both pumps have ended. */
void pump_pair_wait_ended(PumpPair *pair);

/* One turn of the loop, at most `ms` long. */
void pump_turn(guint ms);

/* Turns the loop until the condition holds; fails the test after 20 s. */
#define pump_run_until(condition)                                                                  \
    do {                                                                                           \
        gint64 deadline = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;                            \
                                                                                                   \
        while (!(condition)) {                                                                     \
            assert_true(g_get_monotonic_time() < deadline);                                        \
            pump_turn(100);                                                                        \
        }                                                                                          \
    } while (0)

/* Writes all; reads exactly that; for a few bytes that are there or come at once. */
void pump_write(int fd, const char *text);
void pump_expect(int fd, const char *text);

/* The next thing at this end is its end of file, or a broken connection. */
void pump_expect_end(int fd);
void pump_expect_broken(int fd);

/* For `ms` nothing is to be read, not even an end. */
void pump_expect_silence(int fd, guint ms);

/* Streams of bytes that anybody can check: each word follows from the seed and its place. */
typedef struct {
    int fd;
    guint64 bytes, seed;
    gboolean finish; /* writer: half-close in the end; reader: expect the end of file */
    gboolean ok;     /* result */
    gint done;       /* atomic */
    GThread *thread;
} PumpStream;

void pump_stream_write(PumpStream *stream);
void pump_stream_read(PumpStream *stream);

/* Runs the loop until the thread is done; fails if it did not succeed. */
void pump_stream_wait(PumpStream *stream);
