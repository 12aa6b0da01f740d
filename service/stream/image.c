/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/image.h"

#include <string.h>

#include "base/error.h"

#define MAGIC_SIZE 16
#define VERSION_MAX 3 /* 3: sparse images */
#define FIELDS 5

static const char *const compressions[VMF_IMAGE_COMPRESSIONS] = {
    [VMF_IMAGE_RAW] = "raw",       [VMF_IMAGE_GZIP] = "gzip", [VMF_IMAGE_BZIP2] = "bzip2",
    [VMF_IMAGE_XZ] = "xz",         [VMF_IMAGE_LZOP] = "lzop", [VMF_IMAGE_ZSTD] = "zstd",
    [VMF_IMAGE_SPARSE] = "sparse",
};

gboolean
vmf_image_parse(const uint8_t header[VMF_IMAGE_HEADER_SIZE], VmfImage *ret_image, GError **error)
{
    static const char saved[MAGIC_SIZE] = "LibvirtQemudSave";
    static const char partial[MAGIC_SIZE] = "LibvirtQemudPart";
    VmfImage image = {.partial = memcmp(header, partial, MAGIC_SIZE) == 0};
    uint32_t fields[FIELDS];

    if (!image.partial && memcmp(header, saved, MAGIC_SIZE) != 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_STREAM,
                    "offset 0: expected the header of a libvirt save image");
        return FALSE;
    }
    memcpy(fields, header + MAGIC_SIZE, sizeof fields);
    if (fields[0] > 0xffff) /* written in the other byte order */
        for (guint i = 0; i < FIELDS; i++)
            fields[i] = GUINT32_SWAP_LE_BE(fields[i]);
    image.version = fields[0];
    image.data_length = fields[1];
    image.was_running = fields[2] != 0;
    image.cookie_offset = fields[4];
    if (image.version == 0 || image.version > VERSION_MAX || fields[3] >= VMF_IMAGE_COMPRESSIONS) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED,
                    "offset 16: expected a save image of version 1 to %d with a known compression, "
                    "found version %u with compression %u",
                    VERSION_MAX, image.version, fields[3]);
        return FALSE;
    }
    if (image.data_length > VMF_IMAGE_XML_MAX || image.cookie_offset > image.data_length) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_STREAM,
                    "offset 20: expected at most %u bytes of XML, found %u with a cookie at %u",
                    VMF_IMAGE_XML_MAX, image.data_length, image.cookie_offset);
        return FALSE;
    }
    image.compression = (VmfImageCompression)fields[3];
    *ret_image = image;
    return TRUE;
}

const char *
vmf_image_compression_name(VmfImageCompression compression)
{
    g_return_val_if_fail((guint)compression < VMF_IMAGE_COMPRESSIONS, "unknown");
    return compressions[compression];
}
