/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/error.h"
#include "xml/policy-private.h"

/* Of a text libxml2 keeps the line it ends in; told is where it begins. */
static long
vmf_xml_reader_line(const xmlNode *node)
{
    long line = xmlGetLineNo(node);
    const char *text = node->type == XML_TEXT_NODE ? (const char *)node->content : "";

    for (text += strspn(text, " \t\r\n"); *text; text++)
        line -= *text == '\n';
    return line;
}

gboolean
vmf_xml_reader_fail(const VmfXmlReader *self, const xmlNode *node, const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list arguments;

    va_start(arguments, format);
    message = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    if (self->error && !*self->error)
        g_set_error(self->error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION, "%s:%ld: %s", self->file,
                    vmf_xml_reader_line(node), message);
    return FALSE;
}

static gboolean
vmf_xml_reader_is_blank(const xmlNode *node)
{
    return node->type == XML_COMMENT_NODE || node->type == XML_PI_NODE ||
           (node->type == XML_TEXT_NODE && xmlIsBlankNode(node));
}

static gboolean
vmf_xml_reader_is_ours(const VmfXmlReader *self, const xmlNode *node)
{
    return g_strcmp0(node->ns ? (const char *)node->ns->href : NULL, self->namespace) == 0;
}

static char *
vmf_elements_list(const VmfElement *elements)
{
    g_autoptr(GString) list = g_string_new(NULL);

    for (; elements->name; elements++)
        g_string_append_printf(list, "%s<%s>", list->len ? ", " : "", elements->name);
    return g_strdup(list->str);
}

gboolean
vmf_xml_reader_children(VmfXmlReader *self, xmlNode *node, const VmfElement *elements,
                        gpointer data)
{
    guint64 seen = 0;

    for (xmlNode *child = node->children; child; child = child->next) {
        g_autofree char *list = NULL;
        guint i = 0;

        if (vmf_xml_reader_is_blank(child))
            continue;
        if (child->type != XML_ELEMENT_NODE)
            return vmf_xml_reader_fail(self, child, "no text may stand in <%s>", node->name);
        while (elements[i].name && strcmp(elements[i].name, (const char *)child->name) != 0)
            i++;
        if (!elements[i].name || !vmf_xml_reader_is_ours(self, child)) {
            list = vmf_elements_list(elements);
            return vmf_xml_reader_fail(self, child, "<%s> is not known in <%s>; there may be %s",
                                       child->name, node->name, list);
        }
        if (!elements[i].many && seen & (1ull << i))
            return vmf_xml_reader_fail(self, child, "<%s> stands twice in <%s>", child->name,
                                       node->name);
        seen |= 1ull << i;
        if (!elements[i].read(self, child, data))
            return FALSE;
    }
    return TRUE;
}

gboolean
vmf_xml_reader_attributes(const VmfXmlReader *self, xmlNode *node, const char *const *names)
{
    for (xmlAttr *attribute = node->properties; attribute; attribute = attribute->next)
        if (attribute->ns || !g_strv_contains(names, (const char *)attribute->name)) {
            g_autofree char *list = g_strjoinv(", ", (char **)names);

            return vmf_xml_reader_fail(self, node,
                                       "attribute '%s' is not known in <%s>; there may be %s",
                                       attribute->name, node->name, *list ? list : "none");
        }
    return TRUE;
}

gboolean
vmf_xml_reader_leaf(const VmfXmlReader *self, xmlNode *node)
{
    for (xmlNode *child = node->children; child; child = child->next)
        if (!vmf_xml_reader_is_blank(child))
            return vmf_xml_reader_fail(self, node, "<%s> must be empty", node->name);
    return TRUE;
}

char *
vmf_xml_reader_attribute(xmlNode *node, const char *name)
{
    xmlChar *value = xmlGetNoNsProp(node, (const xmlChar *)name);
    char *copy = g_strdup((const char *)value);

    xmlFree(value);
    return copy;
}

char *
vmf_xml_reader_text(const VmfXmlReader *self, xmlNode *node)
{
    xmlChar *value;
    char *text;

    for (xmlNode *child = node->children; child; child = child->next)
        if (child->type == XML_ELEMENT_NODE) {
            vmf_xml_reader_fail(self, child, "<%s> takes text, not <%s>", node->name, child->name);
            return NULL;
        }
    value = xmlNodeGetContent(node);
    text = g_strstrip(g_strdup((const char *)value));
    xmlFree(value);
    if (*text)
        return text;
    vmf_xml_reader_fail(self, node, "<%s> is empty", node->name);
    g_free(text);
    return NULL;
}

gboolean
vmf_xml_reader_number(const VmfXmlReader *self, const xmlNode *node, const char *what,
                      const char *text, guint64 least, guint64 most, guint64 *ret)
{
    if (g_ascii_string_to_unsigned(text, 10, least, most, ret, NULL))
        return TRUE;
    return vmf_xml_reader_fail(self, node,
                               "%s is '%s'; it must be a whole number from %" G_GUINT64_FORMAT
                               " to %" G_GUINT64_FORMAT,
                               what, text, least, most);
}

gboolean
vmf_xml_reader_number_attribute(const VmfXmlReader *self, xmlNode *node, const char *name,
                                guint64 least, guint64 most, guint *ret)
{
    g_autofree char *text = vmf_xml_reader_attribute(node, name);
    g_autofree char *what = g_strdup_printf("'%s' of <%s>", name, node->name);
    guint64 value = 0;

    if (!text)
        return TRUE;
    if (!vmf_xml_reader_number(self, node, what, text, least, most, &value))
        return FALSE;
    *ret = (guint)value;
    return TRUE;
}

gboolean
vmf_xml_reader_word(const VmfXmlReader *self, const xmlNode *node, const char *what,
                    const char *text, const char *const *words, guint *ret)
{
    g_autofree char *list = NULL;

    for (guint i = 0; words[i]; i++)
        if (strcmp(words[i], text) == 0) {
            *ret = i;
            return TRUE;
        }
    list = g_strjoinv(", ", (char **)words);
    return vmf_xml_reader_fail(self, node, "%s is '%s'; it may be %s", what, text, list);
}

gboolean
vmf_xml_reader_bytes(const VmfXmlReader *self, xmlNode *node, const char *what, const char *text,
                     const char *unit, guint64 *ret)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", NULL};
    g_autofree char *given = vmf_xml_reader_attribute(node, "unit");
    guint index = 0;
    guint64 value;

    if (!vmf_xml_reader_word(self, node, "the unit", given ? given : unit, units, &index) ||
        !vmf_xml_reader_number(self, node, what, text, 0, 1 << 22, &value))
        return FALSE;
    *ret = value << (10 * (index + 1));
    return TRUE;
}
