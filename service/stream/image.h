/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirt's save image (virsh save, managedsave): a header, the guest's XML, then QEMU's stream,
 * as it is or compressed by a program.
 *
 * The header is in the byte order of the host that wrote it; both are read.
 * Pure; any thread. Errors: VMF_ERROR_BAD_STREAM; VMF_ERROR_NOT_SUPPORTED for a version or a
 * compression not known. Units: bytes.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

#define VMF_IMAGE_HEADER_SIZE 92
#define VMF_IMAGE_XML_MAX (64u << 20) /* of XML, cookie and padding; libvirt reserves 64 KiB */

typedef enum {
    VMF_IMAGE_RAW,
    VMF_IMAGE_GZIP,
    VMF_IMAGE_BZIP2,
    VMF_IMAGE_XZ,
    VMF_IMAGE_LZOP,
    VMF_IMAGE_ZSTD,
    VMF_IMAGE_SPARSE, /* a mapped-ram file */
    VMF_IMAGE_COMPRESSIONS
} VmfImageCompression;

typedef struct {
    gboolean partial; /* saving it was not finished */
    uint32_t version;
    uint32_t data_length; /* XML and what follows it, up to the stream */
    gboolean was_running;
    VmfImageCompression compression;
    uint32_t cookie_offset; /* inside the data; 0: none */
} VmfImage;

gboolean vmf_image_parse(const uint8_t header[VMF_IMAGE_HEADER_SIZE], VmfImage *ret_image,
                         GError **error);

/* "raw", "gzip", ... */
const char *vmf_image_compression_name(VmfImageCompression compression);
