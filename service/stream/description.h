/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The vmdescription: JSON at the end of a stream that says how the device state before it is laid
 * out. With it, sizes of sections are known and their bytes become named values.
 *
 * A description is immutable once parsed; any thread. Everything in it belongs to it.
 * Errors: VMF_ERROR_BAD_STREAM. Text from outside is bounded before it is parsed
 * (VMF_DESCRIPTION_MAX bytes, VMF_JSON_DEPTH levels), so that memory and stack are too.
 * Units: bytes.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "stream/json.h"
#include "stream/layout.h"

#define VMF_DESCRIPTION_MAX (64u << 20)

#define VMF_DESCRIPTION_FIELDS_MAX 8192 /* in one struct */

typedef struct VmfStruct VmfStruct;

typedef struct {
    char *name;
    char *type;
    uint64_t size;       /* of one element */
    uint64_t count;      /* elements; 1 when it is no array */
    gboolean is_array;   /* all elements are in this field */
    gboolean is_element; /* one element of an array that is not folded; `index` */
    uint64_t index;
    VmfStruct *inner; /* NULL: plain bytes */
} VmfField;

struct VmfStruct {
    char *name; /* vmsd_name; NULL for old-style devices */
    uint64_t version;
    uint64_t size;          /* of all fields and subsections */
    GPtrArray *fields;      /* VmfField */
    GPtrArray *subsections; /* VmfStruct */
};

typedef struct {
    char *name;
    uint32_t instance;
    VmfStruct *state;
} VmfDevice;

typedef struct VmfDescription VmfDescription;

VmfDescription *vmf_description_parse(const char *json, gsize length, GError **error);
void vmf_description_free(VmfDescription *description);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfDescription, vmf_description_free)

/*
 * Looks for a description in the last bytes of a stream: EOF, its element, and JSON that ends
 * inside `tail`. FALSE: there is none.
 */
gboolean vmf_description_find(const uint8_t *tail, gsize length, gsize *ret_at, gsize *ret_length);

uint64_t vmf_description_page_size(const VmfDescription *description);
guint vmf_description_devices(const VmfDescription *description);
const VmfDevice *vmf_description_device(const VmfDescription *description, guint index);

/* The sizes, for a reader. */
VmfLayout *vmf_description_layout(const VmfDescription *description);

/* How many fields from `first` on are elements of one array; 1 for a field that is no element. */
guint vmf_struct_elements(const VmfStruct *state, guint first);

/* Bytes that a subsection takes beside its fields. */
uint64_t vmf_subsection_overhead(const VmfStruct *subsection);
