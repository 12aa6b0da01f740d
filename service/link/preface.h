/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The preface: the cleartext opening of every connection to vmferry's port, and its answer.
 * Format and reasons: PROTOCOL.md, "Preface".
 *
 * The dialling side sends VMF_PREFACE_SIZE bytes, the listening side answers with
 * VMF_ANSWER_SIZE bytes; then control and data connections start TLS. The preface lets the daemon
 * hand a data connection to its pump before a byte of TLS was read. Nothing in it is secret or
 * trusted: a ticket id only selects which secret the other side must prove.
 *
 * Pure functions; any thread.
 */
#pragma once

#include <gio/gio.h>
#include <stdint.h>

#define VMF_PROTOCOL_VERSION 1
#define VMF_PREFACE_SIZE 32
#define VMF_ANSWER_SIZE 16
#define VMF_TICKET_ID_SIZE 16

typedef enum {
    VMF_LINK_KIND_CONTROL = 1, /* D-Bus over mutual TLS between two daemons */
    VMF_LINK_KIND_DATA = 2,    /* frames between two pumps */
    VMF_LINK_KIND_LIBVIRT = 3, /* reserved */
} VmfLinkKind;

typedef enum {
    VMF_ANSWER_OK = 0,
    VMF_ANSWER_VERSION = 1, /* no common protocol version; the answer names the listener's */
    VMF_ANSWER_KIND = 2,    /* kind not known or not allowed here */
    VMF_ANSWER_TICKET = 3,  /* unknown, used or expired ticket */
    VMF_ANSWER_BUSY = 4,    /* too many connections at this moment */
} VmfAnswer;

typedef struct {
    uint16_t version;
    VmfLinkKind kind;
    uint8_t ticket[VMF_TICKET_ID_SIZE]; /* zero but for data connections */
} VmfPreface;

void vmf_preface_encode(const VmfPreface *preface, uint8_t out[VMF_PREFACE_SIZE]);

/*
 * Fails with VMF_ERROR_PROTOCOL when the bytes are not a preface at all, and with
 * VMF_ERROR_PROTOCOL_VERSION when they are one of another version (ret->version is set then). The
 * kind is not judged: one that is not in VmfLinkKind is to be answered with VMF_ANSWER_KIND.
 */
gboolean vmf_preface_decode(const uint8_t in[VMF_PREFACE_SIZE], VmfPreface *ret, GError **error);

void vmf_answer_encode(VmfAnswer answer, uint8_t out[VMF_ANSWER_SIZE]);

/* TRUE for VMF_ANSWER_OK; otherwise an error that says what the listener said. */
gboolean vmf_answer_decode(const uint8_t in[VMF_ANSWER_SIZE], GError **error);

/*
 * Both steps of the dialling side on a connected socket, blocking: for worker threads. The
 * socket's timeout applies. Fails with VMF_ERROR_PEER_UNREACHABLE (no answer), VMF_ERROR_CANCELLED,
 * or as vmf_answer_decode().
 */
gboolean vmf_preface_exchange(GSocket *socket, const VmfPreface *preface, GCancellable *cancellable,
                              GError **error);
