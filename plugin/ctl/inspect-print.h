/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The two faces of `vmferry inspect`: text for people, JSON for programs. Both on standard output.
 */
#pragma once

#include "inspect-source.h"
#include "stream/survey.h"

typedef struct {
    gboolean ram;
    gboolean sections;
    const char *device; /* NULL: all devices' values in JSON, none in text */
} VmfInspectParts;

/* FALSE: parts->device is not in the stream. */
gboolean vmf_inspect_print_text(const VmfSurveyFacts *facts, const VmfImage *image,
                                const VmfInspectParts *parts);

gboolean vmf_inspect_print_json(const VmfSurveyFacts *facts, const VmfImage *image,
                                const VmfInspectParts *parts);

/* "main", "recovery", ... and "described", "scanned", ...: words of both faces. */
const char *vmf_inspect_connection_name(VmfConnection connection);
const char *vmf_inspect_extent_name(VmfExtent extent);
