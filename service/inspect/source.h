/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where `inspect` and `check` get a stream from: a file, a pipe, or a save image, whose compressed
 * part is read through libarchive.
 *
 * libarchive undoes gzip, bzip2, xz and zstd by itself; for lzop it runs the program, which a
 * confined process cannot.
 *
 * Blocking; one thread. Errors: VMF_ERROR_FAILED with the system's reason, VMF_ERROR_NOT_SUPPORTED
 * (lzop without its program), VMF_ERROR_BAD_STREAM (cut or damaged), those of stream/image.h.
 * Units: bytes.
 */
#pragma once

#include "stream/image.h"
#include "stream/stream.h"

typedef struct VmfSource VmfSource;

/* `path` may be "-". */
VmfSource *vmf_source_open(const char *path, GError **error);

/* Reads a descriptor from where it stands; takes it, also when that fails. */
VmfSource *vmf_source_new(int fd, GError **error);

void vmf_source_close(VmfSource *source);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfSource, vmf_source_close)

/* NULL: not a save image. */
const VmfImage *vmf_source_image(const VmfSource *source);

/* By the stream's first bytes. */
VmfConnection vmf_source_connection(const VmfSource *source);

/* Bytes of the file, or 0 when that is not known; and how much of it was read. */
uint64_t vmf_source_size(const VmfSource *source);
uint64_t vmf_source_position(const VmfSource *source);

/*
 * The next bytes of the stream, which hold until the next call. *ret_length is 0 at the end, which
 * a compressed image must have reached in good order.
 */
gboolean vmf_source_read(VmfSource *source, const uint8_t **ret_data, size_t *ret_length,
                         GError **error);

/* Whether bytes that were read can be read again: of files, and of images without compression. */
gboolean vmf_source_can_fetch(const VmfSource *source);

/* Bytes of the stream once more, by their offset in it; a VmfSurveyFetch. */
gboolean vmf_source_fetch(uint64_t offset, uint8_t *to, size_t length, gpointer source,
                          GError **error);
