/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests of stream/: bytes put together by hand, and a reading as text, one event a word.
 * kit_read() reads in pieces of every size from 1 to 9 and in one piece, wants the same of all,
 * and has the writer give the bytes back.
 */
#pragma once

#include "cmocka-all.h"

#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "stream/stream.h"

#define KIT_PAGE 4096

static inline void
kit_number(GByteArray *to, uint64_t number, guint size)
{
    uint8_t bytes[8];

    vmf_put_u64(bytes, number);
    g_byte_array_append(to, bytes + 8 - size, size);
}

static inline void
kit_bytes(GByteArray *to, const void *bytes, gsize length)
{
    g_byte_array_append(to, bytes, (guint)length);
}

static inline void
kit_name(GByteArray *to, const char *name)
{
    kit_number(to, strlen(name), 1);
    kit_bytes(to, name, strlen(name));
}

static inline void
kit_page_bytes(GByteArray *to, uint8_t fill)
{
    guint old = to->len;

    g_byte_array_set_size(to, old + KIT_PAGE);
    memset(to->data + old, fill, KIT_PAGE);
}

/* Header and configuration; `machine` NULL: none, as in machine types up to 2.3. */
static inline GByteArray *
kit_stream(const char *machine)
{
    GByteArray *to = g_byte_array_new();

    kit_bytes(to, "QEVM\0\0\0\3", 8);
    if (machine) {
        kit_number(to, 7, 1);
        kit_number(to, strlen(machine), 4);
        kit_bytes(to, machine, strlen(machine));
    }
    return to;
}

static inline void
kit_section(GByteArray *to, VmfSectionType type, uint32_t id, const char *name, uint32_t version)
{
    kit_number(to, type, 1);
    kit_number(to, id, 4);
    if (type == VMF_SECTION_PART || type == VMF_SECTION_END)
        return;
    kit_name(to, name);
    kit_number(to, 0, 4);
    kit_number(to, version, 4);
}

static inline void
kit_footer(GByteArray *to, uint32_t id)
{
    kit_number(to, 0x7e, 1);
    kit_number(to, id, 4);
}

static inline void
kit_command(GByteArray *to, VmfCommand code, const void *payload, guint length)
{
    kit_number(to, 8, 1);
    kit_number(to, code, 2);
    kit_number(to, length, 2);
    kit_bytes(to, payload, length);
}

/* START of RAM, section 2, one block "ram0" of `pages` pages; records may follow. */
static inline void
kit_ram_start(GByteArray *to, uint64_t pages)
{
    kit_section(to, VMF_SECTION_START, 2, "ram", 4);
    kit_number(to, pages * KIT_PAGE | 4, 8);
    kit_name(to, "ram0");
    kit_number(to, pages * KIT_PAGE, 8);
}

static inline void
kit_ram_end(GByteArray *to)
{
    kit_number(to, 0x10, 8);
    kit_footer(to, 2);
}

/* A whole small stream: RAM and one device of 4 bytes, "dev", section 7. */
static inline GByteArray *
kit_whole(void)
{
    GByteArray *to = kit_stream("pc");

    kit_ram_start(to, 2);
    kit_number(to, 2, 8);
    kit_name(to, "ram0");
    kit_number(to, 0, 1);
    kit_number(to, 0x28 | KIT_PAGE, 8);
    kit_page_bytes(to, 0x5a);
    kit_ram_end(to);
    kit_section(to, VMF_SECTION_END, 2, NULL, 0);
    kit_ram_end(to);
    kit_section(to, VMF_SECTION_FULL, 7, "dev", 3);
    kit_bytes(to, "\1\2\3\4", 4);
    kit_footer(to, 7);
    kit_number(to, 0, 1);
    return to;
}

static inline void
kit_describe(GString *log, const VmfEvent *event)
{
    static const char *const names[] = {
        "header", "machine", "bits",   "uuid", "capabilities", "capability", "section",
        "close",  "command", "unpack", "list", "block",        "page",       "flush",
        "eos",    "bitmap",  "disk",   "vfio", "data",         "eof",        "description"};
    static const char *const extents[] = {"format", "described", "scanned", "opaque"};

    g_string_append_printf(log, "%s%s", log->len ? " " : "", names[event->type]);
    switch (event->type) {
    case VMF_EVENT_CONFIGURATION:
    case VMF_EVENT_CAPABILITY:
        g_string_append_printf(log, "=%s", event->name);
        break;
    case VMF_EVENT_SECTION:
        g_string_append_printf(log, "=%s/%d/%s", event->section.what->name, event->section.type,
                               extents[event->section.extent]);
        break;
    case VMF_EVENT_COMMAND:
        g_string_append_printf(log, "=%s", vmf_command_name(event->command.code));
        break;
    case VMF_EVENT_RAM_BLOCK:
        g_string_append_printf(log, "=%s", event->block->name);
        break;
    case VMF_EVENT_PAGE:
        g_string_append_printf(log, "=%s@%" G_GINT64_MODIFIER "x",
                               vmf_page_kind_name(event->page.kind), event->page.address);
        break;
    case VMF_EVENT_DATA:
        g_string_append_printf(log, "=%d", event->data.role);
        break;
    default:
        break;
    }
}

typedef struct {
    GString *log;
    GByteArray *written;
    uint64_t data_length; /* of the data event being put together */
    gboolean in_data;
} KitReading;

static inline gboolean
kit_write(const uint8_t *data, size_t length, gpointer user_data, GError **error)
{
    KitReading *reading = user_data;

    kit_bytes(reading->written, data, length);
    return TRUE;
}

/* Pieces of data become one word, with the length of all. */
static inline void
kit_log(KitReading *reading, const VmfEvent *event)
{
    gboolean more = event && event->type == VMF_EVENT_DATA && reading->in_data;

    if (reading->in_data && !more)
        g_string_append_printf(reading->log, ":%" G_GUINT64_FORMAT, reading->data_length);
    if (!event)
        return;
    if (!more) {
        kit_describe(reading->log, event);
        reading->data_length = 0;
    }
    reading->in_data = event->type == VMF_EVENT_DATA;
    if (reading->in_data)
        reading->data_length += event->data.length;
}

/* Reads to the end or the error; the reader stays with the caller. */
static inline char *
kit_read_pieces(VmfReader *reader, const GByteArray *bytes, guint piece)
{
    KitReading reading = {.log = g_string_new(NULL), .written = g_byte_array_new()};
    g_autoptr(VmfWriter) writer = vmf_writer_new(kit_write, &reading);
    g_autoptr(GError) error = NULL;
    VmfReadStatus status = VMF_READ_MORE;
    VmfEvent event;

    for (guint fed = 0; fed < bytes->len && status != VMF_READ_ERROR; fed += piece) {
        vmf_reader_feed(reader, bytes->data + fed, MIN(piece, bytes->len - fed));
        while ((status = vmf_reader_next(reader, &event, &error)) == VMF_READ_EVENT) {
            kit_log(&reading, &event);
            assert_true(vmf_writer_put(writer, &event, NULL));
        }
    }
    kit_log(&reading, NULL);
    if (!error)
        vmf_reader_end(reader, &error);
    assert_true(reading.written->len <= bytes->len);
    assert_memory_equal(reading.written->data, bytes->data, reading.written->len);
    if (error)
        g_string_append_printf(reading.log, " ! %s", error->message);
    else
        assert_int_equal(reading.written->len, bytes->len);
    g_byte_array_unref(reading.written);
    return g_string_free(reading.log, FALSE);
}

/* Takes `bytes`. The log; behind " ! " the error. */
static inline char *
kit_read(GByteArray *bytes, const VmfReaderOptions *options)
{
    g_autoptr(VmfReader) whole = vmf_reader_new(options);
    char *log = kit_read_pieces(whole, bytes, bytes->len);

    for (guint piece = 1; piece < 10; piece++) {
        g_autoptr(VmfReader) reader = vmf_reader_new(options);
        g_autofree char *again = kit_read_pieces(reader, bytes, piece);

        assert_string_equal(log, again);
    }
    g_byte_array_unref(bytes);
    return log;
}

static const VmfReaderOptions kit_opaque = {.connection = VMF_CONNECTION_MAIN,
                                            .devices = VMF_DEVICES_OPAQUE};
static const VmfReaderOptions kit_scan = {.connection = VMF_CONNECTION_MAIN,
                                          .devices = VMF_DEVICES_SCAN};

/* Takes `bytes`: reading them gives exactly this log. */
#define kit_expect(bytes, options, wanted)                                                         \
    do {                                                                                           \
        g_autofree char *kit_got = kit_read((bytes), (options));                                   \
        assert_string_equal(kit_got, (wanted));                                                    \
    } while (0)

/* Takes `bytes`: reading them fails with this, at this offset. */
#define kit_expect_error(bytes, options, where, what)                                              \
    do {                                                                                           \
        g_autofree char *kit_got = kit_read((bytes), (options));                                   \
        g_autofree char *kit_at = g_strdup_printf(" ! offset %u ", (guint)(where));                \
        assert_non_null(strstr(kit_got, kit_at));                                                  \
        assert_non_null(strstr(kit_got, (what)));                                                  \
    } while (0)
