/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading XML with libxml2 in the one way that vmferry does: from memory, without network, without
 * document types and so without entities, and with libxml2's own limits on size and nesting.
 * Cleanup functions for libxml2's types. Pure; any thread.
 */
#pragma once

#include <glib.h>
#include <libxml/parser.h>
#include <libxml/xpath.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlXPathContext, xmlXPathFreeContext)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlXPathObject, xmlXPathFreeObject)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlParserCtxt, xmlFreeParserCtxt)

/* NULL with the line, or 0, and a message that the caller frees. */
xmlDoc *vmf_xml_read(const char *xml, int *ret_line, char **ret_message);

/* The same; fails with VMF_ERROR_INVALID_ARGUMENT, "WHAT: line N: message". */
xmlDoc *vmf_xml_parse(const char *xml, const char *what, GError **error);

/* The string value of an expression, or NULL when it is empty; the caller's. */
char *vmf_xpath_string(xmlXPathContext *context, const char *expression);

gboolean vmf_xpath_boolean(xmlXPathContext *context, const char *expression);

/* libvirt's scaled integers, as bytes: libvirt itself always writes KiB. */
guint64 vmf_xpath_memory(xmlXPathContext *context, const char *expression);
