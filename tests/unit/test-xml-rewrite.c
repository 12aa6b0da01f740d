/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rules for the XML of guests that arrive; libvirt's own schema judges what comes out. */
#include "cmocka-all.h"

#include <libxml/parser.h>
#include <libxml/relaxng.h>
#include <string.h>

#include "base/error.h"
#include "xml/rewrite.h"

#define SCHEMA "/usr/share/libvirt/schemas/domain.rng"

#define GUEST(kernel, emulator, disk, source, cpu)                                                 \
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"                                                 \
    "<domain type=\"qemu\"><name>g</name><uuid>3f1c2a5e-0000-4000-8000-00000000abcd</uuid>"        \
    "<memory unit=\"KiB\">65536</memory><os><type arch=\"x86_64\" machine=\"pc\">hvm</type>"       \
    "<kernel>" kernel "</kernel></os><cpu mode=\"custom\" match=\"exact\"><model>" cpu "</model>"  \
    "</cpu><devices><emulator>" emulator "</emulator>"                                             \
    "<disk type=\"file\" device=\"disk\"><source file=\"" disk "\"/><target dev=\"vda\"/></disk>"  \
    "<interface type=\"bridge\"><source bridge=\"" source "\"/></interface>"                       \
    "<interface type=\"network\"><source network=\"" source "\"/></interface>"                     \
    "</devices></domain>\n"

#define BEFORE GUEST("/srv/a/vmlinuz", "/usr/bin/kvm", "/srv/a/g.img", "blue", "Skylake-Server")

static const char rules[] = "[Paths]\n/srv/a/=/srv/b & <c>/\n[Networks]\nblue=green\n"
                            "[Bridges]\nblue=br1\n[Emulators]\n"
                            "/usr/bin/kvm=/usr/bin/qemu-system-x86_64\n"
                            "[CpuModels]\nSkylake-Server=Cascadelake-Server\n";

static void
assert_schema_takes(const char *xml)
{
    xmlRelaxNGParserCtxt *parser = xmlRelaxNGNewParserCtxt(SCHEMA);
    xmlRelaxNG *schema = parser ? xmlRelaxNGParse(parser) : NULL;
    xmlRelaxNGValidCtxt *valid = schema ? xmlRelaxNGNewValidCtxt(schema) : NULL;
    xmlDoc *doc = xmlReadMemory(xml, (int)strlen(xml), NULL, NULL, XML_PARSE_NONET);

    assert_non_null(valid);
    assert_non_null(doc);
    assert_int_equal(xmlRelaxNGValidateDoc(valid, doc), 0);
    xmlFreeDoc(doc);
    xmlRelaxNGFreeValidCtxt(valid);
    xmlRelaxNGFree(schema);
    xmlRelaxNGFreeParserCtxt(parser);
}

static char *
apply(const char *text, const char *xml, GStrv *ret_changes)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfRewrite) rewrite = vmf_rewrite_parse(text, "rewrite.conf", &error);
    char *changed;

    assert_non_null(rewrite);
    changed = vmf_rewrite_apply(rewrite, xml, ret_changes, &error);
    assert_null(error);
    return changed;
}

static void
test_all_kinds(void **state)
{
    g_auto(GStrv) changes = NULL;
    g_autofree char *changed = apply(rules, BEFORE, &changes);

    assert_non_null(changed);
    assert_non_null(strstr(changed, "<kernel>/srv/b &amp; &lt;c&gt;/vmlinuz</kernel>"));
    assert_non_null(strstr(changed, "<source file=\"/srv/b &amp; &lt;c&gt;/g.img\"/>"));
    assert_non_null(strstr(changed, "<emulator>/usr/bin/qemu-system-x86_64</emulator>"));
    assert_non_null(strstr(changed, "<source bridge=\"br1\"/>"));
    assert_non_null(strstr(changed, "<source network=\"green\"/>"));
    assert_non_null(strstr(changed, "<model>Cascadelake-Server</model>"));
    assert_int_equal(g_strv_length(changes), 6);
    assert_string_equal(changes[0], "os kernel: /srv/a/vmlinuz -> /srv/b & <c>/vmlinuz");
    assert_schema_takes(BEFORE);
    assert_schema_takes(changed);
}

static void
test_swapped_names(void **state)
{
    g_auto(GStrv) changes = NULL;
    g_autofree char *changed = apply("[Networks]\nblue=green\ngreen=blue\n", BEFORE, &changes);
    g_auto(GStrv) again = NULL;
    g_autofree char *back = apply("[Networks]\nblue=green\ngreen=blue\n", changed, &again);

    assert_non_null(strstr(changed, "network=\"green\""));
    assert_string_equal(back, BEFORE);
}

static void
test_nothing_to_change(void **state)
{
    g_auto(GStrv) changes = NULL;

    assert_null(apply("", BEFORE, &changes));
    assert_null(
        apply("[Paths]\n/elsewhere/=/srv/\n[Networks]\nblu=green\nblue2=x\n", BEFORE, &changes));
    assert_null(changes);
}

static void
test_what_is_no_rule(void **state)
{
    static const char *const cases[][2] = {
        {"[Path]\n/a=/b\n", "[Path]: expected Paths"},
        {"[Paths]\n/a=b\n", "[Paths] /a: 'b' is not an absolute path"},
        {"[Paths]\na=/b\n", "[Paths] a: 'a' is not an absolute path"},
        {"[Emulators]\n/usr/bin/kvm=kvm\n", "'kvm' is not an absolute path"},
        {"[Bridges]\nbr0=a-bridge-that-is-too-long\n", "is not the name of a bridge"},
        {"[Bridges]\nbr0=\n", "'' is not the name of a bridge"},
        {"[Networks]\nblue=a/b\n", "is not the name of a network"},
        {"[CpuModels]\nqemu64=<model>\n", "is not the name of a CPU model"},
        {"/a=/b\n", "rewrite.conf: "},
        {"[Paths\n", "rewrite.conf: "},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        assert_null(vmf_rewrite_parse(cases[i][0], "rewrite.conf", &error));
        assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION));
        assert_true(g_str_has_prefix(error->message, "rewrite.conf: "));
        if (!strstr(error->message, cases[i][1]))
            fail_msg("'%s' lacks '%s'", error->message, cases[i][1]);
    }
}

static void
test_what_is_no_domain(void **state)
{
    g_autoptr(VmfRewrite) rewrite = vmf_rewrite_parse(rules, "rewrite.conf", NULL);
    g_autoptr(GError) error = NULL;
    GStrv changes = NULL;

    assert_null(vmf_rewrite_apply(rewrite, "<domain", &changes, &error));
    assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT));
    assert_null(changes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_kinds),         cmocka_unit_test(test_swapped_names),
        cmocka_unit_test(test_nothing_to_change), cmocka_unit_test(test_what_is_no_rule),
        cmocka_unit_test(test_what_is_no_domain),
    };

    return cmocka_run_group_tests_name("rewrite", tests, NULL, NULL);
}
