/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inspect/source.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

#define BUFFER_SIZE (1u << 20)

struct VmfSource {
    int fd;
    gboolean is_file; /* has a size, and can be read again */
    uint64_t size;
    uint64_t start; /* of QEMU's stream (compressed: of the compressed part) in the file */
    uint64_t position;
    gboolean is_image;
    VmfImage image;
    struct archive *archive; /* NULL: nothing is compressed */
    VmfConnection connection;
    uint8_t *buffer;
    /* Read to be looked at, and not yet given out. */
    const uint8_t *waiting;
    size_t waiting_length;
};

static gboolean
fail(GError **error, const char *what)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_FAILED, "%s: %s", what, g_strerror(errno));
    return FALSE;
}

/* One read, which waits also where the descriptor's other users want none to; -1: errno. */
static ssize_t
read_some(VmfSource *source, uint8_t *to, size_t length)
{
    struct pollfd readable = {.fd = source->fd, .events = POLLIN};
    ssize_t n;

    while ((n = read(source->fd, to, length)) < 0 && (errno == EINTR || errno == EAGAIN))
        if (errno == EAGAIN && poll(&readable, 1, -1) < 0 && errno != EINTR)
            break;
    return n;
}

/* Reads until `length` bytes or the end; -1: errno. */
static ssize_t
read_all(VmfSource *source, uint8_t *to, size_t length)
{
    size_t got = 0;

    while (got < length) {
        ssize_t n = read_some(source, to + got, length - got);

        if (n < 0)
            return -1;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    source->start += got;
    return (ssize_t)got;
}

static gboolean
skip_xml(VmfSource *source, GError **error)
{
    size_t left = source->image.data_length;

    while (left > 0) {
        ssize_t n = read_all(source, source->buffer, MIN(left, BUFFER_SIZE));

        if (n < 0)
            return fail(error, "reading the save image");
        if (n == 0) {
            g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_STREAM,
                        "offset %" G_GUINT64_FORMAT
                        ": the save image ends; expected %zu more bytes of XML",
                        source->start, left);
            return FALSE;
        }
        left -= (size_t)n;
    }
    return TRUE;
}

/* ---- the compressed part ---- */

static gboolean
fail_archive(VmfSource *source, const char *why, GError **error)
{
    if (source->image.compression == VMF_IMAGE_LZOP)
        g_set_error(error, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED,
                    "the save image is compressed with lzop, and the program lzop is missing, may "
                    "not run here, or found it damaged: %s",
                    why ? why : "no reason is known");
    else
        g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_STREAM,
                    "the compressed part of the save image (%s) is damaged or ends early: %s",
                    vmf_image_compression_name(source->image.compression),
                    why ? why : "no reason is known");
    return FALSE;
}

static gboolean
append_filter(VmfSource *source)
{
    static const int filters[VMF_IMAGE_COMPRESSIONS] = {
        [VMF_IMAGE_GZIP] = ARCHIVE_FILTER_GZIP,
        [VMF_IMAGE_BZIP2] = ARCHIVE_FILTER_BZIP2,
        [VMF_IMAGE_XZ] = ARCHIVE_FILTER_XZ,
        [VMF_IMAGE_ZSTD] = ARCHIVE_FILTER_ZSTD,
    };

    if (source->image.compression == VMF_IMAGE_LZOP)
        return archive_read_append_filter_program(source->archive, "lzop -dc") == ARCHIVE_OK;
    return archive_read_append_filter(source->archive, filters[source->image.compression]) ==
           ARCHIVE_OK;
}

/* For libarchive. */
static la_ssize_t
feed_archive(struct archive *archive, void *user_data, const void **ret_bytes)
{
    VmfSource *source = user_data;
    ssize_t n = read_some(source, source->buffer, BUFFER_SIZE);

    *ret_bytes = source->buffer;
    if (n < 0)
        archive_set_error(archive, errno, "%s", g_strerror(errno));
    return n;
}

static gboolean
open_archive(VmfSource *source, GError **error)
{
    struct archive_entry *entry;

    if (source->image.compression == VMF_IMAGE_RAW || source->image.compression == VMF_IMAGE_SPARSE)
        return TRUE;
    source->archive = archive_read_new();
    if (!source->archive)
        g_error("out of memory");
    return (archive_read_support_format_raw(source->archive) == ARCHIVE_OK &&
            append_filter(source) &&
            archive_read_open(source->archive, source, NULL, feed_archive, NULL) == ARCHIVE_OK &&
            archive_read_next_header(source->archive, &entry) == ARCHIVE_OK) ||
           fail_archive(source, "nothing comes out of it", error);
}

static gboolean
read_archive(VmfSource *source, const uint8_t **ret_data, size_t *ret_length, GError **error)
{
    const void *data = NULL;
    int64_t offset;
    int status;

    *ret_length = 0;
    do
        status = archive_read_data_block(source->archive, &data, ret_length, &offset);
    while (status == ARCHIVE_RETRY || (status == ARCHIVE_OK && *ret_length == 0));
    *ret_data = data;
    if (status == ARCHIVE_EOF)
        *ret_length = 0;
    if (status >= ARCHIVE_WARN)
        return TRUE;
    return fail_archive(source, archive_error_string(source->archive), error);
}

/* ---- opening ---- */

/* The first bytes of the stream decide what it is. */
static gboolean
look(VmfSource *source, GError **error)
{
    ssize_t n;

    if (source->archive) {
        if (!read_archive(source, &source->waiting, &source->waiting_length, error))
            return FALSE;
    } else {
        n = read_all(source, source->buffer, VMF_SNIFF_SIZE);
        if (n < 0)
            return fail(error, "reading the stream");
        source->start -= (size_t)n;
        source->waiting = source->buffer;
        source->waiting_length = (size_t)n;
    }
    source->connection = vmf_connection_sniff(source->waiting, source->waiting_length);
    return TRUE;
}

static gboolean
open_image(VmfSource *source, GError **error)
{
    size_t n = source->waiting_length;

    source->start += n;
    if (n < VMF_IMAGE_HEADER_SIZE) {
        ssize_t more = read_all(source, source->buffer + n, VMF_IMAGE_HEADER_SIZE - n);

        if (more < 0)
            return fail(error, "reading the save image");
        n += (size_t)more;
    }
    if (n < VMF_IMAGE_HEADER_SIZE) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_STREAM,
                    "offset %zu: the save image ends; expected a header of %d bytes", n,
                    VMF_IMAGE_HEADER_SIZE);
        return FALSE;
    }
    if (!vmf_image_parse(source->buffer, &source->image, error) || !skip_xml(source, error))
        return FALSE;
    source->is_image = TRUE;
    return open_archive(source, error) && look(source, error);
}

VmfSource *
vmf_source_new(int fd, GError **error)
{
    g_autoptr(VmfSource) source = g_new0(VmfSource, 1);
    struct stat status;
    off_t at = lseek(fd, 0, SEEK_CUR);

    source->buffer = g_malloc(BUFFER_SIZE);
    source->fd = fd;
    if (fstat(fd, &status) < 0) {
        fail(error, "reading the stream");
        return NULL;
    }
    if (S_ISREG(status.st_mode) && at >= 0) {
        source->is_file = TRUE;
        source->size = (uint64_t)status.st_size;
        source->start = (uint64_t)at;
    }
    if (!look(source, error))
        return NULL;
    if (source->connection == VMF_CONNECTION_IMAGE && !open_image(source, error))
        return NULL;
    return g_steal_pointer(&source);
}

VmfSource *
vmf_source_open(const char *path, GError **error)
{
    int fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)
                                    : open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        fail(error, path);
        return NULL;
    }
    return vmf_source_new(fd, error);
}

void
vmf_source_close(VmfSource *source)
{
    if (!source)
        return;
    if (source->archive)
        archive_read_free(source->archive);
    close(source->fd);
    g_free(source->buffer);
    g_free(source);
}

const VmfImage *
vmf_source_image(const VmfSource *source)
{
    return source->is_image ? &source->image : NULL;
}

VmfConnection
vmf_source_connection(const VmfSource *source)
{
    return source->connection;
}

/* ---- reading ---- */

uint64_t
vmf_source_size(const VmfSource *source)
{
    return source->size;
}

uint64_t
vmf_source_position(const VmfSource *source)
{
    if (source->archive)
        return source->start + (uint64_t)archive_filter_bytes(source->archive, -1);
    return source->start + source->position;
}

gboolean
vmf_source_read(VmfSource *source, const uint8_t **ret_data, size_t *ret_length, GError **error)
{
    ssize_t n;

    if (source->waiting_length > 0) {
        *ret_data = source->waiting;
        *ret_length = source->waiting_length;
        source->waiting_length = 0;
    } else if (source->archive) {
        if (!read_archive(source, ret_data, ret_length, error))
            return FALSE;
    } else {
        n = read_some(source, source->buffer, BUFFER_SIZE);
        if (n < 0)
            return fail(error, "reading the stream");
        *ret_data = source->buffer;
        *ret_length = (size_t)n;
    }
    source->position += *ret_length;
    return TRUE;
}

gboolean
vmf_source_can_fetch(const VmfSource *source)
{
    return source->is_file && !source->archive;
}

gboolean
vmf_source_fetch(uint64_t offset, uint8_t *to, size_t length, gpointer user_data, GError **error)
{
    const VmfSource *source = user_data;

    while (length > 0) {
        ssize_t n = pread(source->fd, to, length, (off_t)(source->start + offset));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(error, "reading device state again");
        if (n == 0) {
            g_set_error(error, VMF_ERROR, VMF_ERROR_FAILED,
                        "offset %" G_GUINT64_FORMAT ": the file became shorter while it was read",
                        offset);
            return FALSE;
        }
        offset += (uint64_t)n;
        to += n;
        length -= (size_t)n;
    }
    return TRUE;
}
