/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * TLS 1.3 of a data link (PROTOCOL.md, "Encrypted"), as a transform between buffers: it knows no
 * socket. What comes from the other side is put into `in`, what is to go there is found in `out`;
 * so the caller reads and writes its socket in pieces as large as it likes, and records are full
 * whatever the socket does.
 *
 * Errors: VMF_ERROR_PEER_UNTRUSTED when the other side does not prove the secret,
 * VMF_ERROR_LINK_BROKEN afterwards. After an error only vmf_tls_free() may follow; an alert for the
 * other side may be in `out`.
 * Threads: belongs to one.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "link/ticket.h"

/* One record of payload, and the most that it takes on the wire. */
#define VMF_TLS_RECORD 16384
#define VMF_TLS_RECORD_WIRE (VMF_TLS_RECORD + 5 + 256)

/* Bytes between `start` and `end` of `size`. */
typedef struct {
    uint8_t *data;
    gsize start, end, size;
} VmfBuffer;

void vmf_buffer_init(VmfBuffer *buffer, gsize size);
void vmf_buffer_clear(VmfBuffer *buffer);

/* Moves what is in it to the front if that is cheap or needed; then the room behind it. */
gsize vmf_buffer_room(VmfBuffer *buffer);

typedef enum {
    VMF_TLS_DONE,
    VMF_TLS_MORE, /* more input is needed */
    VMF_TLS_END,  /* the other side has closed */
    VMF_TLS_ERROR,
} VmfTlsStatus;

typedef struct VmfTls VmfTls;

/* The buffers are the caller's and stay where they are. The secret is copied. */
VmfTls *vmf_tls_new(gboolean client, const uint8_t secret[VMF_TICKET_SECRET_SIZE], VmfBuffer *in,
                    VmfBuffer *out, GError **error);
void vmf_tls_free(VmfTls *tls);

VmfTlsStatus vmf_tls_handshake(VmfTls *tls, GError **error);

/* Seals up to one record; needs VMF_TLS_RECORD_WIRE of room in `out`. FALSE on errors. */
gboolean vmf_tls_seal(VmfTls *tls, const uint8_t *data, gsize length, GError **error);

/* Opens one record, at most `size` bytes of it. */
VmfTlsStatus vmf_tls_open(VmfTls *tls, uint8_t *to, gsize size, gsize *ret, GError **error);

/* Puts the closing alert into `out`, if it has room. */
void vmf_tls_close(VmfTls *tls);
