/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/survey.h"

#include <string.h>

#include "base/error.h"

#define SECTIONS_MAX 65536
#define PIECE (1u << 20) /* read again at once */

struct VmfSurvey {
    VmfSurveyFacts facts;
    VmfReader *reader;
    VmfSurveySection *current; /* section being read, or NULL */
    GHashTable *live;          /* id -> VmfSurveySection */
    gboolean in_package;
    GByteArray *tail; /* device state that was passed over; NULL: not kept */
    uint64_t tail_offset, tail_length;
    GByteArray *description; /* text of a description that came as such */
    gsize kept;              /* bytes in section states and tail */
    VmfSurveyFetch fetch;
    gpointer fetch_data;
};

static void
section_free(gpointer data)
{
    VmfSurveySection *section = data;

    g_clear_pointer(&section->kept, g_byte_array_unref);
    g_free(section);
}

VmfSurvey *
vmf_survey_new(VmfConnection connection)
{
    VmfSurvey *survey = g_new0(VmfSurvey, 1);
    VmfReaderOptions options = {.connection = connection, .devices = VMF_DEVICES_LATER};

    survey->reader = vmf_reader_new(&options);
    survey->live = g_hash_table_new(g_direct_hash, g_direct_equal);
    survey->tail = g_byte_array_new();
    survey->description = g_byte_array_new();
    survey->facts.connection = connection;
    survey->facts.capabilities = g_ptr_array_new_with_free_func(g_free);
    survey->facts.sections = g_ptr_array_new_with_free_func(section_free);
    survey->facts.blocks = g_ptr_array_new_with_free_func(g_free);
    survey->facts.page_size = vmf_reader_page_size(survey->reader);
    return survey;
}

void
vmf_survey_free(VmfSurvey *survey)
{
    if (!survey)
        return;
    vmf_reader_free(survey->reader);
    g_hash_table_unref(survey->live);
    g_clear_pointer(&survey->tail, g_byte_array_unref);
    g_clear_pointer(&survey->description, g_byte_array_unref);
    g_free(survey->facts.machine);
    g_ptr_array_unref(survey->facts.capabilities);
    g_ptr_array_unref(survey->facts.sections);
    g_ptr_array_unref(survey->facts.blocks);
    vmf_description_free(survey->facts.description);
    g_free(survey);
}

const VmfSurveyFacts *
vmf_survey_facts(const VmfSurvey *survey)
{
    return &survey->facts;
}

void
vmf_survey_set_fetch(VmfSurvey *survey, VmfSurveyFetch fetch, gpointer user_data)
{
    survey->fetch = fetch;
    survey->fetch_data = user_data;
}

/* Keeps bytes for later, as long as there is room. What can be read again is then given up. */
static void
keep(VmfSurvey *survey, GByteArray **array, const uint8_t *bytes, gsize length)
{
    if (!*array || survey->facts.state_dropped)
        return;
    if (length <= VMF_SURVEY_STATE_MAX - survey->kept) {
        survey->kept += length;
        g_byte_array_append(*array, bytes, (guint)length);
    } else if (survey->fetch) {
        survey->kept -= (*array)->len;
        g_clear_pointer(array, g_byte_array_unref);
    } else {
        survey->facts.state_dropped = TRUE;
    }
}

static VmfSurveySection *
new_section(VmfSurvey *survey, const VmfEvent *event)
{
    VmfSurveySection *section = g_new0(VmfSurveySection, 1);

    section->what = *event->section.what;
    section->live = event->section.type != VMF_SECTION_FULL;
    section->in_package = survey->in_package;
    section->extent = event->section.extent;
    section->offset = event->offset;
    section->state_offset = event->offset + event->raw_length;
    if (!section->live)
        section->kept = g_byte_array_new();
    else
        g_hash_table_insert(survey->live, GUINT_TO_POINTER(section->what.id), section);
    g_ptr_array_add(survey->facts.sections, section);
    return section;
}

static gboolean
begin_section(VmfSurvey *survey, const VmfEvent *event, GError **error)
{
    VmfSurveySection *section = NULL;

    if (event->section.type != VMF_SECTION_FULL)
        section = g_hash_table_lookup(survey->live, GUINT_TO_POINTER(event->section.what->id));
    if (!section && survey->facts.sections->len >= SECTIONS_MAX) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_STREAM,
                    "offset %" G_GUINT64_FORMAT ": expected at most %d sections", event->offset,
                    SECTIONS_MAX);
        return FALSE;
    }
    survey->current = section ? section : new_section(survey, event);
    survey->current->parts++;
    return TRUE;
}

static VmfSurveyBlock *
block_of(VmfSurvey *survey, const VmfRamBlock *block)
{
    GPtrArray *blocks = survey->facts.blocks;

    while (blocks->len <= block->index) {
        VmfSurveyBlock *added = g_new0(VmfSurveyBlock, 1);

        added->block = vmf_reader_ram_block(survey->reader, blocks->len);
        g_ptr_array_add(blocks, added);
    }
    return blocks->pdata[block->index];
}

static void
take_page(VmfSurvey *survey, const VmfEvent *event)
{
    VmfSurveyBlock *block = block_of(survey, event->page.block);

    block->pages[event->page.kind]++;
    block->bytes += event->raw_length;
}

static void
take_data(VmfSurvey *survey, const VmfEvent *event)
{
    const uint8_t *bytes = event->data.bytes;
    size_t length = event->data.length;

    switch (event->data.role) {
    case VMF_DATA_DEVICE:
        if (survey->current && !survey->current->live) {
            survey->current->state_length += length;
            keep(survey, &survey->current->kept, bytes, length);
        }
        break;
    case VMF_DATA_TAIL:
        if (survey->tail_length == 0)
            survey->tail_offset = event->offset;
        survey->tail_length += length;
        keep(survey, &survey->tail, bytes, length);
        break;
    case VMF_DATA_DESCRIPTION:
        if (survey->description->len + length <= VMF_DESCRIPTION_MAX)
            g_byte_array_append(survey->description, bytes, (guint)length);
        break;
    default:
        break;
    }
}

static void
take_configuration(VmfSurvey *survey, const VmfEvent *event)
{
    switch (event->type) {
    case VMF_EVENT_CONFIGURATION:
        g_free(survey->facts.machine);
        survey->facts.machine = g_strdup(event->name);
        break;
    case VMF_EVENT_CAPABILITY:
        g_ptr_array_add(survey->facts.capabilities, g_strdup(event->name));
        break;
    case VMF_EVENT_UUID:
        survey->facts.has_uuid = TRUE;
        memcpy(survey->facts.uuid, event->payload, sizeof survey->facts.uuid);
        break;
    default:
        survey->facts.page_size = vmf_reader_page_size(survey->reader);
        break;
    }
}

static gboolean
take_event(VmfSurvey *survey, const VmfEvent *event, GError **error)
{
    VmfSurveyFacts *facts = &survey->facts;

    if (event->type == VMF_EVENT_SECTION && !begin_section(survey, event, error))
        return FALSE;
    if (survey->current)
        survey->current->size += event->raw_length;
    switch (event->type) {
    case VMF_EVENT_HEADER:
        facts->version = event->version;
        break;
    case VMF_EVENT_CONFIGURATION:
    case VMF_EVENT_CAPABILITY:
    case VMF_EVENT_UUID:
    case VMF_EVENT_PAGE_BITS:
        take_configuration(survey, event);
        break;
    case VMF_EVENT_SECTION_CLOSE:
        facts->footers = event->section.footer;
        survey->current = NULL;
        break;
    case VMF_EVENT_COMMAND:
        facts->commands[event->command.code]++;
        survey->in_package = survey->in_package || event->command.code == VMF_COMMAND_PACKAGED;
        break;
    case VMF_EVENT_PACKAGE_END:
        survey->in_package = FALSE;
        break;
    case VMF_EVENT_RAM_BLOCK:
        (void)block_of(survey, event->block);
        break;
    case VMF_EVENT_PAGE:
        take_page(survey, event);
        break;
    case VMF_EVENT_RAM_FLUSH:
        facts->flushes++;
        break;
    case VMF_EVENT_BITMAP:
        facts->bitmap_chunks++;
        break;
    case VMF_EVENT_BLOCK:
        facts->block_chunks++;
        break;
    case VMF_EVENT_DATA:
        take_data(survey, event);
        break;
    case VMF_EVENT_EOF:
        facts->eof = TRUE;
        break;
    default:
        break;
    }
    return TRUE;
}

static gboolean
drain(VmfSurvey *survey, GError **error)
{
    VmfEvent event;
    VmfReadStatus status;

    while ((status = vmf_reader_next(survey->reader, &event, error)) == VMF_READ_EVENT)
        if (!take_event(survey, &event, error))
            return FALSE;
    survey->facts.size = MAX(survey->facts.size, vmf_reader_offset(survey->reader));
    return status == VMF_READ_MORE;
}

gboolean
vmf_survey_put(VmfSurvey *survey, const uint8_t *data, size_t length, GError **error)
{
    vmf_reader_feed(survey->reader, data, length);
    return drain(survey, error);
}

/* The end of the tail, where a description is if there is one. NULL without error: not kept. */
static GBytes *
end_of_tail(VmfSurvey *survey, GError **error)
{
    gsize length = MIN(survey->tail_length, VMF_DESCRIPTION_MAX);
    g_autofree uint8_t *bytes = NULL;

    if (survey->tail)
        return g_bytes_new_static(survey->tail->data, survey->tail->len);
    if (!survey->fetch)
        return NULL;
    bytes = g_malloc(length);
    if (!survey->fetch(survey->tail_offset + survey->tail_length - length, bytes, length,
                       survey->fetch_data, error))
        return NULL;
    return g_bytes_new_take(g_steal_pointer(&bytes), length);
}

/* The vmdescription in what was passed over, or as it came. NULL without error: there is none. */
static VmfDescription *
describe(VmfSurvey *survey, GError **error)
{
    g_autoptr(GBytes) tail = NULL;
    const char *text = (const char *)survey->description->data;
    gsize at = 0, length = survey->description->len;

    if (length == 0) {
        gsize size;

        tail = end_of_tail(survey, error);
        text = tail ? g_bytes_get_data(tail, &size) : NULL;
        if (!text || !vmf_description_find((const uint8_t *)text, size, &at, &length))
            return NULL;
    }
    survey->facts.description_size = length;
    return vmf_description_parse(text + at, length, error);
}

static void
match_devices(VmfSurvey *survey)
{
    const VmfDescription *description = survey->facts.description;
    guint next = 0;

    for (guint i = 0; i < survey->facts.sections->len; i++) {
        VmfSurveySection *section = survey->facts.sections->pdata[i];

        guint end = MIN(vmf_description_devices(description), next + VMF_LAYOUT_AHEAD);

        for (guint j = next; !section->live && j < end; j++) {
            const VmfDevice *device = vmf_description_device(description, j);

            if (device->instance == section->what.instance &&
                strcmp(device->name, section->what.name) == 0) {
                section->device = device;
                next = j + 1;
                break;
            }
        }
    }
}

/* Feeds the tail once more, from the input. */
static gboolean
refetch(VmfSurvey *survey, GError **error)
{
    g_autofree uint8_t *piece = g_malloc(PIECE);
    uint64_t end = survey->tail_offset + survey->tail_length;

    for (uint64_t at = survey->tail_offset; at < end;) {
        size_t n = MIN(PIECE, end - at);

        if (!survey->fetch(at, piece, n, survey->fetch_data, error) ||
            !vmf_survey_put(survey, piece, n, error))
            return FALSE;
        at += n;
    }
    return TRUE;
}

/* The tail again, this time knowing the sizes (or at least looking for footers). */
static gboolean
reread(VmfSurvey *survey, GError **error)
{
    g_autoptr(GByteArray) tail = g_steal_pointer(&survey->tail);
    g_autoptr(VmfLayout) layout = NULL;
    gboolean fine;

    survey->kept -= tail ? tail->len : 0;
    if (survey->facts.description)
        layout = vmf_description_layout(survey->facts.description);
    if ((!tail && !survey->fetch) || !vmf_reader_reread_tail(survey->reader, layout))
        return TRUE; /* it stays opaque */
    fine = tail ? vmf_survey_put(survey, tail->data, tail->len, error) : refetch(survey, error);
    /* What is still in the tail then is opaque; a tail that was cut ends somewhere. */
    return fine && (survey->facts.state_dropped || vmf_reader_end(survey->reader, error));
}

gboolean
vmf_survey_end(VmfSurvey *survey, GError **error)
{
    g_autoptr(GError) local = NULL;
    gboolean fine = vmf_reader_end(survey->reader, &local);

    if (fine)
        survey->facts.description = describe(survey, &local);
    if (fine && survey->tail_length > 0)
        fine = reread(survey, local ? NULL : &local);
    if (survey->facts.description)
        match_devices(survey);
    if (local)
        g_propagate_error(error, g_steal_pointer(&local));
    return fine && !(error && *error);
}

GBytes *
vmf_survey_state(const VmfSurvey *survey, const VmfSurveySection *section, GError **error)
{
    g_autofree uint8_t *bytes = NULL;

    if (section->kept && section->kept->len == section->state_length)
        return g_bytes_new_static(section->kept->data, section->kept->len);
    if (section->live || !survey->fetch)
        return NULL;
    bytes = g_try_malloc(section->state_length);
    if (!bytes) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_LIMIT_REACHED,
                    "no memory for %" G_GUINT64_FORMAT " bytes of device state",
                    section->state_length);
        return NULL;
    }
    if (!survey->fetch(section->state_offset, bytes, section->state_length, survey->fetch_data,
                       error))
        return NULL;
    return g_bytes_new_take(g_steal_pointer(&bytes), section->state_length);
}
