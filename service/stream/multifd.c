/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/multifd.h"

#include "base/error.h"
#include "stream/intake.h"

#define MAGIC 0x11223344u
#define VERSION 1
#define PACKET_BYTES (512u << 10) /* page data one packet is laid out for */
#define FLAG_SYNC 0x01u
#define FLAG_DEVICE 0x40u
#define METHOD_MASK 0x3eu
#define HELLO_RESERVED 39
#define RESERVED 28
#define BLOCK_NAME_SIZE 256

typedef enum { STATE_HELLO, STATE_PACKET, STATE_DATA } State;

struct VmfMultifdReader {
    VmfIntake intake;
    GError *error;
    State state;
    guint page_size;
    uint32_t data_left;
};

static const char *const method_names[VMF_MULTIFD_METHODS] = {"none", "zlib", "zstd",
                                                              "qpl",  "uadk", "qatzip"};

const char *
vmf_multifd_method_name(VmfMultifdMethod method)
{
    g_return_val_if_fail((guint)method < VMF_MULTIFD_METHODS, "unknown");
    return method_names[method];
}

uint64_t
vmf_multifd_address(const VmfMultifdPacket *packet, guint index)
{
    uint64_t address;

    memcpy(&address, packet->addresses + index * sizeof address, sizeof address);
    return GUINT64_FROM_BE(address);
}

VmfMultifdReader *
vmf_multifd_reader_new(guint page_size)
{
    VmfMultifdReader *reader = g_new0(VmfMultifdReader, 1);

    reader->page_size = page_size;
    return reader;
}

void
vmf_multifd_reader_free(VmfMultifdReader *reader)
{
    if (!reader)
        return;
    vmf_intake_clear(&reader->intake);
    g_clear_error(&reader->error);
    g_free(reader);
}

void
vmf_multifd_reader_feed(VmfMultifdReader *reader, const uint8_t *data, size_t length)
{
    vmf_intake_feed(&reader->intake, data, length);
}

static gboolean G_GNUC_PRINTF(4, 5)
    fail(VmfMultifdReader *reader, VmfError code, size_t at, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (!reader->error)
        reader->error = vmf_intake_error(&reader->intake, (int)code, at, format, args);
    va_end(args);
    return FALSE;
}

/* The magic and version before everything. FALSE: short, or failed. */
static gboolean
take_start(VmfMultifdReader *reader, VmfCursor *cursor)
{
    uint32_t magic = vmf_cursor_u32(cursor);
    uint32_t version = vmf_cursor_u32(cursor);

    if (cursor->need)
        return FALSE;
    if (magic != MAGIC || version != VERSION)
        return fail(reader, VMF_ERROR_BAD_STREAM, 0,
                    "expected multifd magic 0x%08x and version %d, found 0x%08x and %u", MAGIC,
                    VERSION, magic, version);
    return TRUE;
}

static gboolean
read_hello(VmfMultifdReader *reader, VmfCursor *cursor, VmfMultifdEvent *event)
{
    if (!take_start(reader, cursor))
        return FALSE;
    event->type = VMF_MULTIFD_HELLO;
    event->hello.uuid = vmf_cursor_take(cursor, 16);
    event->hello.channel = vmf_cursor_u8(cursor);
    (void)vmf_cursor_take(cursor, HELLO_RESERVED);
    if (cursor->need)
        return FALSE;
    reader->state = STATE_PACKET;
    return TRUE;
}

/* A name padded with NULs in a fixed field. */
static gboolean
take_padded_name(VmfMultifdReader *reader, VmfCursor *cursor, char to[VMF_NAME_SIZE])
{
    size_t at = cursor->at;
    const uint8_t *bytes = vmf_cursor_take(cursor, BLOCK_NAME_SIZE);

    if (!bytes)
        return FALSE;
    if (!memchr(bytes, 0, BLOCK_NAME_SIZE))
        return fail(reader, VMF_ERROR_BAD_STREAM, at, "expected a name that ends");
    memcpy(to, bytes, BLOCK_NAME_SIZE);
    return TRUE;
}

static gboolean
find_method(VmfMultifdReader *reader, uint32_t flags, VmfMultifdMethod *ret_method)
{
    static const uint32_t bits[VMF_MULTIFD_METHODS] = {0, 2, 4, 8, 0x10, 0x20};

    for (guint i = 0; i < VMF_MULTIFD_METHODS; i++)
        if ((flags & ~FLAG_SYNC) == bits[i]) {
            *ret_method = (VmfMultifdMethod)i;
            return TRUE;
        }
    return fail(reader, VMF_ERROR_NOT_SUPPORTED, 8,
                "expected multifd flags of one compression, found 0x%x", flags);
}

static gboolean
check_packet(VmfMultifdReader *reader, const VmfMultifdPacket *packet, uint32_t allocated)
{
    uint32_t most = PACKET_BYTES / reader->page_size;
    gboolean empty = packet->normal_pages == 0 && packet->zero_pages == 0;

    /* A packet that is only a SYNC may have nothing else filled in. */
    if ((allocated != most && !(empty && packet->sync)) || packet->normal_pages > most ||
        packet->zero_pages > most - packet->normal_pages)
        return fail(reader, VMF_ERROR_BAD_STREAM, 12,
                    "expected a packet for %u pages, found one for %u with %u and %u zero pages",
                    most, allocated, packet->normal_pages, packet->zero_pages);
    if (packet->method == VMF_MULTIFD_NONE &&
        packet->payload != packet->normal_pages * reader->page_size)
        return fail(reader, VMF_ERROR_BAD_STREAM, 20,
                    "expected a payload of %u pages, found %u bytes", packet->normal_pages,
                    packet->payload);
    return TRUE;
}

static gboolean
read_pages(VmfMultifdReader *reader, VmfCursor *cursor, VmfMultifdEvent *event, uint32_t flags)
{
    VmfMultifdPacket *packet = &event->packet;
    uint32_t allocated = vmf_cursor_u32(cursor);

    packet->normal_pages = vmf_cursor_u32(cursor);
    packet->payload = vmf_cursor_u32(cursor);
    packet->number = vmf_cursor_u64(cursor);
    packet->zero_pages = vmf_cursor_u32(cursor);
    (void)vmf_cursor_take(cursor, RESERVED);
    if (!take_padded_name(reader, cursor, packet->block))
        return FALSE;
    packet->addresses =
        vmf_cursor_take(cursor, (size_t)PACKET_BYTES / reader->page_size * sizeof(uint64_t));
    if (cursor->need || !find_method(reader, flags, &packet->method))
        return FALSE;
    packet->sync = (flags & FLAG_SYNC) != 0;
    /* SYNC packets may have the size of an earlier one left in them, but no payload. */
    if (packet->normal_pages == 0)
        packet->payload = 0;
    event->type = VMF_MULTIFD_PACKET;
    reader->data_left = packet->payload;
    return check_packet(reader, packet, allocated);
}

static gboolean
read_device(VmfMultifdReader *reader, VmfCursor *cursor, VmfMultifdEvent *event)
{
    if (!take_padded_name(reader, cursor, event->device.name))
        return FALSE;
    event->type = VMF_MULTIFD_DEVICE;
    event->device.instance = vmf_cursor_u32(cursor);
    event->device.payload = vmf_cursor_u32(cursor);
    reader->data_left = event->device.payload;
    return cursor->need == 0;
}

static gboolean
read_packet(VmfMultifdReader *reader, VmfCursor *cursor, VmfMultifdEvent *event)
{
    uint32_t flags;
    gboolean done;

    if (!take_start(reader, cursor))
        return FALSE;
    flags = vmf_cursor_u32(cursor);
    if (cursor->need)
        return FALSE;
    done = flags & FLAG_DEVICE ? read_device(reader, cursor, event)
                               : read_pages(reader, cursor, event, flags);
    if (done && reader->data_left > 0)
        reader->state = STATE_DATA;
    return done;
}

static gboolean
read_data(VmfMultifdReader *reader, VmfCursor *cursor, VmfMultifdEvent *event)
{
    size_t length = MIN(cursor->length, reader->data_left);

    if (length == 0) {
        cursor->need = 1;
        return FALSE;
    }
    event->type = VMF_MULTIFD_DATA;
    event->data.bytes = vmf_cursor_take(cursor, length);
    event->data.length = length;
    reader->data_left -= (uint32_t)length;
    if (reader->data_left == 0)
        reader->state = STATE_PACKET;
    return TRUE;
}

VmfReadStatus
vmf_multifd_reader_next(VmfMultifdReader *reader, VmfMultifdEvent *ret_event, GError **error)
{
    while (!reader->error) {
        VmfCursor cursor = vmf_intake_view(&reader->intake);
        gboolean done = FALSE;

        switch (reader->state) {
        case STATE_HELLO:
            done = read_hello(reader, &cursor, ret_event);
            break;
        case STATE_PACKET:
            done = read_packet(reader, &cursor, ret_event);
            break;
        case STATE_DATA:
            done = read_data(reader, &cursor, ret_event);
            break;
        }
        if (done) {
            ret_event->offset = reader->intake.offset;
            ret_event->raw = cursor.data;
            ret_event->raw_length = cursor.at;
            vmf_intake_consume(&reader->intake, cursor.at);
            return VMF_READ_EVENT;
        }
        if (!reader->error && !vmf_intake_gather(&reader->intake, cursor.need))
            return VMF_READ_MORE;
    }
    g_propagate_error(error, g_error_copy(reader->error));
    return VMF_READ_ERROR;
}

gboolean
vmf_multifd_reader_end(VmfMultifdReader *reader, GError **error)
{
    static const char *const expected[] = {"the hello of a channel", "a whole packet",
                                           "more of a packet's payload"};
    VmfCursor rest = vmf_intake_view(&reader->intake);

    if (!reader->error && (reader->state != STATE_PACKET || rest.length > 0))
        fail(reader, VMF_ERROR_BAD_STREAM, rest.length, "the channel ends early; expected %s",
             expected[reader->state]);
    if (reader->error)
        g_propagate_error(error, g_error_copy(reader->error));
    return reader->error == NULL;
}
