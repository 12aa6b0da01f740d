/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/reader-private.h"

#define TYPE_COMMAND 0x08

static VmfStep step_data(VmfReader *reader, VmfCursor *cursor, VmfEvent *event);
static VmfStep step_rest(VmfReader *reader, VmfCursor *cursor, VmfEvent *event);

const VmfState vmf_state_data = {step_data, "more bytes of a body", FALSE};
const VmfState vmf_state_rest = {step_rest, "any bytes", TRUE};

VmfConnection
vmf_connection_sniff(const uint8_t *data, size_t length)
{
    static const struct {
        VmfConnection connection;
        uint8_t length;
        uint8_t bytes[VMF_SNIFF_SIZE];
    } starts[] = {
        {VMF_CONNECTION_MAIN, 4, "QEVM"},
        {VMF_CONNECTION_MULTIFD, 4, {0x11, 0x22, 0x33, 0x44}},
        {VMF_CONNECTION_RECOVERY, 3, {TYPE_COMMAND, 0, VMF_COMMAND_RECV_BITMAP}},
        {VMF_CONNECTION_RECOVERY, 3, {TYPE_COMMAND, 0, VMF_COMMAND_POSTCOPY_RESUME}},
        {VMF_CONNECTION_TLS, 2, {0x16, 0x03}}, /* a handshake record of TLS */
        {VMF_CONNECTION_IMAGE, 8, "LibvirtQ"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(starts); i++)
        if (length >= starts[i].length && memcmp(data, starts[i].bytes, starts[i].length) == 0)
            return starts[i].connection;
    /* An address inside a RAM block, below 2^56, and flags; never none. */
    if (length >= VMF_SNIFF_SIZE && data[0] == 0 &&
        (data[VMF_SNIFF_SIZE - 1] != 0 || data[VMF_SNIFF_SIZE - 2] & 3))
        return VMF_CONNECTION_PREEMPT;
    return VMF_CONNECTION_UNKNOWN;
}

void
vmf_reader_set_page_bits(VmfReader *reader, guint bits)
{
    reader->page_bits = bits;
    reader->page_size = 1u << bits;
}

VmfReader *
vmf_reader_new(const VmfReaderOptions *options)
{
    VmfReader *reader = g_new0(VmfReader, 1);

    reader->options = *options;
    vmf_reader_set_page_bits(reader,
                             CLAMP(options->page_bits ? options->page_bits : VMF_PAGE_BITS_DEFAULT,
                                   VMF_PAGE_BITS_MIN, VMF_PAGE_BITS_MAX));
    reader->sections = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_free);
    reader->blocks = g_ptr_array_new_with_free_func(g_free);
    reader->blocks_by_name = g_hash_table_new(g_str_hash, g_str_equal);
    reader->mapped_bitmap = g_byte_array_new();
    switch (options->connection) {
    case VMF_CONNECTION_RECOVERY:
        reader->state = &vmf_state_element;
        reader->postcopy = TRUE;
        break;
    case VMF_CONNECTION_PREEMPT:
        reader->state = &vmf_state_ram_preempt;
        break;
    default:
        reader->state = &vmf_state_header;
        break;
    }
    return reader;
}

void
vmf_reader_free(VmfReader *reader)
{
    if (!reader)
        return;
    vmf_intake_clear(&reader->intake);
    g_clear_error(&reader->error);
    g_hash_table_unref(reader->sections);
    g_hash_table_unref(reader->blocks_by_name);
    g_ptr_array_unref(reader->blocks);
    g_byte_array_unref(reader->mapped_bitmap);
    g_free(reader);
}

void
vmf_reader_join(VmfReader *reader, const VmfReader *main_reader)
{
    GHashTableIter iter;
    gpointer id, section;

    vmf_reader_set_page_bits(reader, main_reader->page_bits);
    reader->footers = main_reader->footers;
    reader->blocks_listed = main_reader->blocks_listed;
    for (guint i = 0; i < main_reader->blocks->len; i++) {
        VmfRamBlock *block = g_memdup2(main_reader->blocks->pdata[i], sizeof *block);

        g_ptr_array_add(reader->blocks, block);
        g_hash_table_insert(reader->blocks_by_name, block->name, block);
    }
    g_hash_table_iter_init(&iter, main_reader->sections);
    while (g_hash_table_iter_next(&iter, &id, &section))
        g_hash_table_insert(reader->sections, id, g_memdup2(section, sizeof(VmfSection)));
}

void
vmf_reader_feed(VmfReader *reader, const uint8_t *data, size_t length)
{
    vmf_intake_feed(&reader->intake, data, length);
}

/* What may be looked at: inside a package, only the package. */
static VmfCursor
view(const VmfReader *reader)
{
    VmfCursor cursor = vmf_intake_view(&reader->intake);

    if (reader->in_package)
        cursor.length = MIN(cursor.length, reader->package_left);
    return cursor;
}

static void
consume(VmfReader *reader, const VmfCursor *cursor, VmfEvent *event)
{
    event->offset = reader->intake.offset;
    event->raw = cursor->data;
    event->raw_length = cursor->at;
    vmf_intake_consume(&reader->intake, cursor->at);
}

VmfReadStatus
vmf_reader_next(VmfReader *reader, VmfEvent *ret_event, GError **error)
{
    VmfStep step = VMF_STEP_FAIL;

    while (!reader->error) {
        VmfCursor cursor = view(reader);
        uint64_t in_package = reader->in_package ? reader->package_left : G_MAXUINT64;

        step = reader->state->step(reader, &cursor, ret_event);
        if (step == VMF_STEP_EVENT) {
            /* A step that ends or starts a package has set the rest itself. */
            if (reader->in_package && in_package != G_MAXUINT64)
                reader->package_left -= cursor.at;
            consume(reader, &cursor, ret_event);
            return VMF_READ_EVENT;
        }
        if (step != VMF_STEP_SHORT)
            continue;
        if (cursor.need > in_package) {
            vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, in_package,
                            "the package ends inside an item; expected %s",
                            reader->state->expected);
            break;
        }
        if (!vmf_intake_gather(&reader->intake, cursor.need))
            return VMF_READ_MORE;
    }
    g_propagate_error(error, g_error_copy(reader->error));
    return VMF_READ_ERROR;
}

gboolean
vmf_reader_end(VmfReader *reader, GError **error)
{
    VmfCursor rest = vmf_intake_view(&reader->intake);

    if (!reader->error && (!reader->state->may_end || rest.length > 0 || reader->in_package))
        vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, rest.length,
                        "the stream ends early; expected %s", reader->state->expected);
    if (reader->error)
        g_propagate_error(error, g_error_copy(reader->error));
    return reader->error == NULL;
}

gboolean
vmf_reader_reread_tail(VmfReader *reader, const VmfLayout *layout)
{
    if (reader->error || reader->tail_offset == 0)
        return FALSE;
    vmf_intake_clear(&reader->intake);
    reader->intake.offset = reader->tail_offset;
    reader->tail_offset = 0;
    reader->options.layout = layout;
    reader->options.devices = VMF_DEVICES_SCAN;
    reader->state = &vmf_state_element;
    return TRUE;
}

uint64_t
vmf_reader_offset(const VmfReader *reader)
{
    return reader->intake.offset;
}

guint
vmf_reader_page_size(const VmfReader *reader)
{
    return reader->page_size;
}

guint
vmf_reader_ram_blocks(const VmfReader *reader)
{
    return reader->blocks->len;
}

const VmfRamBlock *
vmf_reader_ram_block(const VmfReader *reader, guint index)
{
    g_return_val_if_fail(index < reader->blocks->len, NULL);
    return reader->blocks->pdata[index];
}

VmfStep
vmf_reader_fail(VmfReader *reader, VmfError code, size_t at, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (!reader->error)
        reader->error = vmf_intake_error(&reader->intake, (int)code, at, format, args);
    va_end(args);
    return VMF_STEP_FAIL;
}

gboolean
vmf_reader_take_name(VmfReader *reader, VmfCursor *cursor, char to[VMF_NAME_SIZE])
{
    size_t at = cursor->at;
    size_t length = vmf_cursor_u8(cursor);
    const uint8_t *bytes = vmf_cursor_take(cursor, length);

    if (!bytes)
        return FALSE;
    if (length > 0 && memchr(bytes, 0, length)) {
        vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, at, "expected a name, found a NUL in it");
        return FALSE;
    }
    memcpy(to, bytes, length);
    to[length] = 0;
    return TRUE;
}

void
vmf_reader_announce(VmfReader *reader, VmfDataRole role, uint64_t length, const VmfState *next)
{
    reader->data_role = role;
    reader->data_left = length;
    reader->data_next = next;
    reader->state = length > 0 ? &vmf_state_data : next;
}

void
vmf_reader_give_up(VmfReader *reader, VmfDataRole role)
{
    reader->data_role = role;
    reader->state = &vmf_state_rest;
}

static void
fill_data(const VmfReader *reader, VmfCursor *cursor, size_t length, VmfEvent *event)
{
    event->type = VMF_EVENT_DATA;
    event->data.role = reader->data_role;
    event->data.bytes = vmf_cursor_take(cursor, length);
    event->data.length = length;
}

static VmfStep
step_data(VmfReader *reader, VmfCursor *cursor, VmfEvent *event)
{
    size_t length = MIN(cursor->length, reader->data_left);

    if (length == 0) {
        cursor->need = 1;
        return VMF_STEP_SHORT;
    }
    fill_data(reader, cursor, length, event);
    if (reader->mapped_bitmap_left > 0)
        vmf_reader_saw_bitmap(reader, event->data.bytes, length);
    reader->data_left -= length;
    if (reader->data_left == 0)
        reader->state = reader->data_next;
    return VMF_STEP_EVENT;
}

static VmfStep
step_rest(VmfReader *reader, VmfCursor *cursor, VmfEvent *event)
{
    if (cursor->length == 0) {
        if (reader->in_package && reader->package_left == 0) {
            reader->state = &vmf_state_element;
            return VMF_STEP_AGAIN;
        }
        cursor->need = 1;
        return VMF_STEP_SHORT;
    }
    fill_data(reader, cursor, cursor->length, event);
    return VMF_STEP_EVENT;
}
