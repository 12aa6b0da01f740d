/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/frame.h"

#include <string.h>

#include "base/bytes.h"
#include "base/error.h"

/* PROTOCOL.md, "Frames": the table that every header is held against. */
static const struct {
    const char *name;
    gboolean on_channel; /* else on channel 0 */
    uint8_t flags;       /* that may be set */
    uint32_t min, max;   /* payload, bytes */
    gboolean sequence;   /* else zero */
} vmf_frames[] = {
    [VMF_FRAME_HELLO] = {"HELLO", FALSE, 0, VMF_HELLO_SIZE, VMF_FRAME_SMALL_MAX, FALSE},
    [VMF_FRAME_OPEN] = {"OPEN", TRUE, 0, VMF_OPEN_SIZE, 64, FALSE},
    [VMF_FRAME_DATA] = {"DATA", TRUE, VMF_FRAME_FLAG_ACK_NOW | VMF_FRAME_FLAG_PACKED, 1,
                        VMF_FRAME_PAYLOAD_MAX, TRUE},
    [VMF_FRAME_END] = {"END", TRUE, 0, 0, 0, TRUE},
    [VMF_FRAME_RESET] = {"RESET", TRUE, 0, 2, 2 + VMF_FRAME_REASON_MAX, FALSE},
    [VMF_FRAME_ACK] = {"ACK", TRUE, 0, VMF_ACK_SIZE, VMF_ACK_SIZE, TRUE},
    [VMF_FRAME_PING] = {"PING", FALSE, 0, 0, 0, TRUE},
    [VMF_FRAME_PONG] = {"PONG", FALSE, 0, 0, 0, TRUE},
    [VMF_FRAME_BYE] = {"BYE", FALSE, 0, 2, 2 + VMF_FRAME_REASON_MAX, FALSE},
    [VMF_FRAME_RESUME] = {"RESUME", TRUE, 0, VMF_RESUME_SIZE, VMF_RESUME_SIZE, TRUE},
};

/* PROTOCOL.md, "RESET": codes on the wire are not those of VmfError, which may change. */
static const struct {
    uint16_t code;
    VmfError error;
} vmf_reasons[] = {
    {1, VMF_ERROR_FAILED},        {2, VMF_ERROR_PROTOCOL},    {3, VMF_ERROR_PEER_REFUSED},
    {4, VMF_ERROR_CANCELLED},     {5, VMF_ERROR_TIMED_OUT},   {6, VMF_ERROR_LIMIT_REACHED},
    {7, VMF_ERROR_NOT_SUPPORTED}, {8, VMF_ERROR_LINK_BROKEN},
};

static const char *const vmf_kinds[] = {
    [VMF_CHANNEL_QEMU] = "qemu",
    [VMF_CHANNEL_NBD] = "nbd",
    [VMF_CHANNEL_LIBVIRT] = "libvirt",
};

void
vmf_frame_header_encode(const VmfFrameHeader *header, uint8_t out[VMF_FRAME_HEADER_SIZE])
{
    out[0] = (uint8_t)header->type;
    out[1] = header->flags;
    vmf_put_u16(out + 2, header->channel);
    vmf_put_u32(out + 4, header->length);
    vmf_put_u64(out + 8, header->sequence);
}

gboolean
vmf_frame_header_decode(const uint8_t in[VMF_FRAME_HEADER_SIZE], VmfFrameHeader *ret,
                        GError **error)
{
    VmfBytes bytes = VMF_BYTES(in, VMF_FRAME_HEADER_SIZE);
    guint type = vmf_bytes_get_u8(&bytes);
    const char *name, *wrong;

    ret->type = (VmfFrameType)type;
    ret->flags = vmf_bytes_get_u8(&bytes);
    ret->channel = vmf_bytes_get_u16(&bytes);
    ret->length = vmf_bytes_get_u32(&bytes);
    ret->sequence = vmf_bytes_get_u64(&bytes);
    if (type == 0 || type >= G_N_ELEMENTS(vmf_frames)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                    "a frame of unknown type %u; expected 1 to %u", type, VMF_FRAME_RESUME);
        return FALSE;
    }
    name = vmf_frames[type].name;
    wrong = ret->flags & ~vmf_frames[type].flags                        ? "unknown flags"
            : (ret->channel != 0) != vmf_frames[type].on_channel        ? "the wrong channel"
            : ret->channel > VMF_CHANNELS_TOTAL                         ? "too high a channel"
            : ret->length < vmf_frames[type].min                        ? "too short a payload"
            : ret->length > vmf_frames[type].max                        ? "too long a payload"
            : ret->sequence > 0 && !vmf_frames[type].sequence           ? "a sequence"
            : ret->sequence > G_MAXINT64 && vmf_frames[type].on_channel ? "too high a sequence"
                                                                        : NULL;
    if (wrong) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                    "a frame %s with %s (flags 0x%02x, channel %u, length %u, sequence "
                    "%" G_GUINT64_FORMAT "); expected flags 0x%02x at most, %s, length %u to %u",
                    name, wrong, ret->flags, ret->channel, ret->length, ret->sequence,
                    vmf_frames[type].flags,
                    vmf_frames[type].on_channel ? "a channel up to 1024" : "channel 0",
                    vmf_frames[type].min, vmf_frames[type].max);
        return FALSE;
    }
    return TRUE;
}

void
vmf_hello_encode(const VmfHello *hello, uint8_t out[VMF_HELLO_SIZE])
{
    out[0] = (uint8_t)hello->side;
    out[1] = 0;
    vmf_put_u16(out + 2, hello->channels);
    vmf_put_u32(out + 4, hello->credit);
    vmf_put_u64(out + 8, hello->required);
    vmf_put_u64(out + 16, hello->offered);
}

gboolean
vmf_hello_decode(const uint8_t *in, gsize length, VmfHello *ret, GError **error)
{
    VmfBytes bytes = VMF_BYTES(in, length);
    uint8_t zero;

    ret->side = (VmfSide)vmf_bytes_get_u8(&bytes);
    zero = vmf_bytes_get_u8(&bytes);
    ret->channels = vmf_bytes_get_u16(&bytes);
    ret->credit = vmf_bytes_get_u32(&bytes);
    ret->required = vmf_bytes_get_u64(&bytes);
    ret->offered = vmf_bytes_get_u64(&bytes);
    if (bytes.failed || zero != 0 ||
        (ret->side != VMF_SIDE_SOURCE && ret->side != VMF_SIDE_DESTINATION) || ret->channels == 0 ||
        ret->credit < VMF_CREDIT_MIN || ret->required & ~ret->offered) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                    "a HELLO that cannot be meant (side %u, channels %u, credit %u); expected side "
                    "1 or 2, a channel or more, credit of %d or more, and every required feature "
                    "offered",
                    (guint)ret->side, ret->channels, ret->credit, VMF_CREDIT_MIN);
        return FALSE;
    }
    return TRUE;
}

void
vmf_open_encode(VmfChannelKind kind, uint8_t out[VMF_OPEN_SIZE])
{
    memset(out, 0, VMF_OPEN_SIZE);
    out[0] = (uint8_t)kind;
}

gboolean
vmf_open_decode(const uint8_t *in, gsize length, VmfChannelKind *ret, GError **error)
{
    *ret = (VmfChannelKind)in[0];
    if (!vmf_channel_kind_name(*ret) || in[1] || in[2] || in[3]) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                    "an OPEN for a channel of unknown kind %u; expected 1 to 3", in[0]);
        return FALSE;
    }
    return TRUE;
}

void
vmf_ack_encode(const VmfAck *ack, uint8_t out[VMF_ACK_SIZE])
{
    vmf_put_u64(out, ack->credit);
    vmf_put_u64(out + 8, ack->arrived);
}

void
vmf_ack_decode(const uint8_t in[VMF_ACK_SIZE], VmfAck *ret)
{
    VmfBytes bytes = VMF_BYTES(in, VMF_ACK_SIZE);

    ret->credit = vmf_bytes_get_u64(&bytes);
    ret->arrived = vmf_bytes_get_u64(&bytes);
}

void
vmf_resume_encode(const VmfResume *resume, uint8_t out[VMF_RESUME_SIZE])
{
    memset(out, 0, VMF_RESUME_SIZE);
    vmf_put_u64(out, resume->acknowledged);
    vmf_put_u64(out + 8, resume->credit);
    out[16] = resume->end ? 1 : 0;
}

gboolean
vmf_resume_decode(const uint8_t in[VMF_RESUME_SIZE], VmfResume *ret, GError **error)
{
    VmfBytes bytes = VMF_BYTES(in, VMF_RESUME_SIZE);
    uint8_t end, zero = 0;

    ret->acknowledged = vmf_bytes_get_u64(&bytes);
    ret->credit = vmf_bytes_get_u64(&bytes);
    end = vmf_bytes_get_u8(&bytes);
    ret->end = end != 0;
    for (guint i = 17; i < VMF_RESUME_SIZE; i++)
        zero |= in[i];
    if (end <= 1 && zero == 0)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                "a RESUME that cannot be meant; expected 0 or 1 for END, then zeros");
    return FALSE;
}

gsize
vmf_reason_encode(const GError *error, uint8_t out[2 + VMF_FRAME_REASON_MAX])
{
    uint16_t code = error ? 1 : 0;
    const char *end = NULL;
    gsize length;

    vmf_put_u16(out, code);
    if (!error)
        return 2;
    for (guint i = 0; i < G_N_ELEMENTS(vmf_reasons); i++)
        if (g_error_matches(error, VMF_ERROR, vmf_reasons[i].error))
            vmf_put_u16(out, vmf_reasons[i].code);
    /* cut between characters, not inside one */
    (void)g_utf8_validate_len(error->message, MIN(strlen(error->message), VMF_FRAME_REASON_MAX),
                              &end);
    length = (gsize)(end - error->message);
    memcpy(out + 2, error->message, length);
    return 2 + length;
}

GError *
vmf_reason_decode(const uint8_t *in, gsize length)
{
    VmfBytes bytes = VMF_BYTES(in, length);
    uint16_t code = vmf_bytes_get_u16(&bytes);
    VmfError error = VMF_ERROR_FAILED;
    g_autofree char *text = NULL;

    if (code == 0)
        return NULL;
    for (guint i = 0; i < G_N_ELEMENTS(vmf_reasons); i++)
        if (code == vmf_reasons[i].code)
            error = vmf_reasons[i].error;
    text = g_utf8_make_valid((const char *)in + 2, (gssize)length - 2);
    for (char *c = text; *c; c++)
        if (g_ascii_iscntrl(*c))
            *c = ' ';
    return g_error_new_literal(VMF_ERROR, error, *text ? text : "the other side gave no reason");
}

const char *
vmf_channel_kind_name(VmfChannelKind kind)
{
    return (guint)kind < G_N_ELEMENTS(vmf_kinds) ? vmf_kinds[kind] : NULL;
}

VmfChannelKind
vmf_channel_kind_from_name(const char *name)
{
    for (guint i = 1; i < G_N_ELEMENTS(vmf_kinds); i++)
        if (g_strcmp0(name, vmf_kinds[i]) == 0)
            return (VmfChannelKind)i;
    return (VmfChannelKind)0;
}

/* Fills the parser's buffer up to `want` bytes; TRUE when it has them. */
static gboolean
vmf_frame_parser_fill(VmfFrameParser *parser, gsize want, const uint8_t **data, gsize *length)
{
    gsize n = MIN(want - parser->have, *length);

    memcpy(parser->buffer + parser->have, *data, n);
    parser->have += n;
    *data += n;
    *length -= n;
    return parser->have == want;
}

static VmfParse
vmf_frame_parser_piece(VmfFrameParser *parser, const uint8_t **data, gsize *length, VmfFrame *ret)
{
    gsize n = MIN(parser->header.length - parser->taken, *length);

    if (n == 0)
        return VMF_PARSE_MORE;
    ret->header = parser->header;
    ret->header.sequence += parser->taken;
    ret->header.length = (uint32_t)n;
    ret->payload = *data;
    parser->taken += (uint32_t)n;
    *data += n;
    *length -= n;
    if (parser->taken < parser->header.length)
        ret->header.flags &= (uint8_t)~VMF_FRAME_FLAG_ACK_NOW;
    else
        parser->have = parser->taken = 0;
    return VMF_PARSE_FRAME;
}

VmfParse
vmf_frame_parser_next(VmfFrameParser *parser, const uint8_t **data, gsize *length, VmfFrame *ret,
                      GError **error)
{
    if (parser->have < VMF_FRAME_HEADER_SIZE) {
        if (!vmf_frame_parser_fill(parser, VMF_FRAME_HEADER_SIZE, data, length))
            return VMF_PARSE_MORE;
        if (!vmf_frame_header_decode(parser->buffer, &parser->header, error))
            return VMF_PARSE_ERROR;
    }
    if (parser->header.type == VMF_FRAME_DATA)
        return vmf_frame_parser_piece(parser, data, length, ret);
    if (!vmf_frame_parser_fill(parser, VMF_FRAME_HEADER_SIZE + parser->header.length, data, length))
        return VMF_PARSE_MORE;
    ret->header = parser->header;
    ret->payload = parser->buffer + VMF_FRAME_HEADER_SIZE;
    parser->have = 0;
    return VMF_PARSE_FRAME;
}
