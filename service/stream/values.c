/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/values.h"

#include <string.h>

#include "base/error.h"
#include "stream/cursor.h"

#define TYPE_SUBSECTION 0x05

typedef struct {
    VmfCursor cursor;
    const VmfValueVisitor *visitor;
    gpointer user_data;
    GError **error;
} Walk;

static gboolean walk_struct(Walk *walk, const VmfStruct *state);

static gboolean
mismatch(Walk *walk, const char *expected, const char *name)
{
    g_set_error(walk->error, VMF_ERROR, VMF_ERROR_BAD_STREAM,
                "byte %zu of the device's state: expected %s \"%s\"", walk->cursor.at, expected,
                name);
    return FALSE;
}

/*
 * Kinds by the names QEMU gives its types. Integers are big-endian; those of the type "int32 le"
 * too, whose name means something else (less or equal).
 */
static VmfValueKind
kind_of(const VmfField *field)
{
    gboolean is_integer =
        field->size == 1 || field->size == 2 || field->size == 4 || field->size == 8;

    if (strcmp(field->type, "unused_buffer") == 0)
        return VMF_VALUE_UNUSED;
    if (strcmp(field->type, "bool") == 0 && field->size == 1)
        return VMF_VALUE_BOOL;
    if (g_str_has_prefix(field->type, "uint") && is_integer)
        return VMF_VALUE_UNSIGNED;
    if (g_str_has_prefix(field->type, "int") && is_integer)
        return VMF_VALUE_SIGNED;
    if (strcmp(field->type, "timer") == 0 && field->size == 8)
        return VMF_VALUE_SIGNED;
    return VMF_VALUE_BYTES;
}

static uint64_t
number_of(const uint8_t *bytes, uint64_t length, gboolean is_signed)
{
    uint64_t number = 0;

    for (uint64_t i = 0; i < length; i++)
        number = number << 8 | bytes[i];
    if (is_signed && length < 8 && bytes[0] & 0x80)
        number |= G_MAXUINT64 << (8 * length);
    return number;
}

static gboolean
walk_plain(Walk *walk, const char *name, const VmfField *field)
{
    VmfValue value = {.kind = kind_of(field), .field = field, .length = field->size};

    value.bytes = vmf_cursor_take(&walk->cursor, field->size);
    if (!value.bytes)
        return mismatch(walk, "the field", field->name);
    if (value.kind <= VMF_VALUE_SIGNED)
        value.number = number_of(value.bytes, value.length, value.kind == VMF_VALUE_SIGNED);
    walk->visitor->value(name, &value, walk->user_data);
    return TRUE;
}

static void
begin(Walk *walk, VmfGroup group, const char *name, uint64_t length)
{
    const uint8_t *bytes = walk->cursor.data + walk->cursor.at;

    walk->visitor->begin(group, name, bytes, MIN(length, walk->cursor.length - walk->cursor.at),
                         walk->user_data);
}

static gboolean
walk_element(Walk *walk, const char *name, const VmfField *field)
{
    gboolean fine;

    if (!field->inner)
        return walk_plain(walk, name, field);
    begin(walk, VMF_GROUP_STRUCT, name, field->size);
    fine = walk_struct(walk, field->inner);
    walk->visitor->end(VMF_GROUP_STRUCT, walk->user_data);
    return fine;
}

static gboolean
walk_array(Walk *walk, const VmfField *field)
{
    gboolean fine = TRUE;

    begin(walk, VMF_GROUP_ARRAY, field->name, field->size * field->count);
    /* Elements without bytes say nothing, and may be as many as the description likes. */
    for (uint64_t i = 0; i < field->count && fine && field->size > 0; i++)
        fine = walk_element(walk, NULL, field);
    walk->visitor->end(VMF_GROUP_ARRAY, walk->user_data);
    return fine;
}

/* Elements of an array, each with a field of its own, because they differ. */
static gboolean
walk_elements(Walk *walk, const VmfStruct *state, guint *at)
{
    const VmfField *first = state->fields->pdata[*at];
    guint end = *at + vmf_struct_elements(state, *at);
    gboolean fine = TRUE;
    uint64_t length = 0;

    for (guint i = *at; i < end; i++)
        length += ((const VmfField *)state->fields->pdata[i])->size;
    begin(walk, VMF_GROUP_ARRAY, first->name, length);
    for (; *at < end && fine; (*at)++)
        fine = walk_element(walk, NULL, state->fields->pdata[*at]);
    walk->visitor->end(VMF_GROUP_ARRAY, walk->user_data);
    return fine;
}

static gboolean
walk_subsection(Walk *walk, const VmfStruct *subsection)
{
    uint8_t type = vmf_cursor_u8(&walk->cursor);
    uint8_t length = vmf_cursor_u8(&walk->cursor);
    const uint8_t *name = vmf_cursor_take(&walk->cursor, length);
    gboolean fine;

    (void)vmf_cursor_u32(&walk->cursor); /* its version, which the description has too */
    if (walk->cursor.need || type != TYPE_SUBSECTION || length != strlen(subsection->name) ||
        memcmp(name, subsection->name, length) != 0)
        return mismatch(walk, "the subsection", subsection->name);
    begin(walk, VMF_GROUP_SUBSECTION, subsection->name, subsection->size);
    fine = walk_struct(walk, subsection);
    walk->visitor->end(VMF_GROUP_SUBSECTION, walk->user_data);
    return fine;
}

static gboolean
walk_struct(Walk *walk, const VmfStruct *state)
{
    guint i = 0;

    while (i < state->fields->len) {
        const VmfField *field = state->fields->pdata[i];
        gboolean fine;

        if (field->is_element) {
            fine = walk_elements(walk, state, &i);
        } else {
            fine =
                field->is_array ? walk_array(walk, field) : walk_element(walk, field->name, field);
            i++;
        }
        if (!fine)
            return FALSE;
    }
    for (i = 0; i < state->subsections->len; i++)
        if (!walk_subsection(walk, state->subsections->pdata[i]))
            return FALSE;
    return TRUE;
}

gboolean
vmf_values_walk(const VmfStruct *state, const uint8_t *bytes, uint64_t length,
                const VmfValueVisitor *visitor, gpointer user_data, GError **error)
{
    static const uint8_t nothing[1]; /* a device may have no bytes, and a field too */
    Walk walk = {.cursor = {.data = bytes ? bytes : nothing, .length = length},
                 .visitor = visitor,
                 .user_data = user_data,
                 .error = error};

    if (!walk_struct(&walk, state))
        return FALSE;
    if (walk.cursor.at != length)
        return mismatch(&walk, "the end of", state->name ? state->name : "the device");
    return TRUE;
}
