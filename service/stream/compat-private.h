/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside the check: compat.c walks devices, states and subsections, compat-fields.c compares the
 * fields of one state.
 */
#pragma once

#include "stream/compat.h"

/* Where the check is. */
typedef struct {
    VmfFindings *findings;
    const char *device;
    const char *state;
    const char *subsection;
    gboolean if_sent; /* inside a part that may not be sent */
    gboolean sent;    /* the source is a stream */
} VmfCheck;

void vmf_check_find(VmfCheck *check, VmfCompat compat, const char *field, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

/*
 * `versioned`: the version is on the wire, and checked. A struct inside a struct is loaded as the
 * destination has it, whatever its version at the source.
 */
void vmf_check_states(VmfCheck *check, const VmfVmstate *source, const VmfVmstate *destination,
                      gboolean versioned);

/* The destination loads the fields of up to `version`. */
void vmf_check_fields(VmfCheck *check, const VmfVmstate *source, const VmfVmstate *destination,
                      uint64_t version);
