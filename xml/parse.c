/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/parse.h"

#include <string.h>

#include "base/error.h"

xmlDoc *
vmf_xml_read(const char *xml, int *ret_line, char **ret_message)
{
    g_autoptr(xmlParserCtxt) parser = xmlNewParserCtxt();
    xmlDoc *doc = xmlCtxtReadMemory(
        parser, xml, (int)MIN(strlen(xml), (size_t)G_MAXINT), NULL, NULL,
        XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_BIG_LINES);
    const xmlError *problem;

    if (doc && doc->intSubset) { /* libvirt writes none; here it could only be a bomb */
        xmlFreeDoc(doc);
        *ret_line = 1; /* libxml2 does not keep it */
        *ret_message = g_strdup("a document type declaration is not allowed");
        return NULL;
    }
    if (doc)
        return doc;
    problem = xmlCtxtGetLastError(parser);
    *ret_line = problem ? problem->line : 0;
    *ret_message = g_strstrip(g_strdup(problem && problem->message ? problem->message : "not XML"));
    return NULL;
}

xmlDoc *
vmf_xml_parse(const char *xml, const char *what, GError **error)
{
    g_autofree char *message = NULL;
    int line = 0;
    xmlDoc *doc = vmf_xml_read(xml, &line, &message);

    if (!doc)
        g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT, "%s: line %d: %s", what, line,
                    message);
    return doc;
}

char *
vmf_xpath_string(xmlXPathContext *context, const char *expression)
{
    g_autofree char *call = g_strdup_printf("string(%s)", expression);
    g_autoptr(xmlXPathObject) object = xmlXPathEval((const xmlChar *)call, context);

    if (!object || !object->stringval || !*object->stringval)
        return NULL;
    return g_strdup((const char *)object->stringval);
}

gboolean
vmf_xpath_boolean(xmlXPathContext *context, const char *expression)
{
    g_autofree char *call = g_strdup_printf("boolean(%s)", expression);
    g_autoptr(xmlXPathObject) object = xmlXPathEval((const xmlChar *)call, context);

    return object && object->boolval;
}

guint64
vmf_xpath_memory(xmlXPathContext *context, const char *expression)
{
    g_autofree char *text = vmf_xpath_string(context, expression);

    return text ? g_ascii_strtoull(text, NULL, 10) * 1024 : 0;
}
