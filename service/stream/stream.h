/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QEMU's migration stream: what stands in it, a reader and a writer.
 *
 * The reader is incremental. Its user hands it bytes as they come, cut anywhere, and takes events
 * out until it asks for more:
 *
 *     vmf_reader_feed(reader, data, length);
 *     while ((status = vmf_reader_next(reader, &event, &error)) == VMF_READ_EVENT)
 *         use(&event);
 *     ... VMF_READ_MORE: `data` is used up and may be reused; VMF_READ_ERROR: `error` is set
 *
 * and, at the end of the input, vmf_reader_end().
 *
 * Every byte of the input belongs to exactly one event, in order (`raw`): forwarding the raw bytes
 * of all events copies the stream. The writer does not use them: it encodes the fields again, so
 * that events may be changed, left out or added, and without a change the bytes are the same.
 *
 * Ownership: pointers in an event are borrowed, from the input or from the reader, and hold until
 * the next call on that reader; RAM blocks and live sections hold as long as the reader. Page data
 * is never copied but for the one record that a cut of the input runs through.
 * Memory: constant but for the list of RAM blocks (VMF_RAM_BLOCKS_MAX) and, in mapped-ram files,
 * the bitmap of one block (1/32768 of its size, taken as its bytes arrive).
 * Threads: a reader or writer belongs to one thread at a time.
 * Errors: VMF_ERROR_BAD_STREAM, or VMF_ERROR_NOT_SUPPORTED for what is recognized and not read;
 * messages carry the byte offset and what was expected there. An error is final.
 * Units: offsets and lengths are bytes; sectors are 512 bytes. Integers are in host order.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "stream/layout.h"

#define VMF_NAME_SIZE 256       /* a name on the wire has at most 255 bytes, and a NUL here */
#define VMF_RAM_BLOCKS_MAX 4096 /* RAM blocks of one guest */
#define VMF_LIVE_SECTIONS_MAX 4096
#define VMF_PAGE_BITS_DEFAULT 12 /* of a stream that does not say */

/* What kind of connection this is, told by its first bytes. */
typedef enum {
    VMF_CONNECTION_UNKNOWN,  /* more bytes are needed, or nothing that is known */
    VMF_CONNECTION_MAIN,     /* "QEVM" */
    VMF_CONNECTION_RECOVERY, /* the main connection after a break in postcopy: no header */
    VMF_CONNECTION_PREEMPT,  /* RAM records without a section around them */
    VMF_CONNECTION_MULTIFD,  /* packets of pages: stream/multifd.h */
    VMF_CONNECTION_TLS,      /* encrypted by QEMU: opaque */
    VMF_CONNECTION_IMAGE,    /* libvirt's save image: stream/image.h */
} VmfConnection;

#define VMF_SNIFF_SIZE 8

/* Looks at the first bytes of a connection; VMF_SNIFF_SIZE bytes always decide. */
VmfConnection vmf_connection_sniff(const uint8_t *data, size_t length);

/* Section types, with their value on the wire. */
typedef enum {
    VMF_SECTION_START = 1,
    VMF_SECTION_PART = 2,
    VMF_SECTION_END = 3,
    VMF_SECTION_FULL = 4,
} VmfSectionType;

/*
 * How the reader knows where the body of a section ends. Device state carries no length, so the
 * reader says what it relied on.
 */
typedef enum {
    VMF_EXTENT_FORMAT,    /* the body says so itself */
    VMF_EXTENT_DESCRIBED, /* the vmdescription gave its size (VmfReaderOptions.layout) */
    VMF_EXTENT_SCANNED,   /* looked for its footer with a plausible element after it */
    VMF_EXTENT_OPAQUE,    /* not known: it is the rest of the package or of the stream */
} VmfExtent;

/* What the body of a section is. */
typedef enum {
    VMF_BODY_RAM,
    VMF_BODY_DIRTY_BITMAP,
    VMF_BODY_BLOCK, /* block migration */
    VMF_BODY_VFIO,
    VMF_BODY_DEVICE, /* device state, or a live section of a kind not known */
} VmfBody;

/* One section of the guest: a START/FULL header, referred to by PART and END. */
typedef struct {
    uint32_t id;
    uint32_t instance;
    uint32_t version;
    VmfBody body;
    gboolean presumed; /* named by a PART only (recovery connection): taken for RAM */
    char name[VMF_NAME_SIZE];
} VmfSection;

typedef enum {
    VMF_COMMAND_OPEN_RETURN_PATH = 1,
    VMF_COMMAND_PING = 2,
    VMF_COMMAND_POSTCOPY_ADVISE = 3,
    VMF_COMMAND_POSTCOPY_LISTEN = 4,
    VMF_COMMAND_POSTCOPY_RUN = 5,
    VMF_COMMAND_POSTCOPY_RAM_DISCARD = 6,
    VMF_COMMAND_PACKAGED = 7,
    VMF_COMMAND_ENABLE_COLO = 8,
    VMF_COMMAND_POSTCOPY_RESUME = 9,
    VMF_COMMAND_RECV_BITMAP = 10,
    VMF_COMMAND_SWITCHOVER_START = 11,
} VmfCommand;

/* "ping", "postcopy-advise", ...; "unknown" for others. */
const char *vmf_command_name(VmfCommand command);

typedef struct {
    char name[VMF_NAME_SIZE];
    guint index;            /* in the order of the list: a key for what a user keeps per block */
    uint64_t length;        /* 0: not known (a connection without a block list) */
    uint64_t page_size;     /* 0: the host's; only with postcopy and huge pages */
    uint64_t guest_address; /* only with x-ignore-shared */
    gboolean has_guest_address;
    gboolean mapped; /* mapped-ram: pages at fixed places of the file */
    uint64_t mapped_page_size;
    uint64_t bitmap_offset, pages_offset; /* of the file the stream was written to */
} VmfRamBlock;

typedef enum {
    VMF_PAGE_ZERO,       /* `fill` repeated */
    VMF_PAGE_WHOLE,      /* `data`: the page */
    VMF_PAGE_XBZRLE,     /* `data`: runs over the page's previous content, checked for bounds */
    VMF_PAGE_COMPRESSED, /* `data`: one zlib stream */
    VMF_PAGE_MAPPED,     /* `data`: the page, from its place in a mapped-ram file */
    VMF_PAGE_KINDS
} VmfPageKind;

/* "zero", "whole", "xbzrle", "compressed", "mapped" */
const char *vmf_page_kind_name(VmfPageKind kind);

typedef struct {
    VmfPageKind kind;
    uint8_t fill;
    gboolean continued; /* on the wire the block is not named: as in the record before */
    const VmfRamBlock *block;
    uint64_t address; /* inside the block */
    const uint8_t *data;
    uint32_t length;
} VmfPage;

/* Whose bytes VMF_EVENT_DATA carries. They come in pieces, as the input does. */
typedef enum {
    VMF_DATA_DEVICE,      /* body of a device section; its length is told by `extent` */
    VMF_DATA_BITMAP,      /* bits of a dirty bitmap */
    VMF_DATA_BLOCK,       /* disk content of a block migration */
    VMF_DATA_VFIO,        /* state of a VFIO device */
    VMF_DATA_MAPPED,      /* mapped-ram: bitmap, padding, absent pages */
    VMF_DATA_DESCRIPTION, /* JSON text of the vmdescription */
    VMF_DATA_PACKAGE,     /* rest of a package of which the reader cannot find the sections */
    VMF_DATA_TAIL,        /* rest of the stream, likewise */
    VMF_DATA_TRAILER,     /* bytes after the vmdescription; QEMU ignores them */
} VmfDataRole;

typedef enum {
    VMF_EVENT_HEADER,        /* .version */
    VMF_EVENT_CONFIGURATION, /* .name: machine type */
    VMF_EVENT_PAGE_BITS,     /* .number; a subsection of the configuration, as the next three */
    VMF_EVENT_UUID,          /* .payload: 16 bytes */
    VMF_EVENT_CAPABILITIES,  /* .number of VMF_EVENT_CAPABILITY that follow */
    VMF_EVENT_CAPABILITY,    /* .name */
    VMF_EVENT_SECTION,       /* .section: a section header */
    VMF_EVENT_SECTION_CLOSE, /* .section: the end of its body, with a footer or without */
    VMF_EVENT_COMMAND,       /* .command */
    VMF_EVENT_PACKAGE_END,   /* the bytes of the last VMF_COMMAND_PACKAGED are over */
    VMF_EVENT_RAM_LIST,      /* .number: bytes of all blocks; VMF_EVENT_RAM_BLOCK follow */
    VMF_EVENT_RAM_BLOCK,     /* .block */
    VMF_EVENT_PAGE,          /* .page */
    VMF_EVENT_RAM_FLUSH,     /* multifd channels are to be in step here */
    VMF_EVENT_RAM_EOS,       /* end of a RAM body */
    VMF_EVENT_BITMAP,        /* .bitmap: one chunk of dirty-bitmap */
    VMF_EVENT_BLOCK,         /* .disk: one chunk of block migration */
    VMF_EVENT_VFIO,          /* .vfio: one tag */
    VMF_EVENT_DATA,          /* .data: a piece of what the events above announced */
    VMF_EVENT_EOF,           /* end of QEMU's loading loop */
    VMF_EVENT_DESCRIPTION,   /* .number: bytes of JSON that follow as VMF_EVENT_DATA */
} VmfEventType;

typedef struct {
    VmfEventType type;
    uint64_t offset; /* of the first byte, in the connection */
    const uint8_t *raw;
    size_t raw_length;
    union {
        uint32_t version;
        uint64_t number;
        const char *name;
        const uint8_t *payload;
        const VmfRamBlock *block;
        VmfPage page;
        struct {
            VmfSectionType type;
            VmfExtent extent;
            gboolean footer; /* VMF_EVENT_SECTION_CLOSE only */
            const VmfSection *what;
        } section;
        struct {
            VmfCommand code;
            uint16_t length;
            const uint8_t *payload;
            uint32_t package; /* VMF_COMMAND_PACKAGED: bytes that follow, as events */
        } command;
        struct {
            uint32_t flags;   /* VmfBitmapFlag, as read, without the marks of its width */
            uint8_t width;    /* 1, 2 or 4 bytes of flags on the wire */
            const char *node; /* NULL: as before */
            const char *name; /* NULL: as before */
            uint32_t granularity;
            uint8_t start_flags;
            uint64_t sector;
            uint32_t sectors;
            uint64_t length; /* bytes of VMF_DATA_BITMAP that follow */
        } bitmap;
        struct {
            uint64_t word;      /* flags and sector or percent, as on the wire */
            const char *device; /* NULL but for VMF_BLOCK_DEVICE */
            uint64_t length;    /* bytes of VMF_DATA_BLOCK that follow */
        } disk;
        struct {
            uint64_t tag;
            uint64_t length; /* bytes of VMF_DATA_VFIO that follow a DATA tag */
        } vfio;
        struct {
            VmfDataRole role;
            const uint8_t *bytes;
            size_t length;
        } data;
    };
} VmfEvent;

typedef enum {
    VMF_BITMAP_EOS = 0x01,
    VMF_BITMAP_ZEROES = 0x02,
    VMF_BITMAP_NAME = 0x04,
    VMF_BITMAP_NODE = 0x08,
    VMF_BITMAP_START = 0x10,
    VMF_BITMAP_COMPLETE = 0x20,
    VMF_BITMAP_BITS = 0x40,
} VmfBitmapFlag;

typedef enum {
    VMF_BLOCK_DEVICE = 0x1,
    VMF_BLOCK_EOS = 0x2,
    VMF_BLOCK_PROGRESS = 0x4,
    VMF_BLOCK_ZERO = 0x8,
} VmfBlockFlag;

#define VMF_BLOCK_CHUNK (1u << 20)

#define VMF_VFIO_END G_GUINT64_CONSTANT(0xffffffffef100001)
#define VMF_VFIO_CONFIG G_GUINT64_CONSTANT(0xffffffffef100002)
#define VMF_VFIO_SETUP G_GUINT64_CONSTANT(0xffffffffef100003)
#define VMF_VFIO_DATA G_GUINT64_CONSTANT(0xffffffffef100004)
#define VMF_VFIO_INIT_SENT G_GUINT64_CONSTANT(0xffffffffef100005)

/* What to do with device state whose size no layout gives. */
typedef enum {
    /* Once no RAM can follow, the rest is VMF_DATA_TAIL and nothing is held back: for a pump. */
    VMF_DEVICES_OPAQUE,
    /* The same for the tail, to read it again when it is known; packages are scanned. */
    VMF_DEVICES_LATER,
    /* Find the sections by their footers, where the machine type has footers. */
    VMF_DEVICES_SCAN,
} VmfDevices;

typedef struct {
    VmfConnection connection; /* MAIN, RECOVERY or PREEMPT */
    VmfDevices devices;
    const VmfLayout *layout; /* sizes of the device sections, or NULL; borrowed */
    guint page_bits;         /* 0: VMF_PAGE_BITS_DEFAULT, unless the stream says otherwise */
} VmfReaderOptions;

typedef struct VmfReader VmfReader;

VmfReader *vmf_reader_new(const VmfReaderOptions *options);
void vmf_reader_free(VmfReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfReader, vmf_reader_free)

/*
 * A connection that belongs to the same migration knows the main one's RAM blocks and sections:
 * copied here. Without this, blocks are learned from the records, and addresses are not checked.
 */
void vmf_reader_join(VmfReader *reader, const VmfReader *main_reader);

typedef enum {
    VMF_READ_EVENT,
    VMF_READ_MORE,
    VMF_READ_ERROR,
} VmfReadStatus;

/* `data` must stay as it is until vmf_reader_next() returns VMF_READ_MORE. */
void vmf_reader_feed(VmfReader *reader, const uint8_t *data, size_t length);
VmfReadStatus vmf_reader_next(VmfReader *reader, VmfEvent *ret_event, GError **error);

/* The input is over: FALSE if the stream may not end here. */
gboolean vmf_reader_end(VmfReader *reader, GError **error);

/*
 * The device state was passed over as VMF_DATA_TAIL, its layout is known by now, and the user kept
 * the bytes: the reader stands before the tail again and takes it from vmf_reader_feed() once
 * more, with `layout` (borrowed; NULL: by footers). FALSE: there was no tail, or the reader could
 * not be put back before it.
 */
gboolean vmf_reader_reread_tail(VmfReader *reader, const VmfLayout *layout);

/* Where the next event starts. */
uint64_t vmf_reader_offset(const VmfReader *reader);

guint vmf_reader_page_size(const VmfReader *reader);

/* RAM blocks known so far, by index. */
guint vmf_reader_ram_blocks(const VmfReader *reader);
const VmfRamBlock *vmf_reader_ram_block(const VmfReader *reader, guint index);

typedef struct VmfWriter VmfWriter;

/* Takes bytes; they are borrowed for the call. */
typedef gboolean (*VmfWriteFunc)(const uint8_t *data, size_t length, gpointer user_data,
                                 GError **error);

VmfWriter *vmf_writer_new(VmfWriteFunc write, gpointer user_data);
void vmf_writer_free(VmfWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfWriter, vmf_writer_free)

/*
 * Encodes one event. A page whose block the wire would not name although another one came last
 * (because events were left out) is named. A caller that changes lengths inside a package changes
 * `command.package` too. Errors are those of `write`.
 */
gboolean vmf_writer_put(VmfWriter *writer, const VmfEvent *event, GError **error);
