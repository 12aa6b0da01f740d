/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bodies that do not say how long they are. Device state is laid out by tables compiled into QEMU;
 * its size is known from the vmdescription, which comes last. Without it, the end of a body is
 * found by its footer: 0x7e and the section's own id, followed by something that can follow.
 */
#include "stream/reader-private.h"

#define FOOTER 0x7e
#define FOOTER_SIZE 5
#define TYPE_EOF 0x00
#define TYPE_COMMAND 0x08

static VmfStep step_scan(VmfReader *reader, VmfCursor *cursor, VmfEvent *event);

const VmfState vmf_state_scan = {step_scan, "a footer behind device state", FALSE};

gboolean
vmf_reader_wants_tail(const VmfReader *reader)
{
    if (reader->options.layout)
        return FALSE;
    if (reader->footers == VMF_FOOTERS_NO)
        return TRUE;
    /* Postcopy sends device state in a package, and RAM after it. */
    if (reader->in_package)
        return reader->options.devices == VMF_DEVICES_OPAQUE;
    return reader->options.devices != VMF_DEVICES_SCAN && reader->ram_flowing && !reader->postcopy;
}

static VmfStep
begin_device(VmfReader *reader)
{
    const VmfSection *section = reader->section;
    uint64_t size;

    if (reader->section_type == VMF_SECTION_FULL && reader->options.layout &&
        vmf_layout_find(reader->options.layout, &reader->layout_cursor, section->name,
                        section->instance, &size)) {
        reader->extent = VMF_EXTENT_DESCRIBED;
        vmf_reader_announce(reader, VMF_DATA_DEVICE, size, &vmf_state_close);
    } else if (reader->footers != VMF_FOOTERS_NO) {
        reader->extent = VMF_EXTENT_SCANNED;
        reader->data_role = VMF_DATA_DEVICE;
        reader->state = &vmf_state_scan;
    } else {
        reader->extent = VMF_EXTENT_OPAQUE;
        vmf_reader_give_up(reader, reader->in_package ? VMF_DATA_PACKAGE : VMF_DATA_TAIL);
    }
    return VMF_STEP_EVENT;
}

VmfStep
vmf_reader_begin_body(VmfReader *reader)
{
    static const VmfState *const states[] = {
        [VMF_BODY_RAM] = &vmf_state_ram,
        [VMF_BODY_DIRTY_BITMAP] = &vmf_state_bitmap,
        [VMF_BODY_BLOCK] = &vmf_state_block,
        [VMF_BODY_VFIO] = &vmf_state_vfio,
    };

    /* A VFIO device has a FULL section too, with PCI state of unknown length in it. */
    if (reader->section->body == VMF_BODY_DEVICE || reader->section_type == VMF_SECTION_FULL)
        return begin_device(reader);
    reader->extent = VMF_EXTENT_FORMAT;
    reader->state = states[reader->section->body];
    return VMF_STEP_EVENT;
}

static gboolean
is_printable(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!g_ascii_isprint((char)bytes[i]))
            return FALSE;
    return length > 0;
}

/* Can an element start here? Sets cursor->need if that cannot be said yet. */
static gboolean
is_plausible(const VmfReader *reader, VmfCursor *cursor)
{
    uint8_t type = vmf_cursor_u8(cursor);
    uint32_t id;
    size_t length;
    const uint8_t *name;

    switch (type) {
    case TYPE_EOF:
        return !reader->in_package;
    case TYPE_COMMAND:
        return vmf_cursor_u16(cursor) <= VMF_COMMAND_SWITCHOVER_START;
    case VMF_SECTION_PART:
    case VMF_SECTION_END:
        id = vmf_cursor_u32(cursor);
        return g_hash_table_contains(reader->sections, GUINT_TO_POINTER(id));
    case VMF_SECTION_START:
    case VMF_SECTION_FULL:
        (void)vmf_cursor_u32(cursor);
        length = vmf_cursor_u8(cursor);
        name = vmf_cursor_take(cursor, length);
        return name && is_printable(name, length);
    default:
        return FALSE;
    }
}

typedef enum { FOOTER_NO, FOOTER_YES, FOOTER_SHORT } FooterAnswer;

/* Is the byte 0x7e at `at` the footer of this section? */
static FooterAnswer
judge(const VmfReader *reader, VmfCursor *cursor, size_t at)
{
    VmfCursor look = *cursor;
    gboolean matches;

    look.at = at + 1;
    matches = vmf_cursor_u32(&look) == reader->section->id;
    if (!look.need && matches &&
        !(reader->in_package && reader->package_left == at + FOOTER_SIZE)) {
        matches = is_plausible(reader, &look);
    }
    if (look.need) {
        /* Beyond the end of a package nothing can follow that would decide. */
        if (reader->in_package && look.need > reader->package_left)
            return FOOTER_NO;
        cursor->need = look.need;
        return FOOTER_SHORT;
    }
    return matches ? FOOTER_YES : FOOTER_NO;
}

static VmfStep
step_scan(VmfReader *reader, VmfCursor *cursor, VmfEvent *event)
{
    size_t at = 0;

    while (at < cursor->length) {
        const uint8_t *found = memchr(cursor->data + at, FOOTER, cursor->length - at);
        FooterAnswer answer;

        at = found ? (size_t)(found - cursor->data) : cursor->length;
        if (!found)
            break;
        answer = judge(reader, cursor, at);
        if (answer == FOOTER_YES && at == 0) {
            reader->state = &vmf_state_close;
            return VMF_STEP_AGAIN;
        }
        if (answer == FOOTER_SHORT && at == 0)
            return VMF_STEP_SHORT;
        if (answer != FOOTER_NO)
            break;
        at++;
    }
    cursor->need = 0;
    if (at == 0) {
        cursor->need = 1;
        return VMF_STEP_SHORT;
    }
    event->type = VMF_EVENT_DATA;
    event->data.role = VMF_DATA_DEVICE;
    event->data.bytes = vmf_cursor_take(cursor, at);
    event->data.length = at;
    return VMF_STEP_EVENT;
}
