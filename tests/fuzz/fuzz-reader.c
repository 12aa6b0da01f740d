/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stream reader and the writer. The first byte chooses the connection and the treatment of
 * device state, the second the size of the pieces; the rest is the stream. Read in one piece and
 * in small ones it must give the same events and the same error, and be written back as it was.
 */
#include "fuzz.h"

#include <string.h>

#include "stream/page.h"

#define PAGE_MAX 65536

/* What one reading gave. */
typedef struct {
    const uint8_t *input;
    size_t written;
    uint64_t events; /* digest; pieces of data count as one */
    VmfEventType last;
    char *error;
} Reading;

static gboolean
compare(const uint8_t *data, size_t length, gpointer user_data, GError **error)
{
    Reading *reading = user_data;

    g_assert_cmpmem(reading->input + reading->written, length, data, length);
    reading->written += length;
    return TRUE;
}

static void
digest(Reading *reading, const VmfEvent *event)
{
    if (event->type == VMF_EVENT_DATA && reading->last == VMF_EVENT_DATA)
        return;
    reading->last = event->type;
    reading->events = (reading->events ^ event->type ^ event->offset << 8) * 0x100000001b3u;
}

static void
read_stream(const VmfReaderOptions *options, const uint8_t *data, size_t length, size_t piece,
            Reading *reading)
{
    g_autoptr(VmfReader) reader = vmf_reader_new(options);
    g_autoptr(VmfWriter) writer = vmf_writer_new(compare, reading);
    g_autoptr(GError) error = NULL;
    static uint8_t page[PAGE_MAX];
    VmfReadStatus status = VMF_READ_MORE;

    *reading = (Reading){.input = data};
    for (size_t fed = 0; fed < length && status != VMF_READ_ERROR; fed += piece) {
        /* A copy of its own, so that reading past the piece is seen. */
        size_t n = MIN(piece, length - fed);
        g_autofree uint8_t *copy = g_memdup2(data + fed, n);
        VmfEvent event;

        vmf_reader_feed(reader, copy, n);
        while ((status = vmf_reader_next(reader, &event, &error)) == VMF_READ_EVENT) {
            g_assert_cmpmem(data + event.offset, event.raw_length, event.raw, event.raw_length);
            digest(reading, &event);
            g_assert_true(vmf_writer_put(writer, &event, NULL));
            if (event.type == VMF_EVENT_PAGE)
                vmf_page_apply(&event.page, page, vmf_reader_page_size(reader), NULL);
        }
    }
    if (status == VMF_READ_MORE)
        vmf_reader_end(reader, &error);
    reading->error = error ? g_strdup(error->message) : NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    static const VmfConnection connections[] = {VMF_CONNECTION_MAIN, VMF_CONNECTION_RECOVERY,
                                                VMF_CONNECTION_PREEMPT, VMF_CONNECTION_MAIN};
    g_autoptr(VmfLayout) layout = vmf_layout_new();
    VmfReaderOptions options = {0};
    Reading whole, pieces;

    if (length < 2)
        return 0;
    vmf_layout_add(layout, "timer", 0, 24);
    options.connection = connections[data[0] & 3];
    options.devices = data[0] & 4 ? VMF_DEVICES_SCAN : VMF_DEVICES_OPAQUE;
    options.layout = data[0] & 8 ? layout : NULL;
    read_stream(&options, data + 2, length - 2, length, &whole);
    read_stream(&options, data + 2, length - 2, data[1] + 1u, &pieces);
    g_assert_cmpuint(whole.events, ==, pieces.events);
    g_assert_cmpuint(whole.written, ==, pieces.written);
    g_assert_cmpstr(whole.error, ==, pieces.error);
    g_free(whole.error);
    g_free(pieces.error);
    return 0;
}
