/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rebuild OUT CHUNK scan|describe STREAM...: reads one captured migration, all its connections, in
 * pieces of CHUNK bytes. Fails unless the writer gives back every byte. Leaves in OUT every RAM
 * block's content as the reader understood it, and prints what it saw, one fact a line.
 * tests/captures/verify compares these with what QEMU itself said.
 * Device sections are found by their footers (scan) or by the vmdescription's sizes (describe).
 */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "stream/description.h"
#include "stream/multifd.h"
#include "stream/page.h"

#define TAIL_SEARCHED (16u << 20)

typedef struct {
    GMappedFile *file;
    const uint8_t *data;
    size_t length, fed, checked;
    VmfConnection connection;
    VmfMultifdReader *multifd;
    VmfMultifdDecoder *decoder;
    guint syncs;
} Stream;

typedef struct {
    GHashTable *memory; /* block name -> GByteArray */
    GPtrArray *streams; /* Stream */
    VmfReader *main_reader;
    VmfLayout *layout; /* NULL: no vmdescription, or not to be used */
    gboolean describe;
    size_t chunk;
    gboolean flush_dialect; /* RAM_FLUSH, not RAM_EOS, pairs with the channels' SYNC */
    uint64_t pages[VMF_PAGE_KINDS];
    uint64_t multifd_normal, multifd_zero;
    guint barriers;
} Run;

static void G_GNUC_NORETURN
give_up(const char *what, const GError *error)
{
    fprintf(stderr, "%s: %s\n", what, error ? error->message : "failed");
    exit(1);
}

static uint8_t *
page_of(Run *run, const char *block, uint64_t address, guint page_size)
{
    GByteArray *bytes = g_hash_table_lookup(run->memory, block);

    if (!bytes) {
        bytes = g_byte_array_new();
        g_hash_table_insert(run->memory, g_strdup(block), bytes);
    }
    if (bytes->len < address + page_size) {
        guint old = bytes->len;

        g_byte_array_set_size(bytes, (guint)(address + page_size));
        memset(bytes->data + old, 0, bytes->len - old);
    }
    return bytes->data + address;
}

/* The writer's output has to be the input. */
static gboolean
compare(const uint8_t *data, size_t length, gpointer user_data, GError **error)
{
    Stream *stream = user_data;

    if (length > stream->length - stream->checked ||
        memcmp(stream->data + stream->checked, data, length) != 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_FAILED, "written bytes differ behind offset %zu",
                    stream->checked);
        return FALSE;
    }
    stream->checked += length;
    return TRUE;
}

static void
take_multifd_page(const VmfMultifdPacket *packet, uint64_t address, const uint8_t *page,
                  gpointer user_data)
{
    Run *run = user_data;
    guint page_size = vmf_reader_page_size(run->main_reader);

    memcpy(page_of(run, packet->block, address, page_size), page, page_size);
}

/* The channel's packets up to its next SYNC, or (to_end) all. */
static void
run_channel(Run *run, Stream *stream, gboolean to_end)
{
    g_autoptr(GError) error = NULL;
    VmfMultifdEvent event;
    VmfReadStatus status;
    gboolean synced = FALSE; /* a SYNC on a packet with pages counts behind them */
    uint64_t payload = 0;

    while (to_end || !synced || payload > 0) {
        status = vmf_multifd_reader_next(stream->multifd, &event, &error);
        if (status == VMF_READ_MORE) {
            size_t n = MIN(run->chunk, stream->length - stream->fed);

            if (n == 0 && !to_end)
                give_up("multifd: a channel ends before a barrier", NULL);
            if (n == 0)
                break;
            vmf_multifd_reader_feed(stream->multifd, stream->data + stream->fed, n);
            stream->fed += n;
            continue;
        }
        if (status != VMF_READ_EVENT || !vmf_multifd_decoder_put(stream->decoder, &event, &error) ||
            !compare(event.raw, event.raw_length, stream, &error))
            give_up("multifd", error);
        if (event.type == VMF_MULTIFD_DATA)
            payload -= event.data.length;
        if (event.type != VMF_MULTIFD_PACKET)
            continue;
        payload = event.packet.payload;
        synced = synced || event.packet.sync;
        run->multifd_normal += event.packet.normal_pages;
        run->multifd_zero += event.packet.zero_pages;
        stream->syncs += event.packet.sync;
    }
    if (to_end && !vmf_multifd_reader_end(stream->multifd, &error))
        give_up("multifd", error);
}

static void
run_channels(Run *run, gboolean to_end)
{
    run->barriers += !to_end;
    for (guint i = 0; i < run->streams->len; i++) {
        Stream *stream = run->streams->pdata[i];

        if (stream->connection == VMF_CONNECTION_MULTIFD)
            run_channel(run, stream, to_end);
    }
}

static void
take_event(Run *run, const VmfReader *reader, const VmfEvent *event)
{
    static const char *const extents[] = {"format", "described", "scanned", "opaque"};
    guint page_size = vmf_reader_page_size(reader);
    g_autoptr(GError) error = NULL;

    switch (event->type) {
    case VMF_EVENT_PAGE:
        run->pages[event->page.kind]++;
        if (!vmf_page_apply(&event->page,
                            page_of(run, event->page.block->name, event->page.address, page_size),
                            page_size, &error))
            give_up("page", error);
        break;
    case VMF_EVENT_SECTION:
        printf("section %d %u %s %s\n", event->section.type, event->section.what->id,
               event->section.what->name, extents[event->section.extent]);
        break;
    case VMF_EVENT_RAM_BLOCK:
        printf("block %" G_GUINT64_FORMAT " %s\n", event->block->length, event->block->name);
        if (event->block->length > 0)
            (void)page_of(run, event->block->name, event->block->length - page_size, page_size);
        break;
    case VMF_EVENT_COMMAND:
        printf("command %s\n", vmf_command_name(event->command.code));
        break;
    case VMF_EVENT_CONFIGURATION:
        printf("machine %s\n", event->name);
        break;
    case VMF_EVENT_BITMAP:
        if (event->bitmap.flags & VMF_BITMAP_START)
            printf("bitmap %s\n", event->bitmap.name);
        break;
    case VMF_EVENT_RAM_FLUSH:
        if (run->flush_dialect)
            run_channels(run, FALSE);
        break;
    case VMF_EVENT_RAM_EOS:
        if (!run->flush_dialect)
            run_channels(run, FALSE);
        break;
    default:
        break;
    }
}

/* The sizes of device sections, from the description near the end. */
static void
learn_layout(Run *run, const Stream *stream)
{
    gsize start = stream->length > TAIL_SEARCHED ? stream->length - TAIL_SEARCHED : 0;
    g_autoptr(VmfDescription) description = NULL;
    g_autoptr(GError) error = NULL;
    gsize at, length;

    if (!run->describe ||
        !vmf_description_find(stream->data + start, stream->length - start, &at, &length))
        return;
    description = vmf_description_parse((const char *)stream->data + start + at, length, &error);
    if (!description)
        give_up("description", error);
    run->layout = vmf_description_layout(description);
}

static VmfReader *
new_reader(const Run *run, const Stream *stream)
{
    VmfReaderOptions options = {
        .connection = stream->connection, .devices = VMF_DEVICES_SCAN, .layout = run->layout};
    VmfReader *reader = vmf_reader_new(&options);

    if (stream->connection != VMF_CONNECTION_MAIN)
        vmf_reader_join(reader, run->main_reader);
    return reader;
}

static void
read_stream(Run *run, Stream *stream, VmfReader *reader)
{
    g_autoptr(VmfWriter) writer = vmf_writer_new(compare, stream);
    g_autoptr(GError) error = NULL;
    uint64_t offset = 0;
    VmfEvent event;
    VmfReadStatus status;

    for (;;) {
        status = vmf_reader_next(reader, &event, &error);
        if (status == VMF_READ_ERROR)
            give_up("stream", error);
        if (status == VMF_READ_MORE) {
            size_t n = MIN(run->chunk, stream->length - stream->fed);

            if (n == 0)
                break;
            vmf_reader_feed(reader, stream->data + stream->fed, n);
            stream->fed += n;
            continue;
        }
        if (event.offset != offset ||
            memcmp(event.raw, stream->data + offset, event.raw_length) != 0)
            give_up("raw bytes are not the input", NULL);
        offset += event.raw_length;
        if (!vmf_writer_put(writer, &event, &error))
            give_up("writer", error);
        take_event(run, reader, &event);
    }
    if (!vmf_reader_end(reader, &error))
        printf("ends early: %s\n", error->message);
    else if (stream->checked != stream->length)
        give_up("writer gave fewer bytes", NULL);
}

/* Machine types from 8.1 on have flush records. */
static gboolean
has_flush(const Stream *stream)
{
    VmfReaderOptions options = {.connection = VMF_CONNECTION_MAIN, .devices = VMF_DEVICES_SCAN};
    g_autoptr(VmfReader) reader = vmf_reader_new(&options);
    VmfEvent event;

    vmf_reader_feed(reader, stream->data, stream->length);
    while (vmf_reader_next(reader, &event, NULL) == VMF_READ_EVENT)
        if (event.type == VMF_EVENT_RAM_FLUSH)
            return TRUE;
    return FALSE;
}

static Stream *
open_stream(Run *run, const char *path)
{
    g_autoptr(GError) error = NULL;
    Stream *stream = g_new0(Stream, 1);

    stream->file = g_mapped_file_new(path, FALSE, &error);
    if (!stream->file)
        give_up(path, error);
    stream->data = (const uint8_t *)g_mapped_file_get_contents(stream->file);
    stream->length = g_mapped_file_get_length(stream->file);
    stream->connection = vmf_connection_sniff(stream->data, stream->length);
    if (stream->connection == VMF_CONNECTION_MULTIFD) {
        stream->multifd = vmf_multifd_reader_new(1u << VMF_PAGE_BITS_DEFAULT);
        stream->decoder =
            vmf_multifd_decoder_new(1u << VMF_PAGE_BITS_DEFAULT, take_multifd_page, run);
    }
    return stream;
}

static void
read_all(Run *run)
{
    for (guint i = 0; i < run->streams->len; i++) {
        Stream *stream = run->streams->pdata[i];
        VmfReader *reader;

        if (stream->connection == VMF_CONNECTION_MULTIFD || stream->length == 0)
            continue;
        if (stream->connection == VMF_CONNECTION_MAIN)
            learn_layout(run, stream);
        reader = new_reader(run, stream);
        if (stream->connection == VMF_CONNECTION_MAIN) {
            run->main_reader = reader;
            run->flush_dialect = has_flush(stream);
        }
        printf("connection %u %d\n", i, stream->connection);
        read_stream(run, stream, reader);
        if (reader != run->main_reader)
            vmf_reader_free(reader);
    }
    run_channels(run, TRUE);
}

static void
report(const Run *run, const char *folder)
{
    GHashTableIter iter;
    gpointer name, bytes;
    guint index = 0;

    for (int kind = 0; kind < VMF_PAGE_KINDS; kind++)
        printf("pages %s %" G_GUINT64_FORMAT "\n", vmf_page_kind_name((VmfPageKind)kind),
               run->pages[kind]);
    printf("multifd %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT "\n", run->multifd_normal,
           run->multifd_zero);
    for (guint i = 0; i < run->streams->len; i++) {
        const Stream *stream = run->streams->pdata[i];

        if (stream->connection == VMF_CONNECTION_MULTIFD)
            printf("channel %u syncs %u barriers %u\n", i, stream->syncs, run->barriers);
    }
    g_hash_table_iter_init(&iter, run->memory);
    while (g_hash_table_iter_next(&iter, &name, &bytes)) {
        g_autofree char *path = g_strdup_printf("%s/block.%u", folder, index++);
        g_autoptr(GError) error = NULL;

        if (!g_file_set_contents(path, (const char *)((GByteArray *)bytes)->data,
                                 ((GByteArray *)bytes)->len, &error))
            give_up(path, error);
        printf("memory %s %s\n", path, (const char *)name);
    }
}

static void
close_stream(gpointer data)
{
    Stream *stream = data;

    vmf_multifd_reader_free(stream->multifd);
    vmf_multifd_decoder_free(stream->decoder);
    g_mapped_file_unref(stream->file);
    g_free(stream);
}

int
main(int argc, char **argv)
{
    Run run = {0};

    setlocale(LC_ALL, "");
    if (argc < 5) {
        fprintf(stderr, "usage: rebuild OUT CHUNK scan|describe STREAM...\n");
        return 2;
    }
    run.memory =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_byte_array_unref);
    run.streams = g_ptr_array_new_with_free_func(close_stream);
    run.chunk = strtoul(argv[2], NULL, 0);
    run.describe = strcmp(argv[3], "describe") == 0;
    for (int i = 4; i < argc; i++)
        g_ptr_array_add(run.streams, open_stream(&run, argv[i]));
    read_all(&run);
    report(&run, argv[1]);
    vmf_reader_free(run.main_reader);
    vmf_layout_free(run.layout);
    g_ptr_array_unref(run.streams);
    g_hash_table_unref(run.memory);
    return 0;
}
