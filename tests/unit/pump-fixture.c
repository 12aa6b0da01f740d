/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pump-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK 65536

static const uint8_t secret[VMF_TICKET_SECRET_SIZE] = "a secret of thirty-two bytes ...";

static void
on_changed(gpointer owner)
{
}

static void
on_wanted(gpointer owner, guint channel, VmfChannelKind kind)
{
    PumpSide *side = owner;
    PumpPair *pair = side->pair;
    int fds[2];

    if (pair->no_answer)
        return;
    if (pair->refuse) {
        assert_true(vmf_pump_refuse_channel(side->pump, channel, pair->refuse, NULL));
        return;
    }
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_true(vmf_pump_answer_channel(side->pump, channel, fds[0], NULL));
    pair->at_destination[channel - 1] = fds[1];
}

static void
on_channel_ended(gpointer owner, guint channel, gboolean clean)
{
    PumpSide *side = owner;

    side->n_ended_channels++;
    side->n_clean_channels += clean ? 1 : 0;
}

static void
on_figures(gpointer owner)
{
    PumpSide *side = owner;
    g_autoptr(GVariant) figures = g_variant_ref_sink(vmf_pump_statistics(side->pump));
    guint64 buffered = 0;

    assert_true(g_variant_lookup(figures, "buffered", "t", &buffered));
    side->buffered_max = MAX(side->buffered_max, buffered);
}

static void
on_ended(gpointer owner, const GError *error)
{
    PumpSide *side = owner;

    assert_false(side->ended);
    side->ended = TRUE;
    side->error = error ? g_error_copy(error) : NULL;
}

static const VmfPumpEvents events = {on_changed, on_wanted, on_channel_ended, on_figures, on_ended};

static void
on_linked(gpointer data, const GError *error)
{
    PumpSide *side = data;

    assert_false(side->link_answered);
    side->link_answered = TRUE;
    side->link_error = error ? g_error_copy(error) : NULL;
}

const VmfPumpEvents *
pump_pair_events(void)
{
    return &events;
}

void
pump_pair_attach(PumpSide *side, int fd, gboolean initiator, guint number,
                 const uint8_t *link_secret)
{
    const VmfPumpAttach attach = {
        .fd = fd, .initiator = initiator, .number = number, .secret = link_secret};

    side->link_answered = FALSE;
    vmf_pump_attach_link(side->pump, &attach, on_linked, side);
}

PumpPair *
pump_pair_new(gboolean encrypt)
{
    return pump_pair_new_with(encrypt, NULL);
}

PumpPair *
pump_pair_new_with(gboolean encrypt, GVariant *options)
{
    g_autoptr(GVariant) taken = options ? g_variant_ref_sink(options) : NULL;
    PumpPair *pair = g_new0(PumpPair, 1);
    PumpSide *sides[] = {&pair->source, &pair->destination};

    pair->link = -1;
    for (guint i = 0; i < PUMP_CHANNELS_MAX; i++)
        pair->at_source[i] = pair->at_destination[i] = -1;
    for (guint i = 0; i < 2; i++) {
        sides[i]->pair = pair;
        sides[i]->pump = vmf_pump_new(&events, sides[i]);
        vmf_pump_set_attended(sides[i]->pump, TRUE);
        assert_true(vmf_pump_start(sides[i]->pump, "test", i == 0 ? "source" : "destination",
                                   secret, sizeof secret, encrypt, taken, NULL));
    }
    return pair;
}

void
pump_pair_link(PumpPair *pair)
{
    PumpSide *sides[] = {&pair->source, &pair->destination};
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    pair->link = dup(fds[0]);
    for (guint i = 0; i < 2; i++)
        pump_pair_attach(sides[i], fds[i], i == 0, 0, NULL);
    pump_run_until(pair->source.link_answered && pair->destination.link_answered);
}

PumpPair *
pump_pair_linked(gboolean encrypt)
{
    PumpPair *pair = pump_pair_new(encrypt);

    pump_pair_link(pair);
    assert_null(pair->source.link_error);
    assert_null(pair->destination.link_error);
    return pair;
}

void
pump_pair_free(PumpPair *pair)
{
    PumpSide *sides[] = {&pair->source, &pair->destination};

    for (guint i = 0; i < PUMP_CHANNELS_MAX; i++) {
        if (pair->at_source[i] >= 0)
            close(pair->at_source[i]);
        if (pair->at_destination[i] >= 0)
            close(pair->at_destination[i]);
    }
    if (pair->link >= 0)
        close(pair->link);
    for (guint i = 0; i < 2; i++) {
        vmf_pump_free(sides[i]->pump);
        g_clear_error(&sides[i]->error);
        g_clear_error(&sides[i]->link_error);
    }
    g_free(pair);
}

guint
pump_pair_open(PumpPair *pair, const char *kind)
{
    return pump_pair_open_on(pair, kind, 0);
}

guint
pump_pair_open_on(PumpPair *pair, const char *kind, guint link)
{
    int fds[2];
    guint channel;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    channel = vmf_pump_attach_channel(pair->source.pump, kind, link, fds[0], NULL);
    assert_int_not_equal(channel, 0);
    pair->at_source[channel - 1] = fds[1];
    if (!pair->no_answer && !pair->refuse)
        pump_run_until(pair->at_destination[channel - 1] >= 0);
    return channel;
}

void
pump_pair_wait_ended(PumpPair *pair)
{
    pump_run_until(pair->source.ended && pair->destination.ended);
}

static gboolean
on_turn_over(gpointer data)
{
    *(gboolean *)data = TRUE;
    return G_SOURCE_REMOVE;
}

void
pump_turn(guint ms)
{
    gboolean over = FALSE;
    guint timer = g_timeout_add(ms, on_turn_over, &over);

    g_main_context_iteration(NULL, TRUE);
    if (!over)
        g_source_remove(timer);
}

void
pump_write(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

void
pump_expect(int fd, const char *text)
{
    gsize length = strlen(text), have = 0;
    g_autofree char *buffer = g_malloc0(length + 1);

    while (have < length) {
        ssize_t n;

        pump_run_until((n = recv(fd, buffer + have, length - have, MSG_DONTWAIT)) >= 0 ||
                       errno != EAGAIN);
        assert_true(n > 0);
        have += (gsize)n;
    }
    assert_string_equal(buffer, text);
}

static int
next_thing(int fd)
{
    char byte;
    ssize_t n;

    pump_run_until((n = recv(fd, &byte, 1, MSG_DONTWAIT)) >= 0 || errno != EAGAIN);
    assert_true(n <= 0);
    return n == 0 ? 0 : errno;
}

void
pump_expect_end(int fd)
{
    assert_int_equal(next_thing(fd), 0);
}

void
pump_expect_broken(int fd)
{
    int error = next_thing(fd);

    assert_true(error == 0 || error == ECONNRESET);
    /* closed, not half-closed */
    pump_run_until(send(fd, "x", 1, MSG_NOSIGNAL) < 0);
    assert_true(errno == EPIPE || errno == ECONNRESET);
}

void
pump_expect_silence(int fd, guint ms)
{
    gint64 end = g_get_monotonic_time() + ms * 1000;
    char byte;

    while (g_get_monotonic_time() < end) {
        pump_turn(10);
        assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
        assert_int_equal(errno, EAGAIN);
    }
}

/* A word of the stream: quick to make, and different everywhere. */
static guint64
stream_word(guint64 seed, guint64 index)
{
    guint64 x = (seed + index) * G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);

    return x ^ x >> 29;
}

static void
stream_fill(guint64 *words, guint64 seed, guint64 offset)
{
    for (gsize i = 0; i < BLOCK / 8; i++)
        words[i] = stream_word(seed, offset / 8 + i);
}

static void
stream_block(int fd)
{
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
}

static gpointer
stream_writer(gpointer data)
{
    PumpStream *stream = data;
    g_autofree guint64 *words = g_malloc(BLOCK);

    stream->ok = TRUE;
    for (guint64 offset = 0; offset < stream->bytes && stream->ok; offset += BLOCK) {
        gsize length = MIN(BLOCK, stream->bytes - offset);

        stream_fill(words, stream->seed, offset);
        for (gsize done = 0; done < length && stream->ok;) {
            ssize_t n = send(stream->fd, (char *)words + done, length - done, MSG_NOSIGNAL);

            stream->ok = n > 0;
            done += n > 0 ? (gsize)n : 0;
        }
    }
    if (stream->finish)
        stream->ok = stream->ok && shutdown(stream->fd, SHUT_WR) == 0;
    g_atomic_int_set(&stream->done, 1);
    g_main_context_wakeup(NULL);
    return NULL;
}

static gpointer
stream_reader(gpointer data)
{
    PumpStream *stream = data;
    g_autofree guint64 *expected = g_malloc(BLOCK);
    g_autofree char *buffer = g_malloc(BLOCK);
    char byte;

    stream->ok = TRUE;
    for (guint64 offset = 0; offset < stream->bytes && stream->ok; offset += BLOCK) {
        gsize length = MIN(BLOCK, stream->bytes - offset);

        stream_fill(expected, stream->seed, offset);
        stream->ok = recv(stream->fd, buffer, length, MSG_WAITALL) == (ssize_t)length &&
                     memcmp(buffer, expected, length) == 0;
    }
    if (stream->finish)
        stream->ok = stream->ok && recv(stream->fd, &byte, 1, 0) == 0;
    g_atomic_int_set(&stream->done, 1);
    g_main_context_wakeup(NULL);
    return NULL;
}

void
pump_stream_write(PumpStream *stream)
{
    stream_block(stream->fd);
    stream->thread = g_thread_new("writer", stream_writer, stream);
}

void
pump_stream_read(PumpStream *stream)
{
    stream_block(stream->fd);
    stream->thread = g_thread_new("reader", stream_reader, stream);
}

void
pump_stream_wait(PumpStream *stream)
{
    gint64 deadline = g_get_monotonic_time() + 500 * G_USEC_PER_SEC; /* valgrind is slow */

    while (!g_atomic_int_get(&stream->done)) {
        assert_true(g_get_monotonic_time() < deadline);
        pump_turn(100);
    }
    g_thread_join(stream->thread);
    assert_true(stream->ok);
}
