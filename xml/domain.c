/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/domain.h"

#include "base/error.h"
#include "xml/parse.h"

/* The first element that an expression finds, as XML of its own. */
static char *
vmf_xpath_element(xmlXPathContext *context, const char *expression)
{
    g_autoptr(xmlXPathObject) object = xmlXPathEval((const xmlChar *)expression, context);
    const xmlNodeSet *found = object ? object->nodesetval : NULL;
    xmlBuffer *buffer;
    char *text = NULL;

    if (!found || found->nodeNr == 0)
        return NULL;
    buffer = xmlBufferCreate();
    if (xmlNodeDump(buffer, context->doc, found->nodeTab[0], 0, 0) > 0)
        text = g_strdup((const char *)xmlBufferContent(buffer));
    xmlBufferFree(buffer);
    return text;
}

/* What decides whether another host can take it. */
static void
vmf_domain_xml_read_needs(VmfDomainXml *domain, xmlXPathContext *context)
{
    domain->type = vmf_xpath_string(context, "/domain/@type");
    domain->arch = vmf_xpath_string(context, "/domain/os/type/@arch");
    domain->emulator = vmf_xpath_string(context, "/domain/devices/emulator");
    domain->loader = vmf_xpath_string(context, "/domain/os/loader");
    domain->memory_source = vmf_xpath_string(context, "/domain/memoryBacking/source/@type");
    domain->cpu = vmf_xpath_element(context, "/domain/cpu");
    domain->cpu_mode = vmf_xpath_string(context, "/domain/cpu/@mode");
    domain->cpu_check = vmf_xpath_string(context, "/domain/cpu/@check");
}

VmfDomainXml *
vmf_domain_xml_parse(const char *xml, GError **error)
{
    g_autoptr(xmlDoc) doc = vmf_xml_parse(xml, "domain XML", error);
    g_autoptr(xmlXPathContext) context = NULL;
    g_autoptr(VmfDomainXml) domain = NULL;

    if (!doc)
        return NULL;
    context = xmlXPathNewContext(doc);
    domain = g_new0(VmfDomainXml, 1);
    domain->name = vmf_xpath_string(context, "/domain/name");
    domain->uuid = vmf_xpath_string(context, "/domain/uuid");
    domain->machine = vmf_xpath_string(context, "/domain/os/type/@machine");
    domain->memory = vmf_xpath_memory(context, "/domain/memory");
    domain->writable_disk = vmf_xpath_boolean(
        context, "/domain/devices/disk[not(readonly) and (not(@device) or @device='disk' or "
                 "@device='floppy' or @device='lun')]");
    vmf_domain_xml_read_needs(domain, context);
    if (!domain->name || !domain->uuid) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                    "domain XML: name or uuid is missing");
        return NULL;
    }
    return g_steal_pointer(&domain);
}

/* An attribute of a node, or of its first child of a name; "" if there is none. */
static char *
vmf_xml_attribute(const xmlNode *node, const char *child, const char *name)
{
    xmlChar *value;
    char *copy;

    for (const xmlNode *at = node->children; child && at; at = at->next)
        if (at->type == XML_ELEMENT_NODE && g_str_equal((const char *)at->name, child))
            return vmf_xml_attribute(at, NULL, name);
    value = child ? NULL : xmlGetProp(node, (const xmlChar *)name);
    copy = g_strdup(value ? (const char *)value : "");
    xmlFree(value);
    return copy;
}

char *
vmf_domain_xml_strip_interfaces(const char *xml, char ***ret_models, guint *ret_users,
                                GError **error)
{
    g_autoptr(xmlDoc) doc = vmf_xml_parse(xml, "domain XML", error);
    g_autoptr(xmlXPathContext) context = doc ? xmlXPathNewContext(doc) : NULL;
    g_autoptr(xmlXPathObject) object = NULL;
    g_autoptr(GStrvBuilder) models = g_strv_builder_new();
    xmlChar *text = NULL;
    char *copy;
    int size = 0;

    if (!doc)
        return NULL;
    *ret_users = 0;
    object =
        xmlXPathEval((const xmlChar *)"/domain/devices/interface[@type != 'hostdev']", context);
    for (int i = 0; object && object->nodesetval && i < object->nodesetval->nodeNr; i++) {
        xmlNode *node = object->nodesetval->nodeTab[i];
        g_autofree char *model = vmf_xml_attribute(node, "model", "type");
        g_autofree char *type = vmf_xml_attribute(node, NULL, "type");

        g_strv_builder_add(models, model);
        *ret_users += g_str_equal(type, "user");
        xmlUnlinkNode(node);
        xmlFreeNode(node);
        object->nodesetval->nodeTab[i] = NULL; /* libxml2 would look at it */
    }
    xmlDocDumpMemory(doc, &text, &size);
    copy = g_strdup((const char *)text);
    xmlFree(text);
    *ret_models = g_strv_builder_end(models);
    return copy;
}

void
vmf_domain_xml_free(VmfDomainXml *domain)
{
    g_free(domain->name);
    g_free(domain->uuid);
    g_free(domain->machine);
    g_free(domain->type);
    g_free(domain->arch);
    g_free(domain->emulator);
    g_free(domain->loader);
    g_free(domain->memory_source);
    g_free(domain->cpu);
    g_free(domain->cpu_mode);
    g_free(domain->cpu_check);
    g_free(domain);
}

/* A base label of the DAC model is "+UID:+GID". */
static gboolean
vmf_dac_label_parse(const char *label, guint *ret_uid, guint *ret_gid)
{
    g_auto(GStrv) parts = g_strsplit(label, ":", 2);
    guint64 uid;
    guint64 gid;

    if (g_strv_length(parts) != 2)
        return FALSE;
    if (!g_ascii_string_to_unsigned(parts[0] + (parts[0][0] == '+'), 10, 0, G_MAXUINT32 - 1, &uid,
                                    NULL) ||
        !g_ascii_string_to_unsigned(parts[1] + (parts[1][0] == '+'), 10, 0, G_MAXUINT32 - 1, &gid,
                                    NULL))
        return FALSE;
    *ret_uid = (guint)uid;
    *ret_gid = (guint)gid;
    return TRUE;
}

gboolean
vmf_capabilities_xml_get_owner(const char *xml, guint *ret_uid, guint *ret_gid, GError **error)
{
    g_autoptr(xmlDoc) doc = vmf_xml_parse(xml, "capabilities XML", error);
    g_autoptr(xmlXPathContext) context = NULL;
    g_autofree char *label = NULL;

    if (!doc)
        return FALSE;
    context = xmlXPathNewContext(doc);
    label = vmf_xpath_string(
        context, "/capabilities/host/secmodel[model='dac']/baselabel[@type='kvm' or @type='qemu']");
    if (!label) {
        *ret_uid = *ret_gid = 0;
        return TRUE;
    }
    if (vmf_dac_label_parse(label, ret_uid, ret_gid))
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                "capabilities XML: DAC label %s is not UID:GID", label);
    return FALSE;
}

char **
vmf_capabilities_xml_get_emulators(const char *xml)
{
    g_autoptr(xmlDoc) doc = vmf_xml_parse(xml, "capabilities XML", NULL);
    g_autoptr(xmlXPathContext) context = doc ? xmlXPathNewContext(doc) : NULL;
    g_autoptr(xmlXPathObject) object = NULL;
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) paths = g_ptr_array_new();
    const xmlNodeSet *found;

    if (context)
        object = xmlXPathEval((const xmlChar *)"/capabilities/guest/arch//emulator", context);
    found = object ? object->nodesetval : NULL;
    for (int i = 0; found && i < found->nodeNr; i++) {
        xmlChar *text = xmlNodeGetContent(found->nodeTab[i]);

        if (text && !g_hash_table_contains(seen, text)) {
            g_ptr_array_add(paths, g_strdup((const char *)text));
            g_hash_table_add(seen, paths->pdata[paths->len - 1]);
        }
        xmlFree(text);
    }
    g_ptr_array_add(paths, NULL);
    return (char **)g_ptr_array_steal(paths, NULL);
}
