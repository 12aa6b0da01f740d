/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The start of a stream: header, configuration and its subsections. */
#include "stream/reader-private.h"

#define MAGIC 0x5145564du /* "QEVM" */
#define MULTIFD_MAGIC 0x11223344u
#define VERSION 3
#define TYPE_CONFIGURATION 0x07
#define TYPE_SUBSECTION 0x05
#define CAPABILITIES_MAX 256

static VmfStep step_header(VmfReader *reader, VmfCursor *cursor, VmfEvent *event);
static VmfStep step_start(VmfReader *reader, VmfCursor *cursor, VmfEvent *event);
static VmfStep step_subsection(VmfReader *reader, VmfCursor *cursor, VmfEvent *event);
static VmfStep step_capability(VmfReader *reader, VmfCursor *cursor, VmfEvent *event);

const VmfState vmf_state_header = {step_header, "the magic and version of a stream", FALSE};
static const VmfState state_start = {step_start, "a configuration or a section", FALSE};
static const VmfState state_subsection = {step_subsection, "a subsection or a section", FALSE};
static const VmfState state_capability = {step_capability, "the name of a capability", FALSE};

static VmfStep
step_header(VmfReader *reader, VmfCursor *cursor, VmfEvent *event)
{
    uint32_t magic = vmf_cursor_u32(cursor);
    uint32_t version;

    if (cursor->need)
        return VMF_STEP_SHORT;
    if (magic == MULTIFD_MAGIC)
        return vmf_reader_fail(reader, VMF_ERROR_NOT_SUPPORTED, 0,
                               "this is a multifd connection; expected the main one");
    if (magic >> 16 == 0x1603)
        return vmf_reader_fail(reader, VMF_ERROR_NOT_SUPPORTED, 0,
                               "the stream is encrypted with TLS and cannot be read");
    if (magic != MAGIC)
        return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, 0,
                               "expected a migration stream (\"QEVM\"), found 0x%08x", magic);
    version = vmf_cursor_u32(cursor);
    if (cursor->need)
        return VMF_STEP_SHORT;
    if (version == 2)
        return vmf_reader_fail(reader, VMF_ERROR_NOT_SUPPORTED, 4,
                               "stream version 2 of old QEMU releases is not read; expected 3");
    if (version != VERSION)
        return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, 4,
                               "expected stream version 3, found %u", version);
    event->type = VMF_EVENT_HEADER;
    event->version = version;
    reader->state = &state_start;
    return VMF_STEP_EVENT;
}

/* Directly after the header. Machine types up to 2.3 send no configuration. */
static VmfStep
step_start(VmfReader *reader, VmfCursor *cursor, VmfEvent *event)
{
    uint8_t type = vmf_cursor_u8(cursor);
    uint32_t length;
    const uint8_t *name;

    if (cursor->need)
        return VMF_STEP_SHORT;
    if (type != TYPE_CONFIGURATION) {
        reader->state = &vmf_state_element;
        return VMF_STEP_AGAIN;
    }
    length = vmf_cursor_u32(cursor);
    if (!cursor->need && length >= VMF_NAME_SIZE)
        return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, 1,
                               "expected a machine type of at most %d bytes, found %u bytes",
                               VMF_NAME_SIZE - 1, length);
    name = vmf_cursor_take(cursor, length);
    if (cursor->need)
        return VMF_STEP_SHORT;
    if (memchr(name, 0, length))
        return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, 5,
                               "expected a machine type, found a NUL in it");
    memcpy(reader->text[0], name, length);
    reader->text[0][length] = 0;
    event->type = VMF_EVENT_CONFIGURATION;
    event->name = reader->text[0];
    reader->state = &state_subsection;
    return VMF_STEP_EVENT;
}

static VmfStep
read_page_bits(VmfReader *reader, VmfCursor *cursor, VmfEvent *event)
{
    size_t at = cursor->at;
    uint32_t bits = vmf_cursor_u32(cursor);

    if (cursor->need)
        return VMF_STEP_SHORT;
    if (bits < VMF_PAGE_BITS_MIN || bits > VMF_PAGE_BITS_MAX)
        return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, at,
                               "expected target page bits of %d to %d, found %u", VMF_PAGE_BITS_MIN,
                               VMF_PAGE_BITS_MAX, bits);
    vmf_reader_set_page_bits(reader, bits);
    event->type = VMF_EVENT_PAGE_BITS;
    event->number = bits;
    return VMF_STEP_EVENT;
}

static VmfStep
read_capabilities(VmfReader *reader, VmfCursor *cursor, VmfEvent *event)
{
    size_t at = cursor->at;
    uint32_t count = vmf_cursor_u32(cursor);

    if (cursor->need)
        return VMF_STEP_SHORT;
    if (count > CAPABILITIES_MAX)
        return vmf_reader_fail(reader, VMF_ERROR_BAD_STREAM, at,
                               "expected at most %d capabilities, found %u", CAPABILITIES_MAX,
                               count);
    event->type = VMF_EVENT_CAPABILITIES;
    event->number = count;
    reader->capabilities_left = count;
    if (count > 0)
        reader->state = &state_capability;
    return VMF_STEP_EVENT;
}

/* After the configuration, or after one of its subsections. */
static VmfStep
step_subsection(VmfReader *reader, VmfCursor *cursor, VmfEvent *event)
{
    uint8_t type = vmf_cursor_u8(cursor);
    char *name = reader->text[0];
    uint32_t version;

    if (cursor->need)
        return VMF_STEP_SHORT;
    if (type != TYPE_SUBSECTION) {
        reader->state = &vmf_state_element;
        return VMF_STEP_AGAIN;
    }
    if (!vmf_reader_take_name(reader, cursor, name))
        return vmf_reader_missing(reader);
    version = vmf_cursor_u32(cursor);
    if (cursor->need)
        return VMF_STEP_SHORT;
    if (version != 1)
        return vmf_reader_fail(reader, VMF_ERROR_NOT_SUPPORTED, cursor->at - 4,
                               "expected version 1 of subsection %s, found %u", name, version);
    if (strcmp(name, "configuration/target-page-bits") == 0)
        return read_page_bits(reader, cursor, event);
    if (strcmp(name, "configuration/capabilities") == 0)
        return read_capabilities(reader, cursor, event);
    if (strcmp(name, "configuration/uuid") != 0)
        return vmf_reader_fail(reader, VMF_ERROR_NOT_SUPPORTED, 1,
                               "expected a subsection of the configuration that is known "
                               "(target-page-bits, capabilities, uuid), found \"%s\"",
                               name);
    event->payload = vmf_cursor_take(cursor, 16);
    event->type = VMF_EVENT_UUID;
    return cursor->need ? VMF_STEP_SHORT : VMF_STEP_EVENT;
}

static VmfStep
step_capability(VmfReader *reader, VmfCursor *cursor, VmfEvent *event)
{
    char *name = reader->text[0];

    if (!vmf_reader_take_name(reader, cursor, name))
        return vmf_reader_missing(reader);
    if (strcmp(name, "x-ignore-shared") == 0)
        reader->ignore_shared = TRUE;
    if (strcmp(name, "mapped-ram") == 0)
        reader->mapped_ram = TRUE;
    event->type = VMF_EVENT_CAPABILITY;
    event->name = name;
    if (--reader->capabilities_left == 0)
        reader->state = &state_subsection;
    return VMF_STEP_EVENT;
}
