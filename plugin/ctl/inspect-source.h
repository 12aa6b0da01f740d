/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where `inspect` and `check` get a stream from: a file, a pipe, or a save image with its
 * decompressor running.
 *
 * Save images are decompressed by the program libvirt compresses them with, in a process of its
 * own: that program is there wherever such an image was made, and no library is needed for each.
 *
 * Blocking; one thread. Errors: VMF_ERROR_FAILED with the system's reason, those of stream/image.h.
 */
#pragma once

#include "stream/image.h"
#include "stream/stream.h"

typedef struct VmfSource VmfSource;

/* `path` may be "-". */
VmfSource *vmf_source_open(const char *path, GError **error);
void vmf_source_close(VmfSource *source);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfSource, vmf_source_close)

/* NULL: not a save image. */
const VmfImage *vmf_source_image(const VmfSource *source);

/* By the stream's first bytes. */
VmfConnection vmf_source_connection(const VmfSource *source);

/* Bytes of the file, or 0 when that is not known; and how far it was read. */
uint64_t vmf_source_size(const VmfSource *source);
uint64_t vmf_source_position(const VmfSource *source);

/*
 * The next bytes, which hold until the next call. *ret_length is 0 at the end, after the
 * decompressor, if any, ended well.
 */
gboolean vmf_source_read(VmfSource *source, const uint8_t **ret_data, size_t *ret_length,
                         GError **error);
