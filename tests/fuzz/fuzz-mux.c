/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames of another host's pump against one side's channels. The first byte chooses the side and
 * what was agreed on; then come operations: a frame put together from the input, bytes as they
 * are, something that our own end does, another connection. What comes is taken or refused, nothing
 * after a refusal counts, and the bounds hold after every step: credit, what is kept for sending
 * again, and answers that the other side does not take.
 */
#include "fuzz.h"

#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "link/mux-private.h"
#include "memory-wire.h"

#define PAYLOAD_MAX 64           /* bytes of a frame that are given: zeros follow */
#define KEPT_MAX (1024 * 1024)   /* bytes, small enough to be reached */
#define ANSWERS_MAX (192 * 1024) /* bytes: 64 KiB, and a HELLO with 1024 RESUMEs */

typedef struct {
    VmfMux *mux;
    VmfChunkPool *pool;
    VmfPace pace;
    VmfBytes in;
    VmfFrameParser sent; /* what the side itself says must be right */
    gboolean over;       /* refused, or its last was said */
} Run;

/* ---- the owner ---- */

static void
on_nothing(gpointer owner)
{
}

static gboolean
on_opened(gpointer owner, guint channel, VmfChannelKind kind, GError **error)
{
    Run *run = owner;

    g_assert_false(run->over);
    return kind != VMF_CHANNEL_LIBVIRT ||
           (g_set_error_literal(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "no libvirt"), FALSE);
}

static void
on_data(gpointer owner, guint channel, const VmfSlice *bytes, gboolean packed)
{
    Run *run = owner;
    const VmfMuxChannel *it = vmf_mux_channel(run->mux, channel);

    g_assert_false(run->over);
    g_assert_false(it->end_received);
    g_assert_true(bytes->length > 0 && bytes->length <= VMF_FRAME_PAYLOAD_MAX);
    g_assert_true(!packed || run->mux->packed_allowed);
}

static void
on_end(gpointer owner, guint channel)
{
    g_assert_false(((Run *)owner)->over);
}

static void
on_reset(gpointer owner, guint channel, const GError *error)
{
    g_assert_nonnull(error);
}

static void
on_error(gpointer owner, const GError *error)
{
    ((Run *)owner)->over = TRUE;
}

static const VmfMuxEvents events = {.ready = on_nothing,
                                    .opened = on_opened,
                                    .data = on_data,
                                    .end = on_end,
                                    .end_acknowledged = on_end,
                                    .reset = on_reset,
                                    .room = on_nothing,
                                    .bye = on_error,
                                    .broken = on_error,
                                    .lost = on_error,
                                    .closed = on_nothing};

/* ---- what happens ---- */

/* It says HELLO over a connection of its own. */
static void
connect_anew(Run *run)
{
    g_assert_true(vmf_mux_attach(run->mux, &(VmfWireSetup){.fd = -1}, NULL));
    memset(&run->sent, 0, sizeof run->sent);
    run->over = FALSE;
    memory_wire_secure(run->mux->wire);
}

static void
on_taken(gpointer data, const uint8_t *bytes, gsize length)
{
    Run *run = data;
    g_autoptr(GError) error = NULL;
    VmfFrame frame;
    VmfParse parse;

    while ((parse = vmf_frame_parser_next(&run->sent, &bytes, &length, &frame, &error)) ==
           VMF_PARSE_FRAME)
        ;
    g_assert_no_error(error);
}

static void
receive(Run *run, const uint8_t *bytes, gsize length)
{
    if (run->mux->wire && length > 0)
        memory_wire_receive(run->mux->wire, run->pool, bytes, length);
}

/*
 * u8 type, u8 flags, u8 channel, u8 what is made right, u16 length, u32 sequence, and as much of
 * the payload as there is.
 */
static void
receive_frame(Run *run)
{
    uint8_t type = vmf_bytes_get_u8(&run->in);
    uint8_t flags = vmf_bytes_get_u8(&run->in);
    uint8_t id = vmf_bytes_get_u8(&run->in);
    uint8_t right = vmf_bytes_get_u8(&run->in);
    VmfFrameHeader header = {.type = (VmfFrameType)(type % 12),
                             .flags = flags,
                             .channel = id,
                             .length = vmf_bytes_get_u16(&run->in),
                             .sequence = vmf_bytes_get_u32(&run->in)};
    const VmfMuxChannel *channel = vmf_mux_channel(run->mux, id);
    gsize size = VMF_FRAME_HEADER_SIZE + header.length;
    g_autofree uint8_t *frame = g_malloc0(size);
    gsize given = MIN(MIN(header.length, PAYLOAD_MAX), run->in.length - run->in.position);

    if (run->in.failed)
        return;
    if (right & 1 && channel) /* it continues what came */
        header.sequence = channel->received;
    if (right & 2 && channel) /* it acknowledges what went */
        header.sequence = channel->sent;
    vmf_frame_header_encode(&header, frame);
    if (given > 0)
        memcpy(frame + VMF_FRAME_HEADER_SIZE, vmf_bytes_get_data(&run->in, given), given);
    receive(run, frame, size);
}

static void
receive_bytes(Run *run)
{
    gsize n = vmf_bytes_get_u8(&run->in);

    n = MIN(n, run->in.length - run->in.position);
    if (n > 0)
        receive(run, vmf_bytes_get_data(&run->in, n), n);
}

static void
send_some(Run *run, guint id, gsize length)
{
    gsize n = MIN(length + 1, vmf_mux_room(run->mux, id));
    VmfChunk *chunk;

    if (n == 0)
        return;
    chunk = vmf_chunk_new(run->pool, VMF_CHUNK_HEADROOM + n);
    memset(chunk->data, 0, VMF_CHUNK_HEADROOM + n);
    vmf_mux_send(run->mux, id, (VmfSlice){chunk, chunk->data + VMF_CHUNK_HEADROOM, n}, FALSE);
}

static void
deliver(Run *run, VmfMuxChannel *channel, gsize length)
{
    gsize n = MIN(length, channel->received - channel->delivered);

    if (n > 0)
        vmf_mux_delivered(run->mux, channel->id, n);
    else if (channel->end_received && !channel->end_delivered)
        vmf_mux_end_delivered(run->mux, channel->id);
}

/* u8 what, u8 channel, u16 how much. */
static void
act(Run *run)
{
    uint8_t what = vmf_bytes_get_u8(&run->in);
    guint id = vmf_bytes_get_u8(&run->in);
    gsize length = vmf_bytes_get_u16(&run->in);
    VmfMuxChannel *channel = vmf_mux_channel(run->mux, id);
    g_autoptr(GError) reason = g_error_new_literal(VMF_ERROR, VMF_ERROR_FAILED, "no more");

    if (what % 8 == 0 && run->mux->side == VMF_SIDE_SOURCE && id > run->mux->channels->len)
        vmf_mux_open(run->mux, id, VMF_CHANNEL_QEMU, NULL);
    else if (what % 8 == 1)
        send_some(run, id, length * 4);
    else if (what % 8 == 2 && channel && !channel->over)
        deliver(run, channel, length * 4);
    else if (what % 8 == 3 && channel && !channel->end_sent)
        vmf_mux_end(run->mux, id);
    else if (what % 8 == 4)
        vmf_mux_reset(run->mux, id, reason);
    else if (what % 8 == 5)
        vmf_mux_ack_waiting(run->mux);
    else if (what % 8 == 6 && run->mux->wire)
        memory_wire_take(run->mux->wire, length * 16, on_taken, run);
    else if (what % 8 == 7)
        vmf_mux_bye(run->mux, length % 2 ? reason : NULL);
}

/* ---- what always holds ---- */

static void
check_bounds(const Run *run)
{
    const VmfMux *mux = run->mux;
    guint64 kept = 0, outstanding = 0;
    guint open = 0;

    for (guint id = 1; id <= mux->channels->len; id++) {
        const VmfMuxChannel *channel = vmf_mux_channel(mux, id);

        if (!channel)
            continue;
        g_assert_cmpuint(channel->kept_from, <=, channel->sent);
        kept += channel->sent - channel->kept_from;
        if (channel->over)
            continue;
        open++;
        outstanding += channel->granted - channel->delivered;
        g_assert_cmpuint(channel->delivered, <=, channel->received);
        g_assert_cmpuint(channel->received, <=, channel->granted);
        g_assert_cmpuint(channel->acknowledged, <=, channel->sent);
        g_assert_cmpuint(channel->sent, <=, channel->credit);
    }
    g_assert_cmpuint(kept, ==, mux->kept);
    g_assert_cmpuint(kept, <=, KEPT_MAX + VMF_FRAME_PAYLOAD_MAX);
    g_assert_cmpuint(outstanding, ==, mux->outstanding);
    g_assert_cmpuint(open, ==, mux->n_open);
    g_assert_cmpuint(open, <=, VMF_CHANNELS_OPEN);
    if (mux->wire)
        g_assert_cmpuint(vmf_wire_waiting_urgent(mux->wire), <=, ANSWERS_MAX);
}

static void
step(Run *run)
{
    uint8_t what = vmf_bytes_get_u8(&run->in) % 8;

    if (what < 4)
        receive_frame(run);
    else if (what == 4)
        receive_bytes(run);
    else if (what < 7)
        act(run);
    else if (vmf_mux_can_resume(run->mux))
        connect_anew(run);
    check_bounds(run);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    Run run = {.pool = vmf_chunk_pool_new(), .in = VMF_BYTES(data, length)};
    uint8_t first = vmf_bytes_get_u8(&run.in);
    const VmfMuxSetup setup = {
        .side = first & 1 ? VMF_SIDE_SOURCE : VMF_SIDE_DESTINATION,
        .pool = run.pool,
        .pace = &run.pace,
        .kept_max = KEPT_MAX,
        .resumable = (first & 2) != 0,
    };

    run.mux = vmf_mux_new(&setup, &events, &run);
    if (first & 4)
        vmf_mux_allow_packed(run.mux);
    connect_anew(&run);
    while (!run.in.failed && run.in.position < run.in.length)
        step(&run);
    vmf_mux_free(run.mux);
    g_assert_cmpuint(vmf_chunk_pool_held(run.pool), ==, 0);
    vmf_chunk_pool_free(run.pool);
    return 0;
}
