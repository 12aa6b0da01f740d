/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Members of a plain struct as an a{sv}, and back, by a table: for what one vmferryd keeps for the
 * next (record.h).
 *
 * Pure; any thread. Strings are copied both ways.
 */
#pragma once

#include <glib.h>

/*
 * Type: "b" gboolean, "u" guint or an enum, "t" guint64, "i" gint32, "x" gint64, "d" double,
 * "s" char *. `most`: a number that is larger (of "b", "u", "t", "d") is not sensible; 0: any is.
 */
typedef struct {
    const char *name;
    const char *type;
    gsize offset;
    guint64 most;
} VmfField;

#define VMF_FIELD(name, type, owner, member, most)                                                 \
    {                                                                                              \
        name, type, G_STRUCT_OFFSET(owner, member), most                                           \
    }

/* Floating. A string that is NULL is left out. */
GVariant *vmf_fields_save(const VmfField *fields, gsize n, gconstpointer data);

/*
 * Sets what is there; others stay as they are, and what is not in the table is ignored.
 * Error: INVALID_ARGUMENT, with the name of the one that is of another type or too large.
 */
gboolean vmf_fields_load(const VmfField *fields, gsize n, GVariant *values, gpointer data,
                         GError **error);
