/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The header of a save image, and the sniffing of connections. */
#include "fuzz.h"

#include <string.h>

#include "stream/image.h"
#include "stream/stream.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    uint8_t header[VMF_IMAGE_HEADER_SIZE] = {0};
    VmfImage image;

    vmf_connection_sniff(data, length);
    memcpy(header, data, MIN(length, sizeof header));
    if (!vmf_image_parse(header, &image, NULL))
        return 0;
    g_assert_nonnull(vmf_image_compression_name(image.compression));
    g_assert_cmpuint(image.data_length, <=, VMF_IMAGE_XML_MAX);
    return 0;
}
