/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is in a stream, all of it but the pages: the ground of `vmferry inspect`.
 *
 * Bytes are pushed in as they come and need not be seekable. Device state is kept, because its
 * description comes last: up to VMF_SURVEY_STATE_MAX bytes. What is beyond that is read again where
 * the input allows it (VmfSurveyFetch); where not, sections are still found but have no values.
 * After an error the survey holds what was found before it.
 *
 * Ownership: everything belongs to the survey and may be read until it is freed.
 * Threads: one at a time. Errors: those of the reader and of the description. Units: bytes.
 */
#pragma once

#include "stream/description.h"
#include "stream/stream.h"

#define VMF_SURVEY_STATE_MAX (64u << 20)

typedef struct {
    VmfSection what;
    gboolean live; /* has START, PART and END; otherwise one FULL */
    gboolean in_package;
    VmfExtent extent;
    uint64_t offset;         /* of its first byte */
    uint64_t size;           /* all of its bytes, with headers and footers */
    uint64_t parts;          /* START, PARTs and END, or 1 */
    uint64_t state_offset;   /* where the body of a FULL section begins, */
    uint64_t state_length;   /* and how long it is: vmf_survey_state() */
    GByteArray *kept;        /* those bytes, or NULL */
    const VmfDevice *device; /* NULL: not described */
} VmfSurveySection;

typedef struct {
    const VmfRamBlock *block;
    uint64_t pages[VMF_PAGE_KINDS];
    uint64_t bytes; /* of its records */
} VmfSurveyBlock;

typedef struct {
    uint32_t version; /* 0: no header was read */
    VmfConnection connection;
    char *machine;           /* NULL: the stream does not say (machine types up to 2.3) */
    GPtrArray *capabilities; /* char * */
    gboolean has_uuid;
    uint8_t uuid[16];
    guint page_size;
    gboolean footers;
    uint64_t size;
    uint64_t commands[VMF_COMMAND_SWITCHOVER_START + 1]; /* how often each came */
    uint64_t flushes;
    uint64_t block_chunks, bitmap_chunks;
    gboolean eof;                /* the end of the loading loop was seen */
    gboolean state_dropped;      /* more than VMF_SURVEY_STATE_MAX, and not to be read again */
    GPtrArray *sections;         /* VmfSurveySection, as they came first */
    GPtrArray *blocks;           /* VmfSurveyBlock, by index */
    VmfDescription *description; /* NULL: none */
    gsize description_size;
} VmfSurveyFacts;

typedef struct VmfSurvey VmfSurvey;

VmfSurvey *vmf_survey_new(VmfConnection connection);
void vmf_survey_free(VmfSurvey *survey);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfSurvey, vmf_survey_free)

/* Gives bytes of the input again, as long as the survey is used. Sets an error if it cannot. */
typedef gboolean (*VmfSurveyFetch)(uint64_t offset, uint8_t *to, size_t length, gpointer user_data,
                                   GError **error);

/* Before anything is put. */
void vmf_survey_set_fetch(VmfSurvey *survey, VmfSurveyFetch fetch, gpointer user_data);

gboolean vmf_survey_put(VmfSurvey *survey, const uint8_t *data, size_t length, GError **error);
gboolean vmf_survey_end(VmfSurvey *survey, GError **error);

const VmfSurveyFacts *vmf_survey_facts(const VmfSurvey *survey);

/*
 * The body of a FULL section, which may have to be read again for it. NULL with an error if that
 * fails, without one if it was dropped. Valid as long as the survey.
 */
GBytes *vmf_survey_state(const VmfSurvey *survey, const VmfSurveySection *section, GError **error);
