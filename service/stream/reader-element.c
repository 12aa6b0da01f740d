/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sections, commands and packages, and the end of the stream. */
#include "stream/reader-private.h"

#define TYPE_EOF 0x00
#define TYPE_SUBSECTION 0x05
#define TYPE_DESCRIPTION 0x06
#define TYPE_CONFIGURATION 0x07
#define TYPE_COMMAND 0x08
#define TYPE_FOOTER 0x7e
#define RAM_VERSION 4

static VmfStep step_element(VmfReader *reader, VmfCursor *cursor, VmfEvent *event);
static VmfStep step_close(VmfReader *reader, VmfCursor *cursor, VmfEvent *event);
static VmfStep step_after_eof(VmfReader *reader, VmfCursor *cursor, VmfEvent *event);
static VmfStep step_trailer(VmfReader *reader, VmfCursor *cursor, VmfEvent *event);

const VmfState vmf_state_element = {step_element, "a section, a command or the end", FALSE};
const VmfState vmf_state_close = {step_close, "the footer of a section", FALSE};
static const VmfState state_after_eof = {step_after_eof, "a vmdescription", TRUE};
static const VmfState state_trailer = {step_trailer, "nothing more", TRUE};

static const char *const command_names[] = {
    [VMF_COMMAND_OPEN_RETURN_PATH] = "open-return-path",
    [VMF_COMMAND_PING] = "ping",
    [VMF_COMMAND_POSTCOPY_ADVISE] = "postcopy-advise",
    [VMF_COMMAND_POSTCOPY_LISTEN] = "postcopy-listen",
    [VMF_COMMAND_POSTCOPY_RUN] = "postcopy-run",
    [VMF_COMMAND_POSTCOPY_RAM_DISCARD] = "postcopy-ram-discard",
    [VMF_COMMAND_PACKAGED] = "packaged",
    [VMF_COMMAND_ENABLE_COLO] = "enable-colo",
    [VMF_COMMAND_POSTCOPY_RESUME] = "postcopy-resume",
    [VMF_COMMAND_RECV_BITMAP] = "recv-bitmap",
    [VMF_COMMAND_SWITCHOVER_START] = "switchover-start",
};

const char *
vmf_command_name(VmfCommand command)
{
    if (command < 1 || (guint)command >= G_N_ELEMENTS(command_names))
        return "unknown";
    return command_names[command];
}

static VmfBody
body_of(const char *name)
{
    if (strcmp(name, "ram") == 0)
        return VMF_BODY_RAM;
    if (strcmp(name, "dirty-bitmap") == 0)
        return VMF_BODY_DIRTY_BITMAP;
    if (strcmp(name, "block") == 0)
        return VMF_BODY_BLOCK;
    if (strcmp(name, "vfio") == 0 || g_str_has_suffix(name, "/vfio"))
        return VMF_BODY_VFIO;
    return VMF_BODY_DEVICE;
}

/* Keeps what START said, for PART and END. */
static VmfStep
remember(VmfReader *reader, const VmfSection *section)
{
    VmfSection *known = g_hash_table_lookup(reader->sections, GUINT_TO_POINTER(section->id));

    if (known && strcmp(known->name, section->name) != 0)
        return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, 1,
                               "expected a section id of its own for \"%s\", found %u of \"%s\"",
                               section->name, section->id, known->name);
    if (!known && g_hash_table_size(reader->sections) >= VMF_LIVE_SECTIONS_MAX)
        return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, 0, "expected at most %d live sections",
                               VMF_LIVE_SECTIONS_MAX);
    if (!known) {
        known = g_new(VmfSection, 1);
        g_hash_table_insert(reader->sections, GUINT_TO_POINTER(section->id), known);
    }
    *known = *section;
    reader->section = known;
    return VMF_STEP_EVENT;
}

static void
fill_section(const VmfReader *reader, VmfEvent *event, VmfEventType type)
{
    event->type = type;
    event->section.type = reader->section_type;
    event->section.extent = reader->extent;
    event->section.what = reader->section;
}

/* START and FULL. */
static VmfStep
read_whole_header(VmfReader *reader, VmfCursor *cursor, VmfEvent *event, VmfSectionType type)
{
    VmfSection section = {.id = vmf_cursor_u32(cursor)};

    if (!vmf_reader_take_name(reader, cursor, section.name))
        return vmf_reader_missing(reader);
    section.instance = vmf_cursor_u32(cursor);
    section.version = vmf_cursor_u32(cursor);
    if (cursor->need)
        return VMF_STEP_SHORT;
    section.body = body_of(section.name);
    if (section.body == VMF_BODY_RAM &&
        (type != VMF_SECTION_START || section.version != RAM_VERSION))
        return vmf_reader_fail(reader, VMF_ERROR_NOT_SUPPORTED, 0,
                               "expected RAM to start with version %d, found %s version %u",
                               RAM_VERSION, type == VMF_SECTION_START ? "START" : "FULL",
                               section.version);
    reader->section_type = type;
    if (type == VMF_SECTION_START) {
        if (remember(reader, &section) == VMF_STEP_FAIL)
            return VMF_STEP_FAIL;
    } else {
        reader->full = section;
        reader->section = &reader->full;
    }
    if (vmf_reader_begin_body(reader) == VMF_STEP_FAIL)
        return VMF_STEP_FAIL;
    fill_section(reader, event, VMF_EVENT_SECTION);
    return VMF_STEP_EVENT;
}

/* PART and END. */
static VmfStep
read_short_header(VmfReader *reader, VmfCursor *cursor, VmfEvent *event, VmfSectionType type)
{
    uint32_t id = vmf_cursor_u32(cursor);

    if (cursor->need)
        return VMF_STEP_SHORT;
    reader->section = g_hash_table_lookup(reader->sections, GUINT_TO_POINTER(id));
    if (!reader->section && reader->options.connection == VMF_CONNECTION_RECOVERY) {
        /* Read on its own: what goes on after a break in postcopy is nearly always RAM. */
        VmfSection presumed = {.id = id, .version = RAM_VERSION, .name = "ram", .presumed = TRUE};

        if (remember(reader, &presumed) == VMF_STEP_FAIL)
            return VMF_STEP_FAIL;
    }
    if (!reader->section)
        return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, 1,
                               "expected the id of a section that was started, found %u", id);
    reader->section_type = type;
    if (reader->section->body == VMF_BODY_RAM)
        reader->ram_flowing = TRUE;
    if (vmf_reader_begin_body(reader) == VMF_STEP_FAIL)
        return VMF_STEP_FAIL;
    fill_section(reader, event, VMF_EVENT_SECTION);
    return VMF_STEP_EVENT;
}

/* Payload lengths that a command must have; -1: any. */
static int
payload_length(VmfCommand code)
{
    switch (code) {
    case VMF_COMMAND_PING:
    case VMF_COMMAND_PACKAGED:
        return sizeof(uint32_t);
    case VMF_COMMAND_POSTCOPY_ADVISE: /* 0 or 16 */
    case VMF_COMMAND_POSTCOPY_RAM_DISCARD:
    case VMF_COMMAND_RECV_BITMAP:
        return -1;
    default:
        return 0;
    }
}

static VmfStep
obey(VmfReader *reader, const VmfEvent *event)
{
    VmfCursor payload = {.data = event->command.payload, .length = event->command.length};

    switch (event->command.code) {
    case VMF_COMMAND_PACKAGED:
        if (reader->in_package)
            return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, 1,
                                   "expected no package inside a package");
        reader->in_package = TRUE;
        reader->package_left = event->command.package;
        break;
    case VMF_COMMAND_POSTCOPY_ADVISE:
        if (payload.length != 0 && payload.length != 16)
            return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, 3,
                                   "expected 0 or 16 bytes with postcopy-advise, found %zu",
                                   payload.length);
        reader->advised_pages = payload.length ? vmf_cursor_u64(&payload) : 0;
        break;
    case VMF_COMMAND_POSTCOPY_LISTEN:
        reader->postcopy = TRUE;
        break;
    default:
        break;
    }
    return VMF_STEP_EVENT;
}

static VmfStep
read_command(VmfReader *reader, VmfCursor *cursor, VmfEvent *event)
{
    uint16_t code = vmf_cursor_u16(cursor);
    uint16_t length = vmf_cursor_u16(cursor);
    const uint8_t *payload;
    int wanted;

    if (cursor->need)
        return VMF_STEP_SHORT;
    if (code == 0 || code >= G_N_ELEMENTS(command_names))
        return vmf_reader_fail(reader, VMF_ERROR_NOT_SUPPORTED, 1,
                               "expected a command of 1 to %d, found %u",
                               (int)G_N_ELEMENTS(command_names) - 1, code);
    wanted = payload_length((VmfCommand)code);
    if (wanted >= 0 && length != wanted)
        return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, 3,
                               "expected %d bytes with %s, found %u", wanted,
                               vmf_command_name((VmfCommand)code), length);
    payload = vmf_cursor_take(cursor, length);
    if (cursor->need)
        return VMF_STEP_SHORT;
    event->type = VMF_EVENT_COMMAND;
    event->command.code = (VmfCommand)code;
    event->command.length = length;
    event->command.payload = payload;
    event->command.package = 0;
    if (code == VMF_COMMAND_PACKAGED) {
        memcpy(&event->command.package, payload, sizeof(uint32_t));
        event->command.package = GUINT32_FROM_BE(event->command.package);
    }
    return obey(reader, event);
}

static VmfStep
end_package(VmfReader *reader, VmfEvent *event)
{
    reader->in_package = FALSE;
    event->type = VMF_EVENT_PACKAGE_END;
    return VMF_STEP_EVENT;
}

static VmfStep
step_element(VmfReader *reader, VmfCursor *cursor, VmfEvent *event)
{
    uint8_t type;

    if (reader->in_package && reader->package_left == 0)
        return end_package(reader, event);
    type = vmf_cursor_u8(cursor);
    if (cursor->need)
        return VMF_STEP_SHORT;
    switch (type) {
    case TYPE_EOF:
        if (reader->in_package)
            return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, 0,
                                   "expected no end of stream inside a package");
        event->type = VMF_EVENT_EOF;
        reader->state = &state_after_eof;
        return VMF_STEP_EVENT;
    case VMF_SECTION_FULL:
        if (vmf_reader_wants_tail(reader)) {
            reader->tail_offset = reader->in_package ? 0 : reader->intake.offset;
            vmf_reader_give_up(reader, reader->in_package ? VMF_DATA_PACKAGE : VMF_DATA_TAIL);
            return VMF_STEP_AGAIN;
        }
        return read_whole_header(reader, cursor, event, VMF_SECTION_FULL);
    case VMF_SECTION_START:
        return read_whole_header(reader, cursor, event, VMF_SECTION_START);
    case VMF_SECTION_PART:
    case VMF_SECTION_END:
        return read_short_header(reader, cursor, event, (VmfSectionType)type);
    case TYPE_COMMAND:
        return read_command(reader, cursor, event);
    case TYPE_SUBSECTION:
    case TYPE_DESCRIPTION:
    case TYPE_CONFIGURATION:
    case TYPE_FOOTER:
    default:
        return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, 0,
                               "expected a section, a command or the end, found type 0x%02x", type);
    }
}

/*
 * Behind a body. Machine types up to 2.3 have no footers, and nothing announces them; but no
 * element starts with the footer's byte, so the first section tells.
 */
static VmfStep
step_close(VmfReader *reader, VmfCursor *cursor, VmfEvent *event)
{
    gboolean at_end = reader->in_package && reader->package_left == 0;
    uint8_t type;
    uint32_t id;

    if (reader->footers == VMF_FOOTERS_UNKNOWN) {
        type = at_end ? 0 : vmf_cursor_u8(cursor);
        if (cursor->need)
            return VMF_STEP_SHORT;
        reader->footers = type == TYPE_FOOTER ? VMF_FOOTERS_YES : VMF_FOOTERS_NO;
        cursor->at = 0;
    }
    fill_section(reader, event, VMF_EVENT_SECTION_CLOSE);
    event->section.footer = reader->footers == VMF_FOOTERS_YES;
    if (event->section.footer) {
        type = vmf_cursor_u8(cursor);
        if (!cursor->need && type != TYPE_FOOTER)
            return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, 0,
                                   "expected the footer (0x7e) of section %u \"%s\", found 0x%02x",
                                   reader->section->id, reader->section->name, type);
        id = vmf_cursor_u32(cursor);
        if (cursor->need)
            return VMF_STEP_SHORT;
        if (id != reader->section->id)
            return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, 1,
                                   "expected the footer of section %u \"%s\", found one of %u",
                                   reader->section->id, reader->section->name, id);
    }
    reader->state = &vmf_state_element;
    return VMF_STEP_EVENT;
}

static VmfStep
step_after_eof(VmfReader *reader, VmfCursor *cursor, VmfEvent *event)
{
    uint8_t type = vmf_cursor_u8(cursor);
    uint32_t length;

    if (cursor->need)
        return VMF_STEP_SHORT;
    if (type != TYPE_DESCRIPTION) {
        vmf_reader_give_up(reader, VMF_DATA_TRAILER);
        return VMF_STEP_AGAIN;
    }
    length = vmf_cursor_u32(cursor);
    if (cursor->need)
        return VMF_STEP_SHORT;
    event->type = VMF_EVENT_DESCRIPTION;
    event->number = length;
    vmf_reader_announce(reader, VMF_DATA_DESCRIPTION, length, &state_trailer);
    return VMF_STEP_EVENT;
}

static VmfStep
step_trailer(VmfReader *reader, VmfCursor *cursor, VmfEvent *event)
{
    vmf_reader_give_up(reader, VMF_DATA_TRAILER);
    return VMF_STEP_AGAIN;
}
