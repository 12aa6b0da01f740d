/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inspect-source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"

#define BUFFER_SIZE (1u << 20)

struct VmfSource {
    int file;   /* what the user named; -1 once a decompressor has it */
    int stream; /* where QEMU's stream comes from */
    uint64_t size;
    uint64_t position;
    gboolean is_image;
    VmfImage image;
    GPid child;
    VmfConnection connection;
    uint8_t *buffer;
    size_t waiting; /* bytes at the buffer's start that were read to look at them */
};

static gboolean
fail(GError **error, const char *what)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_FAILED, "%s: %s", what, g_strerror(errno));
    return FALSE;
}

/* Reads until `length` bytes or the end; -1: errno. */
static ssize_t
read_all(int fd, uint8_t *to, size_t length)
{
    size_t got = 0;

    while (got < length) {
        ssize_t n = read(fd, to + got, length - got);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

static gboolean
skip_xml(VmfSource *source, GError **error)
{
    size_t left = source->image.data_length;

    while (left > 0) {
        ssize_t n = read_all(source->file, source->buffer, MIN(left, BUFFER_SIZE));

        if (n < 0)
            return fail(error, "reading the save image");
        if (n == 0) {
            g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_STREAM,
                        "the save image ends early; expected %zu more bytes of XML", left);
            return FALSE;
        }
        left -= (size_t)n;
    }
    return TRUE;
}

/* The decompressor reads on where we stand, so nothing behind may have been read yet. */
static gboolean
start_decompressor(VmfSource *source, GError **error)
{
    const char *const *command = vmf_image_decompressor(source->image.compression);
    g_autoptr(GError) local = NULL;

    if (!command)
        return TRUE;
    if (!g_spawn_async_with_pipes_and_fds(NULL, command, NULL,
                                          G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD |
                                              G_SPAWN_STDERR_TO_DEV_NULL,
                                          NULL, NULL, source->file, -1, -1, NULL, NULL, 0,
                                          &source->child, NULL, &source->stream, NULL, &local)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_FAILED,
                    "the save image is compressed; install %s to read it (%s)", command[0],
                    local->message);
        source->stream = source->file;
        return FALSE;
    }
    close(source->file);
    source->file = -1;
    source->size = 0;
    return TRUE;
}

/* At the end of the stream: did the decompressor end well? */
static gboolean
reap(VmfSource *source, GError **error)
{
    int status = 0;

    if (!source->child)
        return TRUE;
    waitpid(source->child, &status, 0);
    source->child = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_STREAM,
                "the compressed part of the save image (%s) is damaged",
                vmf_image_compression_name(source->image.compression));
    return FALSE;
}

static gboolean
open_image(VmfSource *source, GError **error)
{
    ssize_t n = read_all(source->file, source->buffer + source->waiting,
                         VMF_IMAGE_HEADER_SIZE - source->waiting);

    if (n < 0)
        return fail(error, "reading the save image");
    if ((size_t)n + source->waiting < VMF_IMAGE_HEADER_SIZE) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_STREAM,
                    "the save image ends early; expected a header of %d bytes",
                    VMF_IMAGE_HEADER_SIZE);
        return FALSE;
    }
    if (!vmf_image_parse(source->buffer, &source->image, error) || !skip_xml(source, error) ||
        !start_decompressor(source, error))
        return FALSE;
    source->is_image = TRUE;
    n = read_all(source->stream, source->buffer, VMF_SNIFF_SIZE);
    if (n < 0)
        return fail(error, "reading the save image");
    if ((size_t)n < VMF_SNIFF_SIZE && !reap(source, error))
        return FALSE;
    source->waiting = (size_t)n;
    source->connection = vmf_connection_sniff(source->buffer, source->waiting);
    return TRUE;
}

VmfSource *
vmf_source_open(const char *path, GError **error)
{
    g_autoptr(VmfSource) source = g_new0(VmfSource, 1);
    struct stat status;
    ssize_t n;

    source->buffer = g_malloc(BUFFER_SIZE);
    source->file = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    source->stream = source->file;
    if (source->file < 0) {
        fail(error, path);
        return NULL;
    }
    if (fstat(source->file, &status) == 0 && S_ISREG(status.st_mode))
        source->size = (uint64_t)status.st_size;
    n = read_all(source->file, source->buffer, VMF_SNIFF_SIZE);
    if (n < 0) {
        fail(error, path);
        return NULL;
    }
    source->waiting = (size_t)n;
    source->connection = vmf_connection_sniff(source->buffer, source->waiting);
    if (source->connection == VMF_CONNECTION_IMAGE && !open_image(source, error))
        return NULL;
    return g_steal_pointer(&source);
}

void
vmf_source_close(VmfSource *source)
{
    if (!source)
        return;
    if (source->stream >= 0 && source->stream != source->file)
        close(source->stream);
    if (source->file >= 0)
        close(source->file);
    /* Its output is closed by now, so it ends. */
    if (source->child)
        waitpid(source->child, NULL, 0);
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

uint64_t
vmf_source_size(const VmfSource *source)
{
    return source->size;
}

uint64_t
vmf_source_position(const VmfSource *source)
{
    return source->position;
}

gboolean
vmf_source_read(VmfSource *source, const uint8_t **ret_data, size_t *ret_length, GError **error)
{
    ssize_t n = (ssize_t)source->waiting;

    source->waiting = 0;
    while (n == 0) {
        n = read(source->stream, source->buffer, BUFFER_SIZE);
        if (n < 0 && errno != EINTR)
            return fail(error, "reading the stream");
        if (n == 0) {
            *ret_length = 0;
            return reap(source, error);
        }
        n = MAX(n, 0);
    }
    source->position += (uint64_t)n;
    *ret_data = source->buffer;
    *ret_length = (size_t)n;
    return TRUE;
}
