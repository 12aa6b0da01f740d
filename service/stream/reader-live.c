/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bodies of other live sections: dirty-bitmap, block migration, VFIO. */
#include "stream/reader-private.h"

#define BITMAP_WIDER 0x80u /* in the first byte of flags: two bytes; in the second: four */
#define BLOCK_FLAGS 0x1ffu

static VmfStep step_bitmap(VmfReader *reader, VmfCursor *cursor, VmfEvent *event);
static VmfStep step_block(VmfReader *reader, VmfCursor *cursor, VmfEvent *event);
static VmfStep step_vfio(VmfReader *reader, VmfCursor *cursor, VmfEvent *event);

const VmfState vmf_state_bitmap = {step_bitmap, "a chunk of a dirty bitmap", FALSE};
const VmfState vmf_state_block = {step_block, "a chunk of a block migration", FALSE};
const VmfState vmf_state_vfio = {step_vfio, "a tag of a VFIO device", FALSE};

static uint32_t
take_bitmap_flags(VmfCursor *cursor, uint8_t *ret_width)
{
    uint32_t flags = vmf_cursor_u8(cursor);

    *ret_width = 1;
    if (!(flags & BITMAP_WIDER))
        return flags;
    flags = flags << 8 | vmf_cursor_u8(cursor);
    *ret_width = 2;
    if (!(flags & BITMAP_WIDER))
        return flags;
    *ret_width = 4;
    return flags << 16 | vmf_cursor_u16(cursor);
}

/* The flags proper, without the marks of their width. */
static uint32_t
plain_bitmap_flags(uint32_t flags, uint8_t width)
{
    if (width == 2)
        return flags & ~(BITMAP_WIDER << 8);
    if (width == 4)
        return flags & ~(BITMAP_WIDER << 24 | BITMAP_WIDER << 16);
    return flags;
}

static VmfStep
step_bitmap(VmfReader *reader, VmfCursor *cursor, VmfEvent *event)
{
    uint32_t known = VMF_BITMAP_EOS | VMF_BITMAP_ZEROES | VMF_BITMAP_NAME | VMF_BITMAP_NODE |
                     VMF_BITMAP_START | VMF_BITMAP_COMPLETE | VMF_BITMAP_BITS;
    const VmfState *next = &vmf_state_bitmap;
    uint32_t flags;

    memset(&event->bitmap, 0, sizeof event->bitmap);
    flags = take_bitmap_flags(cursor, &event->bitmap.width);
    flags = plain_bitmap_flags(flags, event->bitmap.width);
    if (cursor->need)
        return VMF_STEP_SHORT;
    if (flags & ~known)
        return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, 0,
                               "expected known flags of a dirty bitmap, found 0x%x", flags);
    event->bitmap.flags = flags;
    if (flags & VMF_BITMAP_NODE) {
        if (!vmf_reader_take_name(reader, cursor, reader->text[0]))
            return vmf_reader_missing(reader);
        event->bitmap.node = reader->text[0];
    }
    if (flags & VMF_BITMAP_NAME) {
        if (!vmf_reader_take_name(reader, cursor, reader->text[1]))
            return vmf_reader_missing(reader);
        event->bitmap.name = reader->text[1];
    }
    if (flags & VMF_BITMAP_START) {
        event->bitmap.granularity = vmf_cursor_u32(cursor);
        event->bitmap.start_flags = vmf_cursor_u8(cursor);
    } else if (flags & VMF_BITMAP_BITS) {
        event->bitmap.sector = vmf_cursor_u64(cursor);
        event->bitmap.sectors = vmf_cursor_u32(cursor);
        if (!(flags & VMF_BITMAP_ZEROES))
            event->bitmap.length = vmf_cursor_u64(cursor);
    }
    if (cursor->need)
        return VMF_STEP_SHORT;
    if (flags & VMF_BITMAP_EOS)
        next = &vmf_state_close;
    event->type = VMF_EVENT_BITMAP;
    vmf_reader_announce(reader, VMF_DATA_BITMAP, event->bitmap.length, next);
    return VMF_STEP_EVENT;
}

static VmfStep
step_block(VmfReader *reader, VmfCursor *cursor, VmfEvent *event)
{
    uint64_t word = vmf_cursor_u64(cursor);
    uint32_t flags = (uint32_t)word & BLOCK_FLAGS;

    event->disk.word = word;
    event->disk.device = NULL;
    event->disk.length = 0;
    if (cursor->need)
        return VMF_STEP_SHORT;
    switch (flags) {
    case VMF_BLOCK_DEVICE:
    case VMF_BLOCK_DEVICE | VMF_BLOCK_ZERO:
        if (!vmf_reader_take_name(reader, cursor, reader->text[0]))
            return vmf_reader_missing(reader);
        event->disk.device = reader->text[0];
        event->disk.length = flags & VMF_BLOCK_ZERO ? 0 : VMF_BLOCK_CHUNK;
        break;
    case VMF_BLOCK_PROGRESS:
    case VMF_BLOCK_EOS:
        break;
    default:
        return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, 0,
                               "expected a chunk of a block migration, found flags 0x%x", flags);
    }
    event->type = VMF_EVENT_BLOCK;
    vmf_reader_announce(reader, VMF_DATA_BLOCK, event->disk.length,
                        flags == VMF_BLOCK_EOS ? &vmf_state_close : &vmf_state_block);
    return VMF_STEP_EVENT;
}

static VmfStep
step_vfio(VmfReader *reader, VmfCursor *cursor, VmfEvent *event)
{
    uint64_t tag = vmf_cursor_u64(cursor);
    uint64_t length = 0;
    const VmfState *next = &vmf_state_vfio;

    if (cursor->need)
        return VMF_STEP_SHORT;
    switch (tag) {
    case VMF_VFIO_SETUP:
        break;
    case VMF_VFIO_DATA:
        length = vmf_cursor_u64(cursor);
        if (cursor->need)
            return VMF_STEP_SHORT;
        break;
    case VMF_VFIO_END:
    case VMF_VFIO_INIT_SENT: /* takes the place of END */
        next = &vmf_state_close;
        break;
    default:
        return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, 0,
                               "expected a tag of VFIO state, found 0x%" G_GINT64_MODIFIER "x",
                               tag);
    }
    event->type = VMF_EVENT_VFIO;
    event->vfio.tag = tag;
    event->vfio.length = length;
    vmf_reader_announce(reader, VMF_DATA_VFIO, length, next);
    return VMF_STEP_EVENT;
}
