/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The extra connections of a multifd migration: a hello, then packets of pages.
 *
 * The reader is used as the one of the main stream (stream/stream.h): feed, next, end; every byte
 * belongs to one event. Payloads come in pieces; a decoder turns them into pages.
 * The pages of a packet are of one RAM block. Packets of all channels up to their SYNC belong to
 * one step of the main connection, which has VMF_EVENT_RAM_EOS (machine types up to 8.0) or
 * VMF_EVENT_RAM_FLUSH there.
 *
 * Threads, ownership and errors as in stream/stream.h. Memory: constant.
 */
#pragma once

#include "stream/stream.h"

typedef enum {
    VMF_MULTIFD_NONE,
    VMF_MULTIFD_ZLIB,
    VMF_MULTIFD_ZSTD,
    VMF_MULTIFD_QPL,
    VMF_MULTIFD_UADK,
    VMF_MULTIFD_QATZIP,
    VMF_MULTIFD_METHODS
} VmfMultifdMethod;

/* "none", "zlib", ... */
const char *vmf_multifd_method_name(VmfMultifdMethod method);

typedef enum {
    VMF_MULTIFD_HELLO,  /* .hello */
    VMF_MULTIFD_PACKET, /* .packet: pages */
    VMF_MULTIFD_DEVICE, /* .device: a piece of VFIO state */
    VMF_MULTIFD_DATA,   /* .data: payload of one of these */
} VmfMultifdEventType;

typedef struct {
    gboolean sync;
    VmfMultifdMethod method;
    uint64_t number; /* over all channels */
    uint32_t normal_pages;
    uint32_t zero_pages;
    uint32_t payload; /* bytes that follow as VMF_MULTIFD_DATA */
    char block[VMF_NAME_SIZE];
    const uint8_t *addresses; /* vmf_multifd_address() */
} VmfMultifdPacket;

typedef struct {
    VmfMultifdEventType type;
    uint64_t offset;
    const uint8_t *raw;
    size_t raw_length;
    union {
        struct {
            uint8_t channel;
            const uint8_t *uuid; /* 16 bytes */
        } hello;
        VmfMultifdPacket packet;
        struct {
            char name[VMF_NAME_SIZE];
            uint32_t instance;
            uint32_t payload;
        } device;
        struct {
            const uint8_t *bytes;
            size_t length;
        } data;
    };
} VmfMultifdEvent;

/* Address of page `index`: normal pages first, then zero pages. */
uint64_t vmf_multifd_address(const VmfMultifdPacket *packet, guint index);

typedef struct VmfMultifdReader VmfMultifdReader;

VmfMultifdReader *vmf_multifd_reader_new(guint page_size);
void vmf_multifd_reader_free(VmfMultifdReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfMultifdReader, vmf_multifd_reader_free)

void vmf_multifd_reader_feed(VmfMultifdReader *reader, const uint8_t *data, size_t length);
VmfReadStatus vmf_multifd_reader_next(VmfMultifdReader *reader, VmfMultifdEvent *ret_event,
                                      GError **error);
gboolean vmf_multifd_reader_end(VmfMultifdReader *reader, GError **error);

/*
 * Decodes the payloads of one channel, for methods none, zlib and zstd: the compressed ones are
 * one stream per channel, so every packet has to pass here, in order.
 */
typedef struct VmfMultifdDecoder VmfMultifdDecoder;

/* `page` is borrowed for the call. */
typedef void (*VmfMultifdPageFunc)(const VmfMultifdPacket *packet, uint64_t address,
                                   const uint8_t *page, gpointer user_data);

VmfMultifdDecoder *vmf_multifd_decoder_new(guint page_size, VmfMultifdPageFunc page,
                                           gpointer user_data);
void vmf_multifd_decoder_free(VmfMultifdDecoder *decoder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfMultifdDecoder, vmf_multifd_decoder_free)

/*
 * Takes every event of the channel. Fails with VMF_ERROR_NOT_SUPPORTED for a method that is not
 * decoded, and with VMF_ERROR_BAD_STREAM when a payload does not give the pages it announced.
 */
gboolean vmf_multifd_decoder_put(VmfMultifdDecoder *decoder, const VmfMultifdEvent *event,
                                 GError **error);
