/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests of the delta stage: a guest of two RAM blocks that changes at random, QEMU's stream of
 * it, and the memory that a destination makes of a stream.
 */
#pragma once

#include "stream-kit.h"

#include "stream/page.h"

#define GUEST_BLOCKS 2
#define GUEST_PAGES 64 /* of each block */

typedef struct {
    GRand *rand;
    GByteArray *stream;
    uint8_t memory[GUEST_BLOCKS][GUEST_PAGES][KIT_PAGE];
    int last; /* block named last; -1: none */
} Guest;

static const char *const guest_names[GUEST_BLOCKS] = {"pc.ram", "vga.vram"};

/* Header and START with the block list; a section is not open. */
static inline void
guest_begin(Guest *guest, guint32 seed)
{
    memset(guest, 0, sizeof *guest);
    guest->rand = g_rand_new_with_seed(seed);
    guest->stream = kit_stream("pc");
    guest->last = -1;
    kit_section(guest->stream, VMF_SECTION_START, 2, "ram", 4);
    kit_number(guest->stream, (uint64_t)GUEST_BLOCKS * GUEST_PAGES * KIT_PAGE | 4, 8);
    for (guint i = 0; i < GUEST_BLOCKS; i++) {
        kit_name(guest->stream, guest_names[i]);
        kit_number(guest->stream, GUEST_PAGES * KIT_PAGE, 8);
    }
    kit_ram_end(guest->stream);
}

static inline void
guest_clear(Guest *guest)
{
    g_rand_free(guest->rand);
    g_byte_array_unref(guest->stream);
}

/* One record of the page as it is. */
static inline void
guest_send(Guest *guest, guint block, guint page)
{
    const uint8_t *bytes = guest->memory[block][page];
    gboolean zero = bytes[0] == 0 && memcmp(bytes, bytes + 1, KIT_PAGE - 1) == 0;
    gboolean named = guest->last != (int)block;

    kit_number(guest->stream, (uint64_t)page * KIT_PAGE | (zero ? 0x02 : 0x08) | (named ? 0 : 0x20),
               8);
    if (named)
        kit_name(guest->stream, guest_names[block]);
    guest->last = (int)block;
    if (zero)
        kit_number(guest->stream, 0, 1);
    else
        kit_bytes(guest->stream, bytes, KIT_PAGE);
}

/* A page becomes all new, a little different, zero, or stays. */
static inline void
guest_change(Guest *guest, guint block, guint page)
{
    uint8_t *bytes = guest->memory[block][page];

    switch (g_rand_int_range(guest->rand, 0, 6)) {
    case 0:
        for (guint i = 0; i < KIT_PAGE; i++)
            bytes[i] = (uint8_t)g_rand_int(guest->rand);
        break;
    case 1:
        memset(bytes, 0, KIT_PAGE);
        break;
    case 2:
        break;
    default:
        for (guint i = 0; i < 20; i++)
            bytes[g_rand_int_range(guest->rand, 0, KIT_PAGE)] = (uint8_t)g_rand_int(guest->rand);
        break;
    }
}

/* A PART in which `share` of 100 pages changed, or came again. */
static inline void
guest_pass(Guest *guest, int share)
{
    kit_section(guest->stream, VMF_SECTION_PART, 2, NULL, 0);
    for (guint block = 0; block < GUEST_BLOCKS; block++)
        for (guint page = 0; page < GUEST_PAGES; page++)
            if (g_rand_int_range(guest->rand, 0, 100) < share) {
                guest_change(guest, block, page);
                guest_send(guest, block, page);
            }
    kit_ram_end(guest->stream);
}

/* END, device state, and the end of the stream. */
static inline void
guest_end(Guest *guest)
{
    kit_section(guest->stream, VMF_SECTION_END, 2, NULL, 0);
    kit_ram_end(guest->stream);
    kit_section(guest->stream, VMF_SECTION_FULL, 7, "dev", 3);
    kit_bytes(guest->stream, "\1\2\3\4", 4);
    kit_footer(guest->stream, 7);
    kit_number(guest->stream, 0, 1);
}

/* What a destination has after this stream is the guest's memory. */
static inline void
guest_verify(const Guest *guest, const uint8_t *data, gsize length)
{
    g_autoptr(VmfReader) reader = vmf_reader_new(&kit_opaque);
    g_autofree uint8_t *memory = g_malloc0(sizeof guest->memory);
    VmfReadStatus status;
    VmfEvent event;

    vmf_reader_feed(reader, data, length);
    while ((status = vmf_reader_next(reader, &event, NULL)) == VMF_READ_EVENT)
        if (event.type == VMF_EVENT_PAGE) {
            gsize at = event.page.block->index * GUEST_PAGES * KIT_PAGE + event.page.address;

            assert_true(vmf_page_apply(&event.page, memory + at, KIT_PAGE, NULL));
        }
    assert_int_equal(status, VMF_READ_MORE);
    assert_true(vmf_reader_end(reader, NULL));
    assert_memory_equal(memory, guest->memory, sizeof guest->memory);
}
