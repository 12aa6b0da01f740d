/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside the reader. It is a machine of steps: the current state reads one item from the cursor
 * and fills in one event, or says what is missing. A step changes nothing before it has its whole
 * item, because it is run again when more bytes are there.
 *
 *   reader.c         the driver
 *   reader-start.c   header and configuration
 *   reader-element.c sections, commands, packages, end
 *   reader-ram.c     RAM records and the block list
 *   reader-mapped.c  pages of mapped-ram files
 *   reader-live.c    dirty-bitmap, block migration, VFIO
 *   reader-device.c  bodies without a length, opaque rests
 */
#pragma once

#include "base/error.h"
#include "stream/intake.h"
#include "stream/stream.h"

#define VMF_PAGE_BITS_MIN 10
#define VMF_PAGE_BITS_MAX 16

typedef enum {
    VMF_STEP_EVENT, /* the event is filled in; the cursor stands behind it */
    VMF_STEP_AGAIN, /* only the state has changed */
    VMF_STEP_SHORT, /* the cursor knows how much is needed */
    VMF_STEP_FAIL,  /* vmf_reader_fail() was called */
} VmfStep;

typedef struct {
    VmfStep (*step)(VmfReader *reader, VmfCursor *cursor, VmfEvent *event);
    const char *expected; /* what stands here, for messages */
    gboolean may_end;     /* the input may end here */
} VmfState;

typedef enum { VMF_FOOTERS_UNKNOWN, VMF_FOOTERS_YES, VMF_FOOTERS_NO } VmfFooters;

struct VmfReader {
    VmfReaderOptions options;
    VmfIntake intake;
    const VmfState *state;
    GError *error;

    guint page_bits;
    uint32_t page_size;
    VmfFooters footers;
    gboolean ignore_shared, mapped_ram; /* capabilities that change the block list */
    uint64_t capabilities_left;
    uint64_t advised_pages; /* of POSTCOPY_ADVISE: all page sizes of RAM blocks, ORed */
    gboolean ram_flowing;   /* a RAM PART or END was seen */
    gboolean postcopy;      /* POSTCOPY_LISTEN was seen */
    gboolean in_package;
    uint64_t package_left;

    GHashTable *sections; /* id -> VmfSection, of START */
    VmfSection full;      /* the FULL section being read */
    const VmfSection *section;
    VmfSectionType section_type;
    VmfExtent extent;
    guint layout_cursor;
    uint64_t tail_offset;

    GPtrArray *blocks;          /* VmfRamBlock */
    GHashTable *blocks_by_name; /* the same */
    gboolean blocks_listed;
    const VmfRamBlock *block; /* of the last RAM record */
    uint64_t list_left;

    const VmfState *data_next; /* state after the bytes of `data_left` */
    VmfDataRole data_role;
    uint64_t data_left;

    GByteArray *mapped_bitmap;
    uint64_t mapped_bitmap_left; /* bytes of it still to come */
    uint64_t mapped_padding;     /* bytes between it and the first page */
    uint64_t mapped_page;        /* number of the next page */
    const VmfRamBlock *mapped_block;

    char text[2][VMF_NAME_SIZE]; /* names for the event */
};

extern const VmfState vmf_state_header;
extern const VmfState vmf_state_element;
extern const VmfState vmf_state_close;
extern const VmfState vmf_state_ram;
extern const VmfState vmf_state_ram_preempt;
extern const VmfState vmf_state_ram_over;
extern const VmfState vmf_state_bitmap;
extern const VmfState vmf_state_block;
extern const VmfState vmf_state_vfio;
extern const VmfState vmf_state_data;
extern const VmfState vmf_state_scan;
extern const VmfState vmf_state_rest;

/*
 * Ends the reading with VMF_ERROR `code`, at the cursor's start plus `at`. The message is
 * "offset N (0xN): " and the rest; say what was expected.
 */
VmfStep vmf_reader_fail(VmfReader *reader, VmfError code, size_t at, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

/* A str8 as a C string. FALSE: short, or failed (name without NUL bytes expected). */
gboolean vmf_reader_take_name(VmfReader *reader, VmfCursor *cursor, char to[VMF_NAME_SIZE]);

/* Why the last take did not succeed. */
static inline VmfStep
vmf_reader_missing(VmfReader *reader)
{
    return reader->error ? VMF_STEP_FAIL : VMF_STEP_SHORT;
}

void vmf_reader_set_page_bits(VmfReader *reader, guint bits);

/* The next `length` bytes come as VMF_EVENT_DATA, then `next`. */
void vmf_reader_announce(VmfReader *reader, VmfDataRole role, uint64_t length,
                         const VmfState *next);

/* All the rest (of the package, of the stream) comes as VMF_EVENT_DATA. */
void vmf_reader_give_up(VmfReader *reader, VmfDataRole role);

/* The body of reader->section starts: sets `extent` and the state. */
VmfStep vmf_reader_begin_body(VmfReader *reader);

/* Device state without a known size starts: TRUE if the rest is to be passed over unread. */
gboolean vmf_reader_wants_tail(const VmfReader *reader);

/*
 * Behind the list entry of a block in a mapped-ram file, which ends `behind` bytes from the
 * cursor's start: its bitmap and its pages follow. The data state shows the bitmap's bytes.
 */
VmfStep vmf_reader_begin_mapped(VmfReader *reader, const VmfRamBlock *block, size_t behind);
void vmf_reader_saw_bitmap(VmfReader *reader, const uint8_t *bytes, size_t length);

/* Behind one block of the list and all that belongs to it. */
void vmf_reader_next_block(VmfReader *reader);
