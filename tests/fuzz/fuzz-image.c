/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whatever is given to `inspect`: a save image, compressed or not, a stream, a further connection.
 * All of it is read as from a file, and rendered. lzop is left out, as it would run a program.
 */
#include "fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "inspect/inspection.h"
#include "inspect/json.h"
#include "stream/image.h"

static gboolean
is_lzop(const uint8_t *data, size_t length)
{
    uint8_t header[VMF_IMAGE_HEADER_SIZE] = {0};
    VmfImage image;

    memcpy(header, data, MIN(length, sizeof header));
    if (!vmf_image_parse(header, &image, NULL))
        return FALSE;
    g_assert_nonnull(vmf_image_compression_name(image.compression));
    g_assert_cmpuint(image.data_length, <=, VMF_IMAGE_XML_MAX);
    return image.compression == VMF_IMAGE_LZOP;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    const VmfInspectParts all = {0};
    g_autoptr(VmfInspection) inspection = NULL;
    g_autofree char *json = NULL;
    VmfSource *source;
    gboolean found;
    int fd;

    if (is_lzop(data, length))
        return 0;
    fd = memfd_create("fuzz", MFD_CLOEXEC);
    g_assert_cmpint(write(fd, data, length), ==, (ssize_t)length);
    g_assert_cmpint(lseek(fd, 0, SEEK_SET), ==, 0);
    source = vmf_source_new(fd, NULL);
    inspection = source ? vmf_inspection_new(source, NULL) : NULL;
    if (!inspection)
        return 0;
    vmf_inspection_run(inspection, NULL, NULL, NULL);
    json = vmf_inspect_to_json(inspection, &all, &found);
    g_assert_nonnull(json);
    return 0;
}
