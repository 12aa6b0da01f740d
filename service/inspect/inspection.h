/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads a source to its end and keeps what is worth showing: the work of `vmferry inspect` and of
 * vmferry-inspect, up to rendering.
 *
 * Everything is the inspection's, which keeps the source as long as it lives. Blocking; one thread.
 * Errors: those of inspect/source.h and stream/survey.h, and VMF_ERROR_NOT_SUPPORTED for a stream
 * that is encrypted.
 */
#pragma once

#include "inspect/source.h"
#include "stream/survey-multifd.h"
#include "stream/survey.h"

typedef struct {
    VmfSource *source;
    VmfSurvey *survey;         /* NULL: it is a multifd channel, */
    VmfChannelSurvey *channel; /* and otherwise this is */
} VmfInspection;

/* Takes `source`. NULL: it is nothing that can be shown. */
VmfInspection *vmf_inspection_new(VmfSource *source, GError **error);
void vmf_inspection_free(VmfInspection *inspection);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfInspection, vmf_inspection_free)

/* What to show. None of them: all of it. */
typedef struct {
    gboolean ram;
    gboolean sections;
    const char *device; /* values of the devices of that name */
} VmfInspectParts;

/* Called after every piece that was read. */
typedef void (*VmfInspectionProgress)(const VmfSource *source, gpointer user_data);

/* After an error, what was found before it can be shown. `progress` may be NULL. */
gboolean vmf_inspection_run(VmfInspection *inspection, VmfInspectionProgress progress,
                            gpointer user_data, GError **error);

/* "main", "recovery", ... and "described", "scanned", ...: words of all renderings. */
const char *vmf_inspect_connection_name(VmfConnection connection);
const char *vmf_inspect_extent_name(VmfExtent extent);
