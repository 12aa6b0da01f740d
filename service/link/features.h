/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What two vmferry hosts can agree on: one table, one row per feature. Adding a feature is one row
 * here and its code; PROTOCOL.md, "Features", says what each one means for the bytes.
 *
 * A row's name, the meaning of one of its versions, and the type and rule of a parameter never
 * change once released: another meaning is another version, or another name. So two programs with
 * different tables come to the same agreement (agreement.h) from the same two offers (offer.h).
 *
 * Constant data and pure functions; any thread.
 */
#pragma once

#include <glib.h>

/* Names of the rows, for the code that asks for them. */
#define VMF_FEATURE_FRAMES "frames"
#define VMF_FEATURE_TLS "tls"
#define VMF_FEATURE_CHECKSUM "checksum"
#define VMF_FEATURE_XBZRLE "xbzrle"
#define VMF_FEATURE_UNCHANGED "unchanged"
#define VMF_FEATURE_ZSTD "zstd"
#define VMF_FEATURE_VERIFY "verify"
#define VMF_FEATURE_RESUME "resume"
#define VMF_FEATURE_CHANNELS "channels"
#define VMF_FEATURE_PREEMPT "preempt"
#define VMF_FEATURE_POSTCOPY "postcopy"
#define VMF_FEATURE_RETURN_PATH "return-path"
#define VMF_FEATURE_NBD "nbd"
#define VMF_FEATURE_LIBVIRT_CHANNEL "libvirt-channel"
#define VMF_FEATURE_VMSTATE_CHECK "vmstate-check"
#define VMF_FEATURE_NATIVE_XBZRLE "native-xbzrle"
#define VMF_FEATURE_NATIVE_MULTIFD "native-multifd"

/* How a side stands to a feature. A side that does not know it says nothing of it. */
typedef enum {
    VMF_STAND_OFF,      /* knows it, and does not want it; says why */
    VMF_STAND_OFFERED,  /* on if the other side has it, too */
    VMF_STAND_REQUIRED, /* on, or there is no agreement */
} VmfStand;

/* How the two sides' values of a parameter become one. */
typedef enum {
    VMF_COMBINE_SMALLER,     /* t */
    VMF_COMBINE_SOURCE,      /* t: the source's, which alone pays for it */
    VMF_COMBINE_DESTINATION, /* t: the destination's, likewise */
    VMF_COMBINE_COMMON,      /* as: what both have, in the source's order */
} VmfCombine;

typedef struct {
    const char *name; /* NULL ends a list */
    VmfCombine combine;
    guint since;    /* the feature's version that brought it */
    gboolean vital; /* without it, or with a combined value of nothing, the feature is off */
    guint64 number; /* what this program offers by default; as: nothing */
} VmfFeatureParameter;

#define VMF_FEATURE_NEEDS_MAX 3
#define VMF_FEATURE_PARAMETERS_MAX 3

typedef struct {
    const char *name;
    guint oldest; /* versions that this program speaks, both included */
    guint newest;
    VmfStand stand;  /* by default */
    const char *why; /* that, if it is not VMF_STAND_OFFERED */
    const char *needs[VMF_FEATURE_NEEDS_MAX + 1];
    VmfFeatureParameter parameters[VMF_FEATURE_PARAMETERS_MAX + 1];
    const char *summary; /* for people */
} VmfFeature;

/* Rows in any order, names different. */
typedef struct {
    const VmfFeature *rows;
    gsize n;
} VmfFeatureTable;

/* This program's. */
const VmfFeatureTable *vmf_features(void);

/* NULL when there is none. */
const VmfFeature *vmf_feature_find(const VmfFeatureTable *table, const char *name);
const VmfFeatureParameter *vmf_feature_find_parameter(const VmfFeature *feature, const char *name);

/* "t" or "as". */
const GVariantType *vmf_combine_get_type(VmfCombine combine);

/* "off", "offered", "required". */
const char *vmf_stand_name(VmfStand stand);
gboolean vmf_stand_from_name(const char *name, VmfStand *ret);

/* 1 to 32 characters of [a-z0-9-]: names of features and of their parameters. */
gboolean vmf_feature_name_is_valid(const char *name);
