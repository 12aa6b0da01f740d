/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/stream.h"

#include <string.h>

#include "base/bytes.h"

/* Heads are numbers and at most two names of 255 bytes. */
#define HEAD_SIZE 1024

struct VmfWriter {
    VmfWriteFunc write;
    gpointer user_data;
    const VmfRamBlock *block; /* named last */
    uint8_t head[HEAD_SIZE];
    size_t length;
};

VmfWriter *
vmf_writer_new(VmfWriteFunc write, gpointer user_data)
{
    VmfWriter *writer = g_new0(VmfWriter, 1);

    writer->write = write;
    writer->user_data = user_data;
    return writer;
}

void
vmf_writer_free(VmfWriter *writer)
{
    g_free(writer);
}

static void
put_u8(VmfWriter *writer, uint8_t value)
{
    writer->head[writer->length++] = value;
}

static void
put_u16(VmfWriter *writer, uint16_t value)
{
    vmf_put_u16(writer->head + writer->length, value);
    writer->length += sizeof value;
}

static void
put_u32(VmfWriter *writer, uint32_t value)
{
    vmf_put_u32(writer->head + writer->length, value);
    writer->length += sizeof value;
}

static void
put_u64(VmfWriter *writer, uint64_t value)
{
    vmf_put_u64(writer->head + writer->length, value);
    writer->length += sizeof value;
}

static void
put_bytes(VmfWriter *writer, const void *bytes, size_t length)
{
    memcpy(writer->head + writer->length, bytes, length);
    writer->length += length;
}

static void
put_name(VmfWriter *writer, const char *name)
{
    size_t length = strnlen(name, VMF_NAME_SIZE - 1);

    put_u8(writer, (uint8_t)length);
    put_bytes(writer, name, length);
}

static gboolean
flush(VmfWriter *writer, GError **error)
{
    size_t length = writer->length;

    writer->length = 0;
    return length == 0 || writer->write(writer->head, length, writer->user_data, error);
}

static gboolean
flush_with(VmfWriter *writer, const uint8_t *data, size_t length, GError **error)
{
    if (!flush(writer, error))
        return FALSE;
    return length == 0 || writer->write(data, length, writer->user_data, error);
}

static void
put_subsection(VmfWriter *writer, const char *name)
{
    put_u8(writer, 0x05);
    put_name(writer, name);
    put_u32(writer, 1);
}

static void
put_configuration(VmfWriter *writer, const char *machine)
{
    size_t length = strnlen(machine, VMF_NAME_SIZE - 1);

    put_u8(writer, 0x07);
    put_u32(writer, (uint32_t)length);
    put_bytes(writer, machine, length);
}

static void
put_section(VmfWriter *writer, const VmfEvent *event)
{
    const VmfSection *section = event->section.what;

    put_u8(writer, (uint8_t)event->section.type);
    put_u32(writer, section->id);
    if (event->section.type == VMF_SECTION_PART || event->section.type == VMF_SECTION_END)
        return;
    put_name(writer, section->name);
    put_u32(writer, section->instance);
    put_u32(writer, section->version);
}

static void
put_ram_block(VmfWriter *writer, const VmfRamBlock *block)
{
    put_name(writer, block->name);
    put_u64(writer, block->length);
    if (block->page_size)
        put_u64(writer, block->page_size);
    if (block->has_guest_address)
        put_u64(writer, block->guest_address);
    if (block->mapped) {
        put_u32(writer, 1);
        put_u64(writer, block->mapped_page_size);
        put_u64(writer, block->bitmap_offset);
        put_u64(writer, block->pages_offset);
    }
}

static gboolean
put_page(VmfWriter *writer, const VmfPage *page, GError **error)
{
    static const uint32_t flags[VMF_PAGE_KINDS] = {
        [VMF_PAGE_ZERO] = 0x02,
        [VMF_PAGE_WHOLE] = 0x08,
        [VMF_PAGE_XBZRLE] = 0x40,
        [VMF_PAGE_COMPRESSED] = 0x100,
    };
    gboolean continued = page->continued && page->block == writer->block;

    if (page->kind == VMF_PAGE_MAPPED)
        return writer->write(page->data, page->length, writer->user_data, error);
    put_u64(writer, page->address | flags[page->kind] | (continued ? 0x20 : 0));
    if (!continued)
        put_name(writer, page->block->name);
    writer->block = page->block;
    switch (page->kind) {
    case VMF_PAGE_ZERO:
        put_u8(writer, page->fill);
        return flush(writer, error);
    case VMF_PAGE_XBZRLE:
        put_u8(writer, 1);
        put_u16(writer, (uint16_t)page->length);
        break;
    case VMF_PAGE_COMPRESSED:
        put_u32(writer, page->length);
        break;
    default:
        break;
    }
    return flush_with(writer, page->data, page->length, error);
}

static void
put_bitmap(VmfWriter *writer, const VmfEvent *event)
{
    uint32_t flags = event->bitmap.flags;

    if (event->bitmap.width == 4)
        put_u32(writer, flags | 0x80800000u);
    else if (event->bitmap.width == 2)
        put_u16(writer, (uint16_t)(flags | 0x8000u));
    else
        put_u8(writer, (uint8_t)flags);
    if (flags & VMF_BITMAP_NODE)
        put_name(writer, event->bitmap.node);
    if (flags & VMF_BITMAP_NAME)
        put_name(writer, event->bitmap.name);
    if (flags & VMF_BITMAP_START) {
        put_u32(writer, event->bitmap.granularity);
        put_u8(writer, event->bitmap.start_flags);
    } else if (flags & VMF_BITMAP_BITS) {
        put_u64(writer, event->bitmap.sector);
        put_u32(writer, event->bitmap.sectors);
        if (!(flags & VMF_BITMAP_ZEROES))
            put_u64(writer, event->bitmap.length);
    }
}

static gboolean
put_command(VmfWriter *writer, const VmfEvent *event, GError **error)
{
    put_u8(writer, 0x08);
    put_u16(writer, (uint16_t)event->command.code);
    put_u16(writer, event->command.length);
    if (event->command.code != VMF_COMMAND_PACKAGED)
        return flush_with(writer, event->command.payload, event->command.length, error);
    put_u32(writer, event->command.package);
    return flush(writer, error);
}

static void
put_start(VmfWriter *writer, const VmfEvent *event)
{
    switch (event->type) {
    case VMF_EVENT_HEADER:
        put_u32(writer, 0x5145564d);
        put_u32(writer, event->version);
        break;
    case VMF_EVENT_CONFIGURATION:
        put_configuration(writer, event->name);
        break;
    case VMF_EVENT_PAGE_BITS:
        put_subsection(writer, "configuration/target-page-bits");
        put_u32(writer, (uint32_t)event->number);
        break;
    case VMF_EVENT_UUID:
        put_subsection(writer, "configuration/uuid");
        put_bytes(writer, event->payload, 16);
        break;
    case VMF_EVENT_CAPABILITIES:
        put_subsection(writer, "configuration/capabilities");
        put_u32(writer, (uint32_t)event->number);
        break;
    default:
        put_name(writer, event->name); /* VMF_EVENT_CAPABILITY */
        break;
    }
}

/* Events that are a few numbers and names. */
static void
put_head(VmfWriter *writer, const VmfEvent *event)
{
    switch (event->type) {
    case VMF_EVENT_HEADER:
    case VMF_EVENT_CONFIGURATION:
    case VMF_EVENT_PAGE_BITS:
    case VMF_EVENT_UUID:
    case VMF_EVENT_CAPABILITIES:
    case VMF_EVENT_CAPABILITY:
        put_start(writer, event);
        break;
    case VMF_EVENT_SECTION:
        put_section(writer, event);
        break;
    case VMF_EVENT_SECTION_CLOSE:
        if (event->section.footer) {
            put_u8(writer, 0x7e);
            put_u32(writer, event->section.what->id);
        }
        break;
    case VMF_EVENT_RAM_LIST:
        put_u64(writer, event->number | 0x04);
        break;
    case VMF_EVENT_RAM_BLOCK:
        put_ram_block(writer, event->block);
        break;
    case VMF_EVENT_RAM_FLUSH:
        put_u64(writer, 0x200);
        break;
    case VMF_EVENT_RAM_EOS:
        put_u64(writer, 0x10);
        break;
    case VMF_EVENT_BITMAP:
        put_bitmap(writer, event);
        break;
    case VMF_EVENT_BLOCK:
        put_u64(writer, event->disk.word);
        if (event->disk.device)
            put_name(writer, event->disk.device);
        break;
    case VMF_EVENT_VFIO:
        put_u64(writer, event->vfio.tag);
        if (event->vfio.tag == VMF_VFIO_DATA)
            put_u64(writer, event->vfio.length);
        break;
    case VMF_EVENT_EOF:
        put_u8(writer, 0x00);
        break;
    case VMF_EVENT_DESCRIPTION:
        put_u8(writer, 0x06);
        put_u32(writer, (uint32_t)event->number);
        break;
    default: /* no bytes of its own */
        break;
    }
}

gboolean
vmf_writer_put(VmfWriter *writer, const VmfEvent *event, GError **error)
{
    switch (event->type) {
    case VMF_EVENT_PAGE:
        return put_page(writer, &event->page, error);
    case VMF_EVENT_COMMAND:
        return put_command(writer, event, error);
    case VMF_EVENT_DATA:
        return writer->write(event->data.bytes, event->data.length, writer->user_data, error);
    default:
        put_head(writer, event);
        return flush(writer, error);
    }
}
