/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Both sides of a link that is cut again and again. The input says who sends how much on which
 * channel, how many bytes get over before the next cut, and when an end is reached. Whatever it
 * says, neither side refuses the other, each gets what the other one sent, in order and once, and
 * in the end all is acknowledged.
 */
#include "fuzz.h"

#include "base/bytes.h"
#include "link/mux-private.h"
#include "memory-wire.h"

#define CHANNELS 4

typedef struct Side {
    struct Side *other;
    VmfMux *mux;
    VmfChunkPool *pool;
    VmfPace pace;
    gsize came[CHANNELS + 1]; /* bytes that came and wait to be delivered */
    gboolean ended[CHANNELS + 1];
    gboolean lost, said_bye;
} Side;

typedef struct {
    Side sides[2]; /* source, destination */
    VmfBytes in;
} Run;

/* What stands at an offset of a channel, one way. */
static uint8_t
pattern(const Side *sender, guint channel, guint64 offset)
{
    return (uint8_t)(offset * 31 + (offset >> 8) * 7 + channel * 5 + (guint)sender->mux->side);
}

/* ---- owners ---- */

static void
on_nothing(gpointer owner)
{
}

static gboolean
on_opened(gpointer owner, guint channel, VmfChannelKind kind, GError **error)
{
    g_assert_cmpuint(channel, <=, CHANNELS);
    return TRUE;
}

static void
on_data(gpointer owner, guint channel, const VmfSlice *bytes, gboolean packed)
{
    Side *side = owner;
    guint64 at = vmf_mux_channel(side->mux, channel)->received - bytes->length;

    g_assert_false(side->ended[channel]);
    for (gsize i = 0; i < bytes->length; i++)
        g_assert_cmpuint(bytes->data[i], ==, pattern(side->other, channel, at + i));
    side->came[channel] += bytes->length;
}

static void
on_end(gpointer owner, guint channel)
{
    Side *side = owner;

    g_assert_false(side->ended[channel]);
    side->ended[channel] = TRUE;
}

static void
on_end_acknowledged(gpointer owner, guint channel)
{
}

static void
on_reset(gpointer owner, guint channel, const GError *error)
{
    g_error("a RESET: %s", error->message);
}

static void
on_broken(gpointer owner, const GError *error)
{
    g_error("refused: %s", error->message);
}

static void
on_lost(gpointer owner, const GError *error)
{
    ((Side *)owner)->lost = TRUE;
}

static void
on_bye(gpointer owner, const GError *error)
{
    g_assert_no_error(error);
    ((Side *)owner)->said_bye = TRUE;
}

static const VmfMuxEvents events = {.ready = on_nothing,
                                    .opened = on_opened,
                                    .data = on_data,
                                    .end = on_end,
                                    .end_acknowledged = on_end_acknowledged,
                                    .reset = on_reset,
                                    .room = on_nothing,
                                    .bye = on_bye,
                                    .broken = on_broken,
                                    .lost = on_lost,
                                    .closed = on_nothing};

/* ---- what happens ---- */

static void
on_taken(gpointer data, const uint8_t *bytes, gsize length)
{
    g_byte_array_append(data, bytes, (guint)length);
}

/* Bytes that got over. */
static gsize
carry(Side *from, gsize most)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();

    memory_wire_take(from->mux->wire, most, on_taken, bytes);
    if (bytes->len > 0)
        memory_wire_receive(from->other->mux->wire, from->pool, bytes->data, bytes->len);
    return bytes->len;
}

static void
connect_both(Run *run)
{
    for (guint i = 0; i < 2; i++) {
        g_assert_true(vmf_mux_attach(run->sides[i].mux, &(VmfWireSetup){.fd = -1}, NULL));
        memory_wire_secure(run->sides[i].mux->wire);
    }
}

static gboolean
is_up(const Run *run)
{
    return vmf_mux_is_ready(run->sides[0].mux) && vmf_mux_is_ready(run->sides[1].mux);
}

/* Either both learn of it, or one is brought the new connection before. */
static void
cut(Run *run, guint who)
{
    for (guint i = 0; i < 2; i++)
        if (vmf_mux_can_resume(run->sides[i].mux) && who & (1u << i))
            memory_wire_break(run->sides[i].mux->wire);
    connect_both(run);
}

static void
send_some(Side *side, guint id, gsize length)
{
    gsize n = MIN(length, vmf_mux_room(side->mux, id));
    guint64 at;
    VmfChunk *chunk;

    if (n == 0)
        return;
    at = vmf_mux_channel(side->mux, id)->sent;
    chunk = vmf_chunk_new(side->pool, VMF_CHUNK_HEADROOM + n);
    for (gsize i = 0; i < n; i++)
        chunk->data[VMF_CHUNK_HEADROOM + i] = pattern(side, id, at + i);
    vmf_mux_send(side->mux, id, (VmfSlice){chunk, chunk->data + VMF_CHUNK_HEADROOM, n}, FALSE);
}

static void
end(Side *side, guint id)
{
    VmfMuxChannel *channel = vmf_mux_channel(side->mux, id);

    if (channel && !channel->end_sent)
        vmf_mux_end(side->mux, id);
}

static void
deliver(Side *side, guint id, gsize most)
{
    VmfMuxChannel *channel = vmf_mux_channel(side->mux, id);
    gsize n = MIN(most, side->came[id]);

    side->came[id] -= n;
    if (n > 0)
        vmf_mux_delivered(side->mux, id, n);
    else if (side->ended[id] && !channel->end_delivered)
        vmf_mux_end_delivered(side->mux, id);
}

static void
step(Run *run)
{
    uint8_t what = vmf_bytes_get_u8(&run->in);
    gsize amount = vmf_bytes_get_u16(&run->in);
    Side *side = &run->sides[what & 1];
    guint id = 1 + (what >> 1) % CHANNELS;

    switch (what >> 4) {
    case 0:
        cut(run, 1 + (what & 3));
        break;
    case 1:
        end(side, id);
        break;
    case 2:
        vmf_mux_ack_waiting(side->mux);
        break;
    case 3:
    case 4:
    case 5:
        send_some(side, id, amount);
        break;
    case 6:
    case 7:
    case 8:
        deliver(side, id, amount);
        break;
    default:
        carry(side, 1 + amount * (what >> 6));
    }
}

/* ---- the end ---- */

static gboolean
all_over(const Run *run)
{
    return run->sides[0].mux->n_open == 0 && run->sides[1].mux->n_open == 0;
}

/* All gets over, is delivered, ended and acknowledged, and then both say BYE. */
static void
finish(Run *run)
{
    for (guint rounds = 0; !all_over(run); rounds++) {
        g_assert_cmpuint(rounds, <, 1000);
        for (guint i = 0; i < 2; i++) {
            Side *side = &run->sides[i];

            while (carry(side, G_MAXSIZE / 2) > 0)
                ;
            for (guint id = 1; is_up(run) && id <= CHANNELS; id++) {
                end(side, id);
                if (vmf_mux_channel(side->mux, id))
                    deliver(side, id, G_MAXSIZE / 2);
            }
            vmf_mux_ack_waiting(side->mux);
        }
    }
    vmf_mux_bye(run->sides[0].mux, NULL);
    carry(&run->sides[0], G_MAXSIZE / 2);
    g_assert_true(run->sides[1].said_bye);
}

static void
side_init(Run *run, guint i, VmfChunkPool *pool)
{
    Side *side = &run->sides[i];
    const VmfMuxSetup setup = {.side = i == 0 ? VMF_SIDE_SOURCE : VMF_SIDE_DESTINATION,
                               .pool = pool,
                               .pace = &side->pace,
                               .resumable = TRUE};

    side->other = &run->sides[1 - i];
    side->pool = pool;
    side->mux = vmf_mux_new(&setup, &events, side);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    g_autoptr(VmfChunkPool) pool = vmf_chunk_pool_new();
    Run run = {.in = VMF_BYTES(data, length)};

    side_init(&run, 0, pool);
    side_init(&run, 1, pool);
    connect_both(&run);
    carry(&run.sides[0], G_MAXSIZE / 2);
    carry(&run.sides[1], G_MAXSIZE / 2);
    g_assert_true(is_up(&run));
    for (guint id = 1; id <= CHANNELS; id++)
        g_assert_true(vmf_mux_open(run.sides[0].mux, id, VMF_CHANNEL_QEMU, NULL));
    while (!run.in.failed && run.in.position < run.in.length)
        step(&run);
    finish(&run);
    for (guint i = 0; i < 2; i++)
        vmf_mux_free(run.sides[i].mux);
    g_assert_cmpuint(vmf_chunk_pool_held(pool), ==, 0);
    return 0;
}
