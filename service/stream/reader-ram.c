/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RAM records and the block list. This is where the time goes: one step per page. */
#include "delta/xbzrle.h"
#include "stream/reader-private.h"

enum {
    RAM_OBSOLETE = 0x001,
    RAM_ZERO = 0x002,
    RAM_LIST = 0x004,
    RAM_WHOLE = 0x008,
    RAM_EOS = 0x010,
    RAM_CONTINUE = 0x020,
    RAM_XBZRLE = 0x040,
    RAM_HOOK = 0x080,
    RAM_COMPRESSED = 0x100,
    RAM_FLUSH = 0x200,
};

#define XBZRLE_ENCODING 1
#define MAPPED_VERSION 1

static VmfStep step_record(VmfReader *reader, VmfCursor *cursor, VmfEvent *event);
static VmfStep step_block(VmfReader *reader, VmfCursor *cursor, VmfEvent *event);
static VmfStep step_over(VmfReader *reader, VmfCursor *cursor, VmfEvent *event);

const VmfState vmf_state_ram = {step_record, "a RAM record", FALSE};
const VmfState vmf_state_ram_preempt = {step_record, "a RAM record", TRUE};
const VmfState vmf_state_ram_over = {step_over, "nothing more", TRUE};
static const VmfState state_block = {step_block, "an entry of the RAM block list", FALSE};

static const char *const page_kind_names[VMF_PAGE_KINDS] = {"zero", "whole", "xbzrle", "compressed",
                                                            "mapped"};

const char *
vmf_page_kind_name(VmfPageKind kind)
{
    g_return_val_if_fail((guint)kind < VMF_PAGE_KINDS, "unknown");
    return page_kind_names[kind];
}

/* NULL: too many, the reader has failed. */
static VmfRamBlock *
add_block(VmfReader *reader, const char *name, size_t at)
{
    VmfRamBlock *block;

    if (reader->blocks->len >= VMF_RAM_BLOCKS_MAX) {
        vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, at, "expected at most %d RAM blocks",
                        VMF_RAM_BLOCKS_MAX);
        return NULL;
    }
    block = g_new0(VmfRamBlock, 1);
    g_strlcpy(block->name, name, sizeof block->name);
    block->index = reader->blocks->len;
    g_ptr_array_add(reader->blocks, block);
    g_hash_table_insert(reader->blocks_by_name, block->name, block);
    return block;
}

/* The block a record names. NULL: short, or failed. */
static const VmfRamBlock *
take_block(VmfReader *reader, VmfCursor *cursor)
{
    size_t at = cursor->at;
    char *name = reader->text[0];
    const VmfRamBlock *block;

    if (!vmf_reader_take_name(reader, cursor, name))
        return NULL;
    block = g_hash_table_lookup(reader->blocks_by_name, name);
    if (!block && !reader->blocks_listed)
        block = add_block(reader, name, at);
    else if (!block)
        vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, at,
                        "expected a RAM block of the list, found \"%s\"", name);
    return block;
}

static VmfStep
read_xbzrle(VmfReader *reader, VmfCursor *cursor, VmfPage *page)
{
    size_t at = cursor->at;
    uint8_t encoding = vmf_cursor_u8(cursor);
    uint16_t length = vmf_cursor_u16(cursor);

    if (cursor->need)
        return VMF_STEP_SHORT;
    if (encoding != XBZRLE_ENCODING)
        return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, at,
                               "expected XBZRLE encoding %d, found %u", XBZRLE_ENCODING, encoding);
    if (length > reader->page_size)
        return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, at + 1,
                               "expected at most %u bytes of XBZRLE, found %u", reader->page_size,
                               length);
    page->kind = VMF_PAGE_XBZRLE;
    page->length = length;
    page->data = vmf_cursor_take(cursor, length);
    if (cursor->need)
        return VMF_STEP_SHORT;
    if (!vmf_xbzrle_fits(page->data, length, reader->page_size))
        return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, at + 3,
                               "expected XBZRLE runs inside a page of %u bytes", reader->page_size);
    return VMF_STEP_EVENT;
}

static VmfStep
read_compressed(VmfReader *reader, VmfCursor *cursor, VmfPage *page)
{
    size_t at = cursor->at;
    uint32_t length = vmf_cursor_u32(cursor);
    /* zlib's own bound of what a page can become */
    uint32_t most = reader->page_size + (reader->page_size >> 12) + (reader->page_size >> 14) +
                    (reader->page_size >> 25) + 13;

    if (cursor->need)
        return VMF_STEP_SHORT;
    if (length > most)
        return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, at,
                               "expected at most %u bytes of a compressed page, found %u", most,
                               length);
    page->kind = VMF_PAGE_COMPRESSED;
    page->length = length;
    page->data = vmf_cursor_take(cursor, length);
    return cursor->need ? VMF_STEP_SHORT : VMF_STEP_EVENT;
}

static VmfStep
check_address(VmfReader *reader, const VmfPage *page)
{
    const VmfRamBlock *block = page->block;

    if (reader->blocks_listed &&
        (page->address >= block->length || block->length - page->address < reader->page_size))
        return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, 0,
                               "expected a page inside RAM block \"%s\" of %" G_GUINT64_FORMAT
                               " bytes, found address 0x%" G_GINT64_MODIFIER "x",
                               block->name, block->length, page->address);
    return VMF_STEP_EVENT;
}

static inline VmfStep
read_page(VmfReader *reader, VmfCursor *cursor, VmfEvent *event, uint64_t word)
{
    VmfPage *page = &event->page;
    uint32_t flags = (uint32_t)word & (reader->page_size - 1);
    VmfStep step = VMF_STEP_EVENT;

    page->address = word & ~(uint64_t)(reader->page_size - 1);
    page->continued = (flags & RAM_CONTINUE) != 0;
    page->block = page->continued ? reader->block : take_block(reader, cursor);
    if (G_UNLIKELY(!page->block)) {
        if (page->continued)
            return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, 0,
                                   "expected the name of a RAM block before it is continued");
        return vmf_reader_missing(reader);
    }
    switch (flags & ~RAM_CONTINUE) {
    case RAM_WHOLE:
        page->kind = VMF_PAGE_WHOLE;
        page->length = reader->page_size;
        page->data = vmf_cursor_take(cursor, page->length);
        break;
    case RAM_ZERO:
        page->kind = VMF_PAGE_ZERO;
        page->length = 0;
        page->data = NULL;
        page->fill = vmf_cursor_u8(cursor);
        break;
    case RAM_XBZRLE:
        step = read_xbzrle(reader, cursor, page);
        break;
    default:
        step = read_compressed(reader, cursor, page);
        break;
    }
    if (G_UNLIKELY(cursor->need))
        return VMF_STEP_SHORT;
    if (step == VMF_STEP_EVENT)
        step = check_address(reader, page);
    if (step != VMF_STEP_EVENT)
        return step;
    reader->block = page->block;
    event->type = VMF_EVENT_PAGE;
    return VMF_STEP_EVENT;
}

static VmfStep
read_eos(VmfReader *reader, VmfEvent *event)
{
    event->type = VMF_EVENT_RAM_EOS;
    if (reader->options.connection == VMF_CONNECTION_PREEMPT)
        reader->state = &vmf_state_ram_over;
    else
        reader->state = &vmf_state_close;
    return VMF_STEP_EVENT;
}

static VmfStep
read_list(VmfReader *reader, VmfEvent *event, uint64_t total)
{
    if (reader->options.connection == VMF_CONNECTION_PREEMPT ||
        reader->section_type != VMF_SECTION_START || reader->blocks_listed)
        return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, 0,
                               "expected one RAM block list, where RAM starts");
    event->type = VMF_EVENT_RAM_LIST;
    event->number = total;
    reader->list_left = total;
    reader->blocks_listed = TRUE;
    vmf_reader_next_block(reader);
    return VMF_STEP_EVENT;
}

static VmfStep
refuse(VmfReader *reader, uint32_t flags)
{
    if (flags & RAM_HOOK)
        return vmf_reader_fail(reader, VMF_ERROR_NOT_SUPPORTED, 0,
                               "RAM hook records (RDMA) cannot be read");
    return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, 0,
                           "expected a RAM record, found flags 0x%03x", flags);
}

static VmfStep
step_record(VmfReader *reader, VmfCursor *cursor, VmfEvent *event)
{
    uint64_t word = vmf_cursor_u64(cursor);
    uint32_t flags = (uint32_t)word & (reader->page_size - 1);

    if (G_UNLIKELY(cursor->need))
        return VMF_STEP_SHORT;
    switch (flags) {
    case RAM_WHOLE:
    case RAM_WHOLE | RAM_CONTINUE:
    case RAM_ZERO:
    case RAM_ZERO | RAM_CONTINUE:
    case RAM_XBZRLE:
    case RAM_XBZRLE | RAM_CONTINUE:
    case RAM_COMPRESSED:
    case RAM_COMPRESSED | RAM_CONTINUE:
        return read_page(reader, cursor, event, word);
    case RAM_LIST:
        return read_list(reader, event, word - flags);
    case RAM_EOS:
    case RAM_FLUSH:
        if (word != flags)
            return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, 0,
                                   "expected address 0 with RAM flags 0x%03x", flags);
        if (flags == RAM_EOS)
            return read_eos(reader, event);
        event->type = VMF_EVENT_RAM_FLUSH;
        return VMF_STEP_EVENT;
    default:
        return refuse(reader, flags);
    }
}

void
vmf_reader_next_block(VmfReader *reader)
{
    reader->state = reader->list_left > 0 ? &state_block : &vmf_state_ram;
}

/*
 * A block whose pages are not the host's has its page size sent, if postcopy was advised; nothing
 * marks the field. But it is one of the sizes the advice named, and neither the next entry (its
 * first byte is the length of a name) nor a record (its low bits are flags) looks like that.
 */
static gboolean
page_size_follows(const VmfReader *reader, const VmfCursor *cursor)
{
    VmfCursor peek = *cursor;
    uint64_t value = vmf_cursor_u64(&peek);

    return value > reader->page_size && (value & (value - 1)) == 0 &&
           (value & reader->advised_pages) != 0;
}

static VmfStep
take_mapped_header(VmfReader *reader, VmfCursor *cursor, VmfRamBlock *block)
{
    size_t at = cursor->at;
    uint32_t version = vmf_cursor_u32(cursor);

    block->mapped = TRUE;
    block->mapped_page_size = vmf_cursor_u64(cursor);
    block->bitmap_offset = vmf_cursor_u64(cursor);
    block->pages_offset = vmf_cursor_u64(cursor);
    if (cursor->need)
        return VMF_STEP_SHORT;
    if (version != MAPPED_VERSION || block->mapped_page_size != reader->page_size)
        return vmf_reader_fail(reader, VMF_ERROR_NOT_SUPPORTED, at,
                               "expected mapped-ram version %d with pages of %u bytes, found "
                               "version %u with %" G_GUINT64_FORMAT,
                               MAPPED_VERSION, reader->page_size, version, block->mapped_page_size);
    return VMF_STEP_EVENT;
}

static VmfStep
take_entry(VmfReader *reader, VmfCursor *cursor, VmfRamBlock *block)
{
    if (!vmf_reader_take_name(reader, cursor, block->name))
        return vmf_reader_missing(reader);
    block->length = vmf_cursor_u64(cursor);
    if (reader->advised_pages & ~(uint64_t)reader->page_size) {
        if (!cursor->need && cursor->length - cursor->at < sizeof(uint64_t))
            cursor->need = cursor->at + sizeof(uint64_t);
        if (!cursor->need && page_size_follows(reader, cursor))
            block->page_size = vmf_cursor_u64(cursor);
    }
    if (reader->ignore_shared) {
        block->guest_address = vmf_cursor_u64(cursor);
        block->has_guest_address = TRUE;
    }
    if (reader->mapped_ram && !cursor->need)
        return take_mapped_header(reader, cursor, block);
    return cursor->need ? VMF_STEP_SHORT : VMF_STEP_EVENT;
}

static VmfStep
step_block(VmfReader *reader, VmfCursor *cursor, VmfEvent *event)
{
    VmfRamBlock entry = {0};
    VmfStep step = take_entry(reader, cursor, &entry);
    VmfRamBlock *block;

    if (step != VMF_STEP_EVENT)
        return step;
    if (entry.length > reader->list_left)
        return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, 0,
                               "expected RAM blocks of %" G_GUINT64_FORMAT
                               " bytes more, found \"%s\" of %" G_GUINT64_FORMAT,
                               reader->list_left, entry.name, entry.length);
    if (g_hash_table_contains(reader->blocks_by_name, entry.name))
        return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, 0,
                               "expected every RAM block once, found \"%s\" again", entry.name);
    block = add_block(reader, entry.name, 0);
    if (!block)
        return VMF_STEP_FAIL;
    entry.index = block->index;
    *block = entry;
    reader->list_left -= block->length;
    event->type = VMF_EVENT_RAM_BLOCK;
    event->block = block;
    if (block->mapped)
        return vmf_reader_begin_mapped(reader, block, cursor->at);
    vmf_reader_next_block(reader);
    return VMF_STEP_EVENT;
}

/* Behind the end of a preempt connection. */
static VmfStep
step_over(VmfReader *reader, VmfCursor *cursor, VmfEvent *event)
{
    vmf_reader_give_up(reader, VMF_DATA_TRAILER);
    return VMF_STEP_AGAIN;
}
