/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What reading policies (policy.c, policy-limits.c) and choosing them (policy-select.c) share. */
#pragma once

#include "xml/parse.h"
#include "xml/policy.h"

typedef enum {
    VMF_SELECT_NAME, /* globs, of which one must match */
    VMF_SELECT_UUID,
    VMF_SELECT_TITLE,
    VMF_SELECT_PEER,
    VMF_SELECT_DIRECTION,
    VMF_SELECT_METADATA,
    VMF_SELECT_MEMORY,
    VMF_SELECT_KINDS
} VmfSelectKind;

typedef struct {
    VmfSelectKind kind;
    char *text;      /* glob, UUID or word */
    char *namespace; /* of metadata */
    char *element;   /* of metadata */
    guint64 least;   /* bytes of memory */
    guint64 most;
} VmfSelector;

struct VmfPolicyRule {
    char *name;
    char *file;
    VmfPolicy policy;
    GPtrArray *selectors;
};

/* ---- a reader of elements that keeps the first error ---- */

typedef struct {
    const char *file;      /* for messages */
    const char *namespace; /* elements must be in it; NULL: in none */
    GError **error;
} VmfXmlReader;

typedef gboolean (*VmfElementFunc)(VmfXmlReader *reader, xmlNode *node, gpointer data);

typedef struct {
    const char *name;
    gboolean many; /* may be there more than once */
    VmfElementFunc read;
} VmfElement;

/* Sets the error "FILE:LINE: ..."; always FALSE. */
gboolean vmf_xml_reader_fail(const VmfXmlReader *reader, const xmlNode *node, const char *format,
                             ...) G_GNUC_PRINTF(3, 4);

/* Reads every child by `elements`, which ends with an empty one. */
gboolean vmf_xml_reader_children(VmfXmlReader *reader, xmlNode *node, const VmfElement *elements,
                                 gpointer data);

/* No other attributes than these, a list that ends with NULL; and no children if it has `leaf`. */
gboolean vmf_xml_reader_attributes(const VmfXmlReader *reader, xmlNode *node,
                                   const char *const *names);
gboolean vmf_xml_reader_leaf(const VmfXmlReader *reader, xmlNode *node);

/* NULL when it is not there; the caller's. */
char *vmf_xml_reader_attribute(xmlNode *node, const char *name);

/* The text of an element, stripped and not empty; NULL with an error. The caller's. */
char *vmf_xml_reader_text(const VmfXmlReader *reader, xmlNode *node);

/* A whole number; `what` is named in the error. */
gboolean vmf_xml_reader_number(const VmfXmlReader *reader, const xmlNode *node, const char *what,
                               const char *text, guint64 least, guint64 most, guint64 *ret);

/* An attribute as a number, left as it is when not there. */
gboolean vmf_xml_reader_number_attribute(const VmfXmlReader *reader, xmlNode *node,
                                         const char *name, guint64 least, guint64 most, guint *ret);

/* One of `words`, by its index. */
gboolean vmf_xml_reader_word(const VmfXmlReader *reader, const xmlNode *node, const char *what,
                             const char *text, const char *const *words, guint *ret);

/* Bytes in the attribute `unit`'s unit, by default `unit`. */
gboolean vmf_xml_reader_bytes(const VmfXmlReader *reader, xmlNode *node, const char *what,
                              const char *text, const char *unit, guint64 *ret);

/*
 * The elements that change a VmfPolicy, which `data` must be: limits, engines, ... A guest may wish
 * for the same ones.
 */
extern const VmfElement vmf_policy_elements[];
