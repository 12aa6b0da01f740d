/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What device state is made of, in one shape for both sides of a check: what a QEMU binary can
 * save and load (its -dump-vmstate), and what a stream holds (its vmdescription).
 *
 * Immutable once made; any thread. Errors: VMF_ERROR_BAD_STREAM. Units: bytes.
 */
#pragma once

#include "stream/description.h"

#define VMF_DUMP_MAX (8u << 20)     /* QEMU 10.0 writes 800 KiB */
#define VMF_VMSTATE_FIELDS_MAX 1024 /* in one struct */

typedef struct VmfVmstate VmfVmstate;

typedef struct {
    char *name;
    uint64_t version;  /* sent and loaded from this version of the state on */
    uint64_t size;     /* of one element; 0: not known, or not the size on the wire */
    gboolean optional; /* there is a condition in the code; it may not be there */
    VmfVmstate *inner;
} VmfVmstateField;

struct VmfVmstate {
    char *name;
    uint64_t version;
    uint64_t minimum;       /* oldest version that can be loaded */
    GPtrArray *fields;      /* VmfVmstateField */
    GPtrArray *subsections; /* VmfVmstate */
};

typedef struct {
    char *name;        /* dump: QEMU's type of the device; stream: the section's name */
    VmfVmstate *state; /* NULL: not described */
} VmfVmstateDevice;

typedef struct {
    char *machine;        /* NULL: not named */
    gboolean sent;        /* of a stream: what is here is there, not only possible */
    GPtrArray *devices;   /* VmfVmstateDevice */
    GHashTable *by_name;  /* devices by their name */
    GHashTable *by_state; /* devices by the name of their state; the first of several */
} VmfVmstateSet;

VmfVmstateSet *vmf_vmstate_set_from_dump(const char *json, gsize length, GError **error);
VmfVmstateSet *vmf_vmstate_set_from_stream(const char *machine, const VmfDescription *description);
void vmf_vmstate_set_free(VmfVmstateSet *set);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfVmstateSet, vmf_vmstate_set_free)
