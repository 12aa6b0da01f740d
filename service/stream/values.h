/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Device state as named values: the bytes of one section walked along its description.
 *
 * The walk calls back for every field and for the beginning and end of every struct, subsection
 * and array; names repeat what the description says. Nothing is copied. Pure; any thread.
 */
#pragma once

#include "stream/description.h"

typedef enum {
    VMF_VALUE_BOOL,
    VMF_VALUE_UNSIGNED,
    VMF_VALUE_SIGNED,
    VMF_VALUE_BYTES,
    VMF_VALUE_UNUSED, /* bytes that mean nothing */
} VmfValueKind;

typedef struct {
    VmfValueKind kind;
    const VmfField *field;
    const uint8_t *bytes;
    uint64_t length;
    uint64_t number; /* BOOL, UNSIGNED, SIGNED (two's complement) */
} VmfValue;

typedef enum {
    VMF_GROUP_STRUCT,
    VMF_GROUP_SUBSECTION,
    VMF_GROUP_ARRAY,
} VmfGroup;

typedef struct {
    /* `name` is NULL inside an array. `bytes` are all of the group. */
    void (*begin)(VmfGroup group, const char *name, const uint8_t *bytes, uint64_t length,
                  gpointer user_data);
    void (*end)(VmfGroup group, gpointer user_data);
    void (*value)(const char *name, const VmfValue *value, gpointer user_data);
} VmfValueVisitor;

/*
 * Fails with VMF_ERROR_BAD_STREAM, after some calls, when bytes and description do not fit; the
 * groups begun are ended then too.
 */
gboolean vmf_values_walk(const VmfStruct *state, const uint8_t *bytes, uint64_t length,
                         const VmfValueVisitor *visitor, gpointer user_data, GError **error);
