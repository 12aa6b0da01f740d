/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka-all.h"

#include <string.h>

#include "base/error.h"
#include "xml/domain.h"

#define UUID "3f1c2a5e-0000-4000-8000-00000000abcd"
#define HEAD "<domain type='kvm'><name>web</name><uuid>" UUID "</uuid>"

static void
test_a_domain(void **state)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfDomainXml) domain =
        vmf_domain_xml_parse("<?xml version='1.0'?>\n"
                             "<domain type='kvm' id='3'>\n"
                             "  <name>two &lt;words&gt; &#233;</name>\n"
                             "  <uuid>" UUID "</uuid>\n"
                             "  <memory unit='KiB'>1048576</memory>\n"
                             "  <currentMemory unit='KiB'>524288</currentMemory>\n"
                             "  <os><type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type></os>\n"
                             "  <devices><disk type='file' device='disk'/></devices>\n"
                             "</domain>\n",
                             &error);

    assert_null(error);
    assert_string_equal(domain->name, "two <words> \xc3\xa9");
    assert_string_equal(domain->uuid, UUID);
    assert_string_equal(domain->machine, "pc-i440fx-7.2");
    assert_int_equal(domain->memory, G_GUINT64_CONSTANT(1073741824));
    assert_true(domain->writable_disk);
}

static void
test_what_another_host_needs(void **state)
{
    static const char xml[] =
        HEAD "<os><type arch='x86_64' machine='q35'>hvm</type><loader>/fw.fd</loader></os>"
             "<cpu mode='custom' check='full'><model>qemu64</model></cpu><devices>"
             "<emulator>/usr/bin/q</emulator><interface type='user'><mac address='1'/>"
             "<model type='virtio'/></interface><interface type='network'/>"
             "<interface type='hostdev'><model type='x'/></interface></devices></domain>";
    g_autoptr(VmfDomainXml) domain = vmf_domain_xml_parse(xml, NULL);
    g_auto(GStrv) models = NULL;
    guint users = 0;
    g_autofree char *stripped = vmf_domain_xml_strip_interfaces(xml, &models, &users, NULL);

    assert_string_equal(domain->type, "kvm");
    assert_string_equal(domain->arch, "x86_64");
    assert_string_equal(domain->emulator, "/usr/bin/q");
    assert_string_equal(domain->loader, "/fw.fd");
    assert_string_equal(domain->cpu_mode, "custom");
    assert_string_equal(domain->cpu_check, "full");
    assert_string_equal(domain->cpu,
                        "<cpu mode=\"custom\" check=\"full\"><model>qemu64</model></cpu>");
    assert_int_equal(g_strv_length(models), 2);
    assert_string_equal(models[0], "virtio");
    assert_string_equal(models[1], "");
    assert_int_equal(users, 1);
    assert_null(strstr(stripped, "'virtio'"));
    assert_null(strstr(stripped, "\"virtio\""));
    assert_non_null(strstr(stripped, "hostdev"));
    assert_non_null(strstr(stripped, "/fw.fd"));
}

static void
test_emulators_of_capabilities(void **state)
{
    static const char xml[] =
        "<capabilities><guest><arch name='x86_64'><emulator>/usr/bin/a</emulator>"
        "<domain type='kvm'><emulator>/usr/bin/b</emulator></domain>"
        "<domain type='qemu'><emulator>/usr/bin/a</emulator></domain></arch></guest>"
        "</capabilities>";
    g_auto(GStrv) paths = vmf_capabilities_xml_get_emulators(xml);
    g_auto(GStrv) none = vmf_capabilities_xml_get_emulators("<broken");

    assert_int_equal(g_strv_length(paths), 2);
    assert_string_equal(paths[0], "/usr/bin/a");
    assert_string_equal(paths[1], "/usr/bin/b");
    assert_int_equal(g_strv_length(none), 0);
}

static void
test_what_may_be_missing(void **state)
{
    g_autoptr(VmfDomainXml) domain = vmf_domain_xml_parse(HEAD "</domain>", NULL);

    assert_string_equal(domain->name, "web");
    assert_null(domain->machine);
    assert_int_equal(domain->memory, 0);
    assert_false(domain->writable_disk);
}

static void
test_writable_disks(void **state)
{
    const struct {
        const char *devices;
        gboolean writable;
    } cases[] = {
        {"", FALSE},
        {"<disk/>", TRUE},
        {"<disk device='disk'/>", TRUE},
        {"<disk device='lun'/>", TRUE},
        {"<disk device='floppy'/>", TRUE},
        {"<disk device='cdrom'/>", FALSE},
        {"<disk device='disk'><readonly/></disk>", FALSE},
        {"<disk device='cdrom'><readonly/></disk><disk device='disk'/>", TRUE},
        {"<filesystem/>", FALSE},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *xml =
            g_strdup_printf(HEAD "<devices>%s</devices></domain>", cases[i].devices);
        g_autoptr(VmfDomainXml) domain = vmf_domain_xml_parse(xml, NULL);

        if (domain->writable_disk != cases[i].writable)
            fail_msg("'%s' is not taken for what it is", cases[i].devices);
    }
}

static void
test_elements_of_other_namespaces_are_not_ours(void **state)
{
    g_autoptr(VmfDomainXml) domain = vmf_domain_xml_parse(
        "<domain xmlns:x='http://example.org/x'><metadata><x:name>no</x:name><name>no</name>"
        "</metadata><x:name>no</x:name><name>yes</name><uuid>" UUID "</uuid></domain>",
        NULL);

    assert_string_equal(domain->name, "yes");
}

static void
assert_refused(const char *xml, const char *why)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfDomainXml) domain = vmf_domain_xml_parse(xml, &error);

    if (domain)
        fail_msg("'%.80s' was taken", xml);
    assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT));
    assert_true(g_str_has_prefix(error->message, "domain XML: "));
    if (!strstr(error->message, why))
        fail_msg("'%s' does not say '%s'", error->message, why);
}

static void
test_refusals(void **state)
{
    assert_refused("", "line");
    assert_refused("not XML", "line 1");
    assert_refused("<domain><name>web</name>\n<uuid></domain>", "line 2");
    assert_refused("<domain><name>web</name></domain>", "uuid is missing");
    assert_refused("<domain><uuid>" UUID "</uuid></domain>", "name or uuid is missing");
    assert_refused("<domain><name/><uuid>" UUID "</uuid></domain>", "name or uuid is missing");
    assert_refused("<network><name>web</name><uuid>" UUID "</uuid></network>", "is missing");
    assert_refused("<domain xmlns='http://example.org/x'><name>web</name><uuid>" UUID
                   "</uuid></domain>",
                   "is missing");
}

static void
test_document_types_are_refused(void **state)
{
    assert_refused("<!DOCTYPE domain>" HEAD "</domain>", "document type");
    assert_refused("<!DOCTYPE domain SYSTEM 'file:///etc/passwd'>" HEAD "</domain>",
                   "document type");
    assert_refused("<!DOCTYPE domain [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>"
                   "<domain><name>&x;</name><uuid>" UUID "</uuid></domain>",
                   "document type");
}

/* A few hundred bytes that would become gigabytes: in text, and in an attribute. */
static void
test_a_bomb_is_refused(void **state)
{
    const char *const places[] = {"<name>&e9;</name>", "<name a='&e9;'>web</name>"};

    for (guint place = 0; place < G_N_ELEMENTS(places); place++) {
        g_autoptr(GString) xml = g_string_new("<!DOCTYPE domain [<!ENTITY e0 'boom boom'>");
        g_autoptr(GError) error = NULL;
        gint64 start = g_get_monotonic_time();

        for (int level = 1; level < 10; level++) {
            g_string_append_printf(xml, "<!ENTITY e%d '", level);
            for (int i = 0; i < 10; i++)
                g_string_append_printf(xml, "&e%d;", level - 1);
            g_string_append(xml, "'>");
        }
        g_string_append_printf(xml, "]><domain>%s<uuid>" UUID "</uuid></domain>", places[place]);
        assert_null(vmf_domain_xml_parse(xml->str, &error));
        assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT));
        assert_in_range(g_get_monotonic_time() - start, 0, 10 * G_USEC_PER_SEC);
    }
}

static void
test_deep_nesting_is_refused(void **state)
{
    g_autoptr(GString) xml = g_string_new(HEAD);
    g_autoptr(GError) error = NULL;

    for (int i = 0; i < 100000; i++)
        g_string_append(xml, "<a>");
    assert_null(vmf_domain_xml_parse(xml->str, &error));
    assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT));
}

static void
test_owner(void **state)
{
    const struct {
        const char *models;
        guint uid;
        guint gid;
    } cases[] = {
        {"", 0, 0},
        {"<secmodel><model>none</model></secmodel>", 0, 0},
        {"<secmodel><model>dac</model></secmodel>", 0, 0},
        {"<secmodel><model>dac</model><baselabel type='kvm'>+64055:+103</baselabel>"
         "<baselabel type='qemu'>+64055:+103</baselabel></secmodel>",
         64055, 103},
        {"<secmodel><model>apparmor</model><baselabel type='kvm'>+1:+1</baselabel></secmodel>"
         "<secmodel><model>dac</model><baselabel type='qemu'>107:36</baselabel></secmodel>",
         107, 36},
        {"<secmodel><model>dac</model><baselabel type='xen'>+5:+5</baselabel></secmodel>", 0, 0},
        {"<secmodel><model>dac</model><baselabel type='kvm'>+0:+0</baselabel></secmodel>", 0, 0},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *xml =
            g_strdup_printf("<capabilities><host>%s</host></capabilities>", cases[i].models);
        guint uid = 99;
        guint gid = 99;

        assert_true(vmf_capabilities_xml_get_owner(xml, &uid, &gid, NULL));
        assert_int_equal(uid, cases[i].uid);
        assert_int_equal(gid, cases[i].gid);
    }
}

static void
test_owner_refusals(void **state)
{
    const char *labels[] = {"root:root", "+1",    "+1:",          ":+1",  "+-1:+1",
                            "++1:+1",    "1:2:3", "4294967295:1", "1 :1", "+1:+99999999999"};

    for (guint i = 0; i < G_N_ELEMENTS(labels); i++) {
        g_autofree char *xml = g_strdup_printf(
            "<capabilities><host><secmodel><model>dac</model><baselabel type='kvm'>%s</baselabel>"
            "</secmodel></host></capabilities>",
            labels[i]);
        g_autoptr(GError) error = NULL;
        guint uid = 99;
        guint gid = 99;

        if (vmf_capabilities_xml_get_owner(xml, &uid, &gid, &error))
            fail_msg("'%s' was taken", labels[i]);
        assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT));
        assert_non_null(strstr(error->message, labels[i]));
        assert_int_equal(uid, 99);
        assert_int_equal(gid, 99);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_domain),
        cmocka_unit_test(test_what_another_host_needs),
        cmocka_unit_test(test_emulators_of_capabilities),
        cmocka_unit_test(test_what_may_be_missing),
        cmocka_unit_test(test_writable_disks),
        cmocka_unit_test(test_elements_of_other_namespaces_are_not_ours),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_document_types_are_refused),
        cmocka_unit_test(test_a_bomb_is_refused),
        cmocka_unit_test(test_deep_nesting_is_refused),
        cmocka_unit_test(test_owner),
        cmocka_unit_test(test_owner_refusals),
    };

    return cmocka_run_group_tests_name("domain-xml", tests, NULL, NULL);
}
