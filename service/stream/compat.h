/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Can this QEMU load that state? Compares what a source saves with what a destination loads, and
 * says of every difference where it is and how bad it is.
 *
 * The wire has no names and sizes of fields, so what counts is the sequence of bytes the two sides
 * agree on. A dump tells what a binary can do for every device it knows; whether a guest has the
 * device, and whether an optional field or subsection is sent, only a stream tells.
 *
 * Pure; any thread. Findings own their strings.
 */
#pragma once

#include "stream/vmstate.h"

typedef enum {
    VMF_COMPAT_FINE,    /* a difference that does no harm */
    VMF_COMPAT_UNKNOWN, /* the destination's dump does not describe it: cannot be said */
    VMF_COMPAT_LOSES,   /* loads, but a value is dropped or goes to the wrong place */
    VMF_COMPAT_FAILS,   /* the destination refuses to load, or loads bytes of something else */
} VmfCompat;

/* "fine", "unknown", "loses state", "fails to load" */
const char *vmf_compat_name(VmfCompat compat);

typedef struct {
    VmfCompat compat;
    gboolean if_sent; /* only when the source sends an optional part */
    char *device;
    char *state;      /* vmstate description inside the device, or NULL */
    char *field;      /* or NULL */
    char *subsection; /* or NULL */
    char *what;       /* one sentence without its full stop */
} VmfFinding;

typedef struct {
    GPtrArray *findings; /* VmfFinding */
    guint compared;      /* devices */
} VmfFindings;

VmfFindings *vmf_compat_check(const VmfVmstateSet *source, const VmfVmstateSet *destination);
void vmf_findings_free(VmfFindings *findings);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfFindings, vmf_findings_free)

/* The worst of them; VMF_COMPAT_UNKNOWN does not count. */
VmfCompat vmf_findings_verdict(const VmfFindings *findings);
