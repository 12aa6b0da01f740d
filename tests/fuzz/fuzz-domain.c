/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest's XML, as it comes from another host by libvirt's hook or in the talk before a migration,
 * and a host's capabilities. What the rules change, and what is left without interfaces, is a
 * domain again, and the same one.
 */
#include "fuzz.h"

#include "xml/domain.h"
#include "xml/rewrite.h"

static const char rules_text[] = "[Paths]\n/srv/old/=/srv/new/\n/=/<&>'\"/\n"
                                 "[Networks]\nblue=green\ngreen=a&b\n"
                                 "[Bridges]\nbr0=br1\n"
                                 "[Emulators]\n/usr/bin/kvm=/usr/bin/qemu-system-x86_64\n"
                                 "[CpuModels]\nHaswell=qemu64\n";

static void
check_same(const VmfDomainXml *before, const char *xml)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfDomainXml) after = vmf_domain_xml_parse(xml, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(after->name, ==, before->name);
    g_assert_cmpstr(after->uuid, ==, before->uuid);
    g_assert_cmpstr(after->machine, ==, before->machine);
    g_assert_cmpuint(after->memory, ==, before->memory);
}

static void
rewrite(const VmfDomainXml *domain, const char *xml)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfRewrite) rules = vmf_rewrite_parse(rules_text, "rules", &error);
    g_auto(GStrv) changes = NULL;
    g_autofree char *changed = NULL;

    g_assert_no_error(error);
    changed = vmf_rewrite_apply(rules, xml, &changes, NULL);
    if (changed)
        check_same(domain, changed);
}

static void
take_capabilities(const char *xml)
{
    guint uid, gid;

    g_strfreev(vmf_capabilities_xml_get_emulators(xml));
    (void)vmf_capabilities_xml_get_owner(xml, &uid, &gid, NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    g_autofree char *xml = g_strndup((const char *)data, length);
    g_autoptr(VmfDomainXml) domain = vmf_domain_xml_parse(xml, NULL);
    g_auto(GStrv) models = NULL;
    g_autofree char *stripped = NULL;
    guint users;

    take_capabilities(xml);
    if (!domain)
        return 0;
    stripped = vmf_domain_xml_strip_interfaces(xml, &models, &users, NULL);
    if (stripped)
        check_same(domain, stripped);
    rewrite(domain, xml);
    return 0;
}
