/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/domain.h"

#include "base/error.h"
#include "xml/parse.h"

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
    if (!domain->name || !domain->uuid) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                    "domain XML: name or uuid is missing");
        return NULL;
    }
    return g_steal_pointer(&domain);
}

void
vmf_domain_xml_free(VmfDomainXml *domain)
{
    g_free(domain->name);
    g_free(domain->uuid);
    g_free(domain->machine);
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
