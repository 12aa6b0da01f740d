/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The frames of a data link: encoding, and a parser that takes bytes as they come.
 * Format: PROTOCOL.md, "Frames".
 *
 * Everything here judges a frame by itself: type, flags, channel and length against the tables.
 * Whether it fits the state of its channel is judged in mux.c.
 *
 * Errors: VMF_ERROR_PROTOCOL with what was expected; after an error a parser must not be used.
 * Threads: pure functions; a parser belongs to one thread.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

#define VMF_FRAME_HEADER_SIZE 16
#define VMF_FRAME_PAYLOAD_MAX (256 * 1024) /* of DATA */
#define VMF_FRAME_SMALL_MAX 1024           /* of all others */
#define VMF_FRAME_REASON_MAX 510
#define VMF_CHANNELS_TOTAL 1024 /* over the life of a link */
#define VMF_CREDIT_MIN (64 * 1024)

typedef enum {
    VMF_FRAME_HELLO = 1,
    VMF_FRAME_OPEN,
    VMF_FRAME_DATA,
    VMF_FRAME_END,
    VMF_FRAME_RESET,
    VMF_FRAME_ACK,
    VMF_FRAME_PING,
    VMF_FRAME_PONG,
    VMF_FRAME_BYE,
    VMF_FRAME_RESUME,
} VmfFrameType;

#define VMF_FRAME_FLAG_ACK_NOW 0x01 /* of DATA */
#define VMF_FRAME_FLAG_PACKED 0x02  /* of DATA */

typedef enum {
    VMF_SIDE_SOURCE = 1,
    VMF_SIDE_DESTINATION = 2,
} VmfSide;

typedef enum {
    VMF_CHANNEL_QEMU = 1,
    VMF_CHANNEL_NBD = 2,
    VMF_CHANNEL_LIBVIRT = 3,
} VmfChannelKind;

typedef struct {
    VmfFrameType type;
    uint8_t flags;
    uint16_t channel;
    uint32_t length;
    uint64_t sequence;
} VmfFrameHeader;

void vmf_frame_header_encode(const VmfFrameHeader *header, uint8_t out[VMF_FRAME_HEADER_SIZE]);
gboolean vmf_frame_header_decode(const uint8_t in[VMF_FRAME_HEADER_SIZE], VmfFrameHeader *ret,
                                 GError **error);

/* Payloads. Each encoder returns the length; each decoder gets a length that the header allows. */
typedef struct {
    VmfSide side;
    uint16_t channels; /* that can be open at once */
    uint32_t credit;   /* initial, bytes */
    uint64_t required;
    uint64_t offered;
} VmfHello;

#define VMF_HELLO_SIZE 24
#define VMF_HELLO_RESUME_SIZE 28 /* where links are resumed */
#define VMF_OPEN_SIZE 4
#define VMF_ACK_SIZE 16
#define VMF_RESUME_SIZE 24

typedef struct {
    uint64_t credit;
    uint64_t arrived;
} VmfAck;

/* Where a channel stands, when a link goes on over a new connection. */
typedef struct {
    uint64_t acknowledged; /* as in ACK */
    uint64_t credit;
    gboolean end; /* END has come, too */
} VmfResume;

void vmf_hello_encode(const VmfHello *hello, uint8_t out[VMF_HELLO_SIZE]);
gboolean vmf_hello_decode(const uint8_t *in, gsize length, VmfHello *ret, GError **error);

void vmf_open_encode(VmfChannelKind kind, uint8_t out[VMF_OPEN_SIZE]);
gboolean vmf_open_decode(const uint8_t *in, gsize length, VmfChannelKind *ret, GError **error);

void vmf_ack_encode(const VmfAck *ack, uint8_t out[VMF_ACK_SIZE]);
void vmf_ack_decode(const uint8_t in[VMF_ACK_SIZE], VmfAck *ret);

void vmf_resume_encode(const VmfResume *resume, uint8_t out[VMF_RESUME_SIZE]);
gboolean vmf_resume_decode(const uint8_t in[VMF_RESUME_SIZE], VmfResume *ret, GError **error);

/*
 * RESET and BYE carry an error: code and message, cut at VMF_FRAME_REASON_MAX bytes. NULL is code
 * 0, "all is delivered". Decoding gives NULL for code 0, else a VMF_ERROR; the message is valid
 * UTF-8.
 */
gsize vmf_reason_encode(const GError *error, uint8_t out[2 + VMF_FRAME_REASON_MAX]);
GError *vmf_reason_decode(const uint8_t *in, gsize length);

const char *vmf_channel_kind_name(VmfChannelKind kind);

/* 0 for a name that is none. */
VmfChannelKind vmf_channel_kind_from_name(const char *name);

/*
 * What the parser gives: a frame with its whole payload; but DATA in pieces as they come, each with
 * the sequence of its own first byte and `header.length` its own length. ACK_NOW is left on the
 * last piece only.
 */
typedef struct {
    VmfFrameHeader header;
    const uint8_t *payload; /* in the input for DATA, else in the parser */
} VmfFrame;

typedef struct {
    uint8_t buffer[VMF_FRAME_HEADER_SIZE + VMF_FRAME_SMALL_MAX];
    gsize have;            /* bytes in the buffer: header, then a small payload */
    VmfFrameHeader header; /* valid once the header is whole */
    uint32_t taken;        /* of a DATA payload */
} VmfFrameParser;

typedef enum {
    VMF_PARSE_FRAME,
    VMF_PARSE_MORE, /* the input is used up */
    VMF_PARSE_ERROR,
} VmfParse;

/* Moves *data and *length past what was taken. */
VmfParse vmf_frame_parser_next(VmfFrameParser *parser, const uint8_t **data, gsize *length,
                               VmfFrame *ret, GError **error);
