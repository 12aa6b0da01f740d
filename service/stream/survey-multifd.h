/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is in one multifd connection: the ground of `vmferry inspect` on such a capture. Pages are
 * decoded, so that a damaged payload is found, but not kept.
 *
 * Ownership, threads and errors as in stream/survey.h. Memory: constant but for the names of RAM
 * blocks (VMF_RAM_BLOCKS_MAX).
 */
#pragma once

#include "stream/multifd.h"

typedef struct {
    char name[VMF_NAME_SIZE];
    uint64_t normal, zero; /* pages */
} VmfChannelBlock;

typedef struct {
    gboolean named; /* the hello was read: the next two are known */
    uint8_t channel;
    uint8_t uuid[16]; /* zeroes: not said */
    uint64_t size;
    uint64_t packets; /* with pages */
    uint64_t syncs;
    uint64_t methods[VMF_MULTIFD_METHODS]; /* packets with a payload */
    uint64_t payload;                      /* bytes of pages, as compressed */
    uint64_t device_packets, device_bytes;
    gboolean undecoded; /* compressed with a method that is not decoded: pages are counted only */
    GPtrArray *blocks;  /* VmfChannelBlock, as they came first */
} VmfChannelFacts;

typedef struct VmfChannelSurvey VmfChannelSurvey;

VmfChannelSurvey *vmf_channel_survey_new(void);
void vmf_channel_survey_free(VmfChannelSurvey *survey);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfChannelSurvey, vmf_channel_survey_free)

gboolean vmf_channel_survey_put(VmfChannelSurvey *survey, const uint8_t *data, size_t length,
                                GError **error);
gboolean vmf_channel_survey_end(VmfChannelSurvey *survey, GError **error);

const VmfChannelFacts *vmf_channel_survey_facts(const VmfChannelSurvey *survey);
