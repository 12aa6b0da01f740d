/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pages of a mapped-ram file, read front to back: behind a block's list entry its bitmap, padding
 * to an aligned offset, and then every page at its place, absent ones as a hole.
 *
 * Offsets in the file are absolute, and the stream may start anywhere in it; but the bitmap
 * directly follows the entry, so the place of the pages is known from the difference.
 */
#include "stream/reader-private.h"

#define MAPPED_BLOCK_MAX (G_GUINT64_CONSTANT(1) << 46)

static VmfStep step_padding(VmfReader *reader, VmfCursor *cursor, VmfEvent *event);
static VmfStep step_page(VmfReader *reader, VmfCursor *cursor, VmfEvent *event);

static const VmfState state_padding = {step_padding, "the pages of a mapped RAM block", FALSE};
static const VmfState state_page = {step_page, "a page of a mapped RAM block", FALSE};

VmfStep
vmf_reader_begin_mapped(VmfReader *reader, const VmfRamBlock *block, size_t behind)
{
    uint64_t pages = block->length / reader->page_size;
    uint64_t bitmap = (pages + 63) / 64 * 8;
    uint64_t distance = block->pages_offset - block->bitmap_offset;

    if (block->length > MAPPED_BLOCK_MAX || block->length % reader->page_size != 0)
        return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, behind,
                               "expected a mapped RAM block of whole pages and at most 64 TiB, "
                               "found \"%s\" of %" G_GUINT64_FORMAT " bytes",
                               block->name, block->length);
    if (block->bitmap_offset < reader->intake.offset + behind ||
        block->pages_offset < block->bitmap_offset || distance < bitmap)
        return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, behind,
                               "expected bitmap and pages of mapped RAM block \"%s\" one behind "
                               "the other, found offsets %" G_GUINT64_FORMAT
                               " and %" G_GUINT64_FORMAT,
                               block->name, block->bitmap_offset, block->pages_offset);
    reader->mapped_block = block;
    reader->mapped_page = 0;
    reader->mapped_bitmap_left = bitmap;
    reader->mapped_padding = distance - bitmap;
    g_byte_array_set_size(reader->mapped_bitmap, 0);
    vmf_reader_announce(reader, VMF_DATA_MAPPED, bitmap, &state_padding);
    return VMF_STEP_EVENT;
}

void
vmf_reader_saw_bitmap(VmfReader *reader, const uint8_t *bytes, size_t length)
{
    g_byte_array_append(reader->mapped_bitmap, bytes, (guint)length);
    reader->mapped_bitmap_left -= length;
}

static VmfStep
step_padding(VmfReader *reader, VmfCursor *cursor, VmfEvent *event)
{
    vmf_reader_announce(reader, VMF_DATA_MAPPED, reader->mapped_padding, &state_page);
    return VMF_STEP_AGAIN;
}

/* The bitmap is little-endian on all hosts whose files are read here. */
static gboolean
is_present(const VmfReader *reader, uint64_t page)
{
    return reader->mapped_bitmap->data[page / 8] >> (page % 8) & 1;
}

static uint64_t
absent_from(const VmfReader *reader, uint64_t page, uint64_t pages)
{
    uint64_t first = page;

    while (page < pages && !is_present(reader, page))
        page++;
    return page - first;
}

static VmfStep
step_page(VmfReader *reader, VmfCursor *cursor, VmfEvent *event)
{
    const VmfRamBlock *block = reader->mapped_block;
    uint64_t pages = block->length / reader->page_size;
    uint64_t absent = absent_from(reader, reader->mapped_page, pages);
    const uint8_t *data;

    if (reader->mapped_page == pages) {
        vmf_reader_next_block(reader);
        return VMF_STEP_AGAIN;
    }
    if (absent > 0) {
        vmf_reader_announce(reader, VMF_DATA_MAPPED, absent * reader->page_size, &state_page);
        reader->mapped_page += absent;
        return VMF_STEP_AGAIN;
    }
    data = vmf_cursor_take(cursor, reader->page_size);
    if (cursor->need)
        return VMF_STEP_SHORT;
    event->type = VMF_EVENT_PAGE;
    event->page = (VmfPage){.kind = VMF_PAGE_MAPPED,
                            .block = block,
                            .address = reader->mapped_page * reader->page_size,
                            .data = data,
                            .length = reader->page_size};
    reader->mapped_page++;
    return VMF_STEP_EVENT;
}
