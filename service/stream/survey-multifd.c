/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/survey-multifd.h"

#include "base/error.h"

struct VmfChannelSurvey {
    VmfChannelFacts facts;
    VmfMultifdReader *reader;
    VmfMultifdDecoder *decoder;
    GHashTable *blocks; /* name -> VmfChannelBlock; both of facts.blocks */
};

static void
drop_page(const VmfMultifdPacket *packet, uint64_t address, const uint8_t *page, gpointer user_data)
{
}

VmfChannelSurvey *
vmf_channel_survey_new(void)
{
    VmfChannelSurvey *survey = g_new0(VmfChannelSurvey, 1);

    survey->reader = vmf_multifd_reader_new(1u << VMF_PAGE_BITS_DEFAULT);
    survey->decoder = vmf_multifd_decoder_new(1u << VMF_PAGE_BITS_DEFAULT, drop_page, NULL);
    survey->facts.blocks = g_ptr_array_new_with_free_func(g_free);
    survey->blocks = g_hash_table_new(g_str_hash, g_str_equal);
    return survey;
}

void
vmf_channel_survey_free(VmfChannelSurvey *survey)
{
    if (!survey)
        return;
    vmf_multifd_reader_free(survey->reader);
    vmf_multifd_decoder_free(survey->decoder);
    g_hash_table_unref(survey->blocks);
    g_ptr_array_unref(survey->facts.blocks);
    g_free(survey);
}

const VmfChannelFacts *
vmf_channel_survey_facts(const VmfChannelSurvey *survey)
{
    return &survey->facts;
}

/* NULL: too many. */
static VmfChannelBlock *
block_of(VmfChannelSurvey *survey, const char *name)
{
    VmfChannelBlock *block = g_hash_table_lookup(survey->blocks, name);

    if (block || survey->facts.blocks->len >= VMF_RAM_BLOCKS_MAX)
        return block;
    block = g_new0(VmfChannelBlock, 1);
    g_strlcpy(block->name, name, sizeof block->name);
    g_ptr_array_add(survey->facts.blocks, block);
    g_hash_table_insert(survey->blocks, block->name, block);
    return block;
}

static gboolean
take_packet(VmfChannelSurvey *survey, const VmfMultifdPacket *packet, GError **error)
{
    VmfChannelFacts *facts = &survey->facts;
    VmfChannelBlock *block;

    facts->syncs += packet->sync;
    if (packet->normal_pages + packet->zero_pages == 0)
        return TRUE; /* its other fields may be left over from an earlier one */
    block = block_of(survey, packet->block);
    if (!block) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_STREAM, "expected at most %d RAM blocks",
                    VMF_RAM_BLOCKS_MAX);
        return FALSE;
    }
    facts->packets++;
    facts->methods[packet->method] += packet->payload > 0;
    facts->payload += packet->payload;
    block->normal += packet->normal_pages;
    block->zero += packet->zero_pages;
    return TRUE;
}

static gboolean
decode(VmfChannelSurvey *survey, const VmfMultifdEvent *event, GError **error)
{
    g_autoptr(GError) local = NULL;

    if (survey->facts.undecoded || vmf_multifd_decoder_put(survey->decoder, event, &local))
        return TRUE;
    survey->facts.undecoded = g_error_matches(local, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED);
    if (survey->facts.undecoded)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

static gboolean
take_event(VmfChannelSurvey *survey, const VmfMultifdEvent *event, GError **error)
{
    VmfChannelFacts *facts = &survey->facts;
    gboolean fine = TRUE;

    switch (event->type) {
    case VMF_MULTIFD_HELLO:
        facts->named = TRUE;
        facts->channel = event->hello.channel;
        memcpy(facts->uuid, event->hello.uuid, sizeof facts->uuid);
        break;
    case VMF_MULTIFD_PACKET:
        fine = take_packet(survey, &event->packet, error);
        break;
    case VMF_MULTIFD_DEVICE:
        facts->device_packets++;
        facts->device_bytes += event->device.payload;
        break;
    case VMF_MULTIFD_DATA:
        break;
    }
    if (fine && decode(survey, event, error))
        return TRUE;
    g_prefix_error(error,
                   "offset %" G_GUINT64_FORMAT " (0x%" G_GINT64_MODIFIER "x): ", event->offset,
                   event->offset);
    return FALSE;
}

gboolean
vmf_channel_survey_put(VmfChannelSurvey *survey, const uint8_t *data, size_t length, GError **error)
{
    VmfMultifdEvent event;
    VmfReadStatus status;

    vmf_multifd_reader_feed(survey->reader, data, length);
    while ((status = vmf_multifd_reader_next(survey->reader, &event, error)) == VMF_READ_EVENT) {
        survey->facts.size = event.offset + event.raw_length;
        if (!take_event(survey, &event, error))
            return FALSE;
    }
    return status == VMF_READ_MORE;
}

gboolean
vmf_channel_survey_end(VmfChannelSurvey *survey, GError **error)
{
    return vmf_multifd_reader_end(survey->reader, error);
}
