/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Policy files: what they say, what is wrong with broken ones, and whom they hold for. */
#include "cmocka-all.h"

#include <libxml/relaxng.h>

#include "base/error.h"
#include "xml/policy.h"

#define UUID "6f1c1f1e-0d0c-4c5c-9f6e-1b2c3d4e5f60"
#define FILE_OF(what) "<policies>\n<policy name='p'>\n" what "\n</policy>\n</policies>\n"
#define LIMITS(what) FILE_OF("<limits>\n" what "\n</limits>")
#define SELECT(what) FILE_OF("<select>\n" what "\n</select>")

static const char *schema_path;
static char **example_paths;

/* ---- broken files ---- */

static const struct {
    const char *text;
    int line;
    const char *message;
} broken[] = {
    {"", 1, "Document is empty"},
    {"balanced", 1, "Start tag expected"},
    {"<policies>", 1, "Premature end"},
    {"<policies>\n<policy name='p'>\n</policies>", 3,
     "Premature end of data in tag policies line 1"},
    {"<policies>\n<policy name='p' name='q'/></policies>", 2, "Attribute name redefined"},
    {"<policies>\n<policy name='&x;'/></policies>", 2, "Entity 'x' not defined"},
    {"<!DOCTYPE policies>\n<policies/>", 1, "document type declaration is not allowed"},
    {"<policy name='p'/>", 1, "must begin with <policies>, not <policy>"},
    {"<policies xmlns='urn:x'/>", 1, "must begin with <policies>"},
    {"<policies version='1'/>", 1,
     "attribute 'version' is not known in <policies>; there may be none"},
    {"<policies>\n\n<polcy name='p'/>\n</policies>", 3,
     "<polcy> is not known in <policies>; there may be <policy>"},
    {"<policies>\nbalanced\n</policies>", 2, "no text may stand in <policies>"},
    {"<policies>\n<policy/>\n</policies>", 2, "<policy> needs a 'name'"},
    {"<policies>\n<policy name=''/>\n</policies>", 2, "<policy> needs a 'name'"},
    {"<policies>\n<policy name='p' prio='1'/>\n</policies>", 2, "attribute 'prio' is not known"},
    {"<policies>\n<policy name='p'/>\n<policy name='p'/>\n</policies>", 3,
     "two policies of the name 'p'"},
    {FILE_OF("<extends/>"), 3, "there is no preset ''"},
    {FILE_OF("<extends preset='fast'/>"), 3,
     "there is no preset 'fast'; there are minimal-downtime"},
    {FILE_OF("<extends preset='balanced'>x</extends>"), 3, "<extends> must be empty"},
    {FILE_OF("<limits/>\n<limits/>"), 4, "<limits> stands twice in <policy>"},
    {FILE_OF("<x:limits xmlns:x='urn:x'/>"), 3, "<limits> is not known in <policy>"},
    {LIMITS("<speed>1</speed>"), 4, "<speed> is not known in <limits>; there may be <bandwidth>"},
    {LIMITS("<bandwidth/>"), 4, "<bandwidth> is empty"},
    {LIMITS("<bandwidth>fast</bandwidth>"), 4,
     "the bandwidth is 'fast'; it must be a whole number from 0 to 4194304"},
    {LIMITS("<bandwidth>-1</bandwidth>"), 4, "the bandwidth is '-1'"},
    {LIMITS("<bandwidth unit='MB'>1</bandwidth>"), 4,
     "the unit is 'MB'; it may be KiB, MiB, GiB, TiB"},
    {LIMITS("<bandwidth><b>1</b></bandwidth>"), 4, "<bandwidth> takes text, not <b>"},
    {LIMITS("\n<downtime allowed='0'/>"), 5,
     "'allowed' of <downtime> is '0'; it must be a whole number from 1 to 3600000"},
    {LIMITS("<downtime allowed='1.5'/>"), 4, "'allowed' of <downtime> is '1.5'"},
    {LIMITS("<downtime allowed='500' max='200'/>"), 4, "less than the 500 ms allowed"},
    {LIMITS("<downtime limit='5'/>"), 4,
     "attribute 'limit' is not known in <downtime>; there may be "
     "allowed, max, step"},
    {LIMITS("<deadline seconds='86401'/>"), 4, "'seconds' of <deadline> is '86401'"},
    {LIMITS("<deadline action='stop'/>"), 4,
     "the action is 'stop'; it may be go-on, switchover, postcopy, throttle, abort"},
    {LIMITS("<cache share='0'/>"), 4,
     "'share' of <cache> is '0'; it must be a whole number from 1"},
    {LIMITS("<cache share='101'/>"), 4, "'share' of <cache> is '101'"},
    {LIMITS("<cache memory='much'/>"), 4, "'memory' of <cache> is 'much'"},
    {LIMITS("<cpu share='half'/>"), 4, "'share' of <cpu> is 'half'"},
    {LIMITS("<compression/>"), 4, "<compression> needs a 'mode'"},
    {LIMITS("<compression mode='zip'/>"), 4, "the mode is 'zip'; it may be auto, off, on"},
    {FILE_OF("<engines>pump rdma</engines>"), 3,
     "a word of <engines> is 'rdma'; it may be pump, one-sided, native, plain"},
    {FILE_OF("<engines>none</engines>"), 3, "without an engine nothing can move"},
    {FILE_OF("<auto-enable>hook</auto-enable>"), 3, "it may be socket, capture, native"},
    {FILE_OF("<failure/>"), 3, "<failure> needs 'mode'"},
    {FILE_OF("<failure mode='ajar'/>"), 3, "'mode' of <failure> is 'ajar'; it may be open, closed"},
    {FILE_OF("<observe ahead='1'/>"), 3, "'ahead' of <observe> is '1'; it may be no, yes"},
    {SELECT("<guest>web</guest>"), 4, "<guest> is not known in <select>"},
    {SELECT("<name/>"), 4, "<name> is empty"},
    {SELECT("<name case='no'>web</name>"), 4, "attribute 'case' is not known in <name>"},
    {SELECT("<uuid>123</uuid>"), 4, "'123' is not a UUID"},
    {SELECT("<direction>away</direction>"), 4, "the direction is 'away'; it may be in, out"},
    {SELECT("<direction>in</direction>\n<direction>out</direction>"), 5,
     "<direction> stands twice"},
    {SELECT("<memory/>"), 4, "<memory> needs 'min' or 'max'"},
    {SELECT("<memory min='4' max='2'/>"), 4, "'min' of <memory> is more than 'max'"},
    {SELECT("<metadata element='tier'>gold</metadata>"), 4, "needs 'namespace' and 'element'"},
};

static void
test_broken_files(void **state)
{
    assert_true(G_N_ELEMENTS(broken) >= 40);
    for (guint i = 0; i < G_N_ELEMENTS(broken); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) rules = vmf_policy_file_parse(broken[i].text, "x.xml", &error);
        g_autofree char *where = g_strdup_printf("x.xml:%d: ", broken[i].line);

        if (rules)
            fail_msg("'%s' was taken", broken[i].text);
        assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION));
        if (!g_str_has_prefix(error->message, where) || !strstr(error->message, broken[i].message))
            fail_msg("'%s': want '%s%s', have '%s'", broken[i].text, where, broken[i].message,
                     error->message);
        assert_null(vmf_policy_file_parse(broken[i].text, "x.xml", NULL));
    }
}

/* ---- the schema ---- */

static void
be_quiet(void *data, const char *format, ...)
{
}

static int
validate(xmlRelaxNGValidCtxt *context, const char *text)
{
    xmlDoc *doc = xmlReadMemory(text, (int)strlen(text), NULL, NULL,
                                XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    int result = doc ? xmlRelaxNGValidateDoc(context, doc) : -1;

    xmlFreeDoc(doc);
    return result;
}

static void
test_schema_and_examples(void **state)
{
    xmlRelaxNGParserCtxt *parser = xmlRelaxNGNewParserCtxt(schema_path);
    xmlRelaxNG *schema = xmlRelaxNGParse(parser);
    xmlRelaxNGValidCtxt *context;
    guint examples = 0;

    assert_non_null(schema);
    context = xmlRelaxNGNewValidCtxt(schema);
    xmlRelaxNGSetValidErrors(context, be_quiet, be_quiet, NULL);
    for (char **path = example_paths; *path; path++) {
        g_autofree char *text = NULL;
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) rules = NULL;

        assert_true(g_file_get_contents(*path, &text, NULL, NULL));
        if (validate(context, text) != 0)
            fail_msg("%s is not valid by the schema", *path);
        rules = vmf_policy_file_parse(text, *path, &error);
        if (!rules)
            fail_msg("%s", error->message);
        assert_true(rules->len > 0);
        examples++;
    }
    assert_true(examples > 0);
    /* What is wrong only in the sum of its parts a schema cannot say. */
    for (guint i = 0; i < G_N_ELEMENTS(broken); i++)
        if (validate(context, broken[i].text) == 0 && !strstr(broken[i].message, "document type") &&
            !strstr(broken[i].message, "two policies") && !strstr(broken[i].message, "less than") &&
            !strstr(broken[i].message, "more than"))
            fail_msg("the schema takes '%s'", broken[i].text);
    xmlRelaxNGFreeValidCtxt(context);
    xmlRelaxNGFree(schema);
    xmlRelaxNGFreeParserCtxt(parser);
}

/* ---- whom they hold for ---- */

static const char two[] =
    "<policies>"
    "<policy name='db'><extends "
    "preset='minimal-downtime'/><select><name>db-*</name><name>sql</name>"
    "<peer>b*</peer></select></policy>"
    "<policy name='big'><select><memory min='2' max='8'/></select>"
    "<limits><cache memory='100'/></limits></policy>"
    "<policy name='gold'><select><metadata namespace='urn:t' "
    "element='tier'>gold*</metadata></select>"
    "<engines>native</engines></policy>"
    "<policy name='in'><select><direction>in</direction></select></policy>"
    "<policy name='one'><select><uuid>" UUID "</uuid><title>The *</title></select></policy>"
    "</policies>";

static VmfChosenPolicy *
choose(const char *file, const char *domain, const char *peer, gboolean outgoing)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) rules = vmf_policy_file_parse(file, "f.xml", &error);
    g_autoptr(VmfPolicySubject) subject = vmf_policy_subject_new(domain, peer, outgoing, NULL);

    assert_non_null(rules);
    assert_non_null(subject);
    return vmf_policy_choose(rules, subject);
}

static void
test_selection(void **state)
{
    const struct {
        const char *domain; /* name, and what else */
        const char *peer;
        gboolean outgoing;
        const char *want;
    } cases[] = {
        {"<name>db-1</name>", "b1", TRUE, "db"},
        {"<name>sql</name>", "b1", TRUE, "db"},
        {"<name>db-1</name>", "a1", TRUE, "balanced"},
        {"<name>db-1</name>", NULL, TRUE, "balanced"},
        {"<name>web</name><memory>4194304</memory>", "b1", TRUE, "big"},
        {"<name>db-1</name><memory>4194304</memory>", "b1", TRUE, "db"},
        {"<name>web</name><memory>1048576</memory>", "b1", TRUE, "balanced"},
        {"<name>web</name><metadata><t:tier xmlns:t='urn:t'> gold-1 </t:tier></metadata>", "b1",
         TRUE, "gold"},
        {"<name>web</name><metadata><t:x xmlns:t='urn:t'><t:tier>gold</t:tier></t:x></metadata>",
         "b1", TRUE, "gold"},
        {"<name>web</name><metadata><t:tier xmlns:t='urn:t'>tin</t:tier></metadata>", "b1", TRUE,
         "balanced"},
        {"<name>web</name><metadata><tier>gold</tier></metadata>", "b1", TRUE, "balanced"},
        {"<name>web</name>", "b1", FALSE, "in"},
        {"<name>web</name><title>The web</title>", "b1", TRUE, "one"},
        {"<name>web</name><title>A web</title>", "b1", TRUE, "balanced"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *domain =
            g_strdup_printf("<domain><uuid>" UUID "</uuid>%s</domain>", cases[i].domain);
        g_autoptr(VmfChosenPolicy) chosen = choose(two, domain, cases[i].peer, cases[i].outgoing);

        if (!g_str_equal(chosen->policy.name, cases[i].want))
            fail_msg("%s: want %s, have %s", cases[i].domain, cases[i].want, chosen->policy.name);
        assert_true((chosen->file != NULL) == !g_str_equal(cases[i].want, "balanced"));
    }
}

#define WISHES(what)                                                                               \
    "<domain><name>web</name><uuid>" UUID "</uuid><metadata>"                                      \
    "<v:policy xmlns:v='" VMF_WISHES_NAMESPACE "'>" what "</v:policy></metadata></domain>"

static void
test_wishes_narrow(void **state)
{
    g_autoptr(VmfChosenPolicy) chosen =
        choose("<policies><policy name='p'><limits><bandwidth>100</bandwidth>"
               "<downtime allowed='200' max='500'/><cache share='20'/></limits>"
               "<engines>pump native</engines></policy></policies>",
               WISHES("<v:limits><v:bandwidth unit='GiB'>1</v:bandwidth>"
                      "<v:downtime allowed='50' max='5000'/><v:cache memory='64' share='90'/>"
                      "</v:limits><v:engines>native plain</v:engines>"
                      "<v:auto-enable>none</v:auto-enable>"),
               "b", TRUE);

    assert_null(chosen->problem);
    assert_true(chosen->wishes);
    assert_int_equal(chosen->policy.bandwidth, 100 << 20);
    assert_int_equal(chosen->policy.downtime, 50);
    assert_int_equal(chosen->policy.downtime_max, 500);
    assert_int_equal(chosen->policy.cache_memory, 64 << 20);
    assert_true(chosen->policy.cache_share == 0.2);
    assert_int_equal(chosen->policy.engines, VMF_ENGINES_NATIVE);
    assert_int_equal(chosen->policy.ways, 0);
}

static void
test_broken_wishes_are_told_and_not_heeded(void **state)
{
    const struct {
        const char *domain;
        const char *problem;
    } cases[] = {
        {WISHES("<v:limits><v:downtime allowed='much'/></v:limits>"), "'allowed' of <downtime>"},
        {WISHES("<v:select/>"), "<select> is not known"},
        {WISHES("<v:limits><v:deadline action='abort'/></v:limits>"), "may not wish for an action"},
        {WISHES("<limits/>"), "<limits> is not known"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(VmfChosenPolicy) chosen = choose("<policies/>", cases[i].domain, "b", TRUE);

        assert_false(chosen->wishes);
        assert_non_null(chosen->problem);
        if (!strstr(chosen->problem, cases[i].problem))
            fail_msg("'%s' does not say '%s'", chosen->problem, cases[i].problem);
        assert_true(g_str_has_prefix(chosen->problem, "metadata of web:1: "));
        assert_int_equal(chosen->policy.downtime, vmf_policy_default()->downtime);
    }
}

static void
test_every_element_is_read(void **state)
{
    g_autoptr(VmfChosenPolicy) chosen =
        choose("<policies><policy name='all'><extends preset='evacuate'/><limits>"
               "<bandwidth unit='KiB'>2048</bandwidth><downtime allowed='10' max='20' step='5'/>"
               "<deadline seconds='7' per-gib='8' action='abort'/>"
               "<cache memory='3' unit='GiB' share='33'/><cpu share='44'/>"
               "<compression mode='on'/></limits><engines>one-sided\n plain</engines>"
               "<auto-enable>socket capture</auto-enable><failure mode='closed'/>"
               "<observe ahead='yes'/></policy></policies>",
               "<domain><name>web</name><uuid>" UUID "</uuid></domain>", "b", TRUE);
    const VmfPolicy *policy = &chosen->policy;

    assert_string_equal(policy->name, "all");
    assert_string_equal(policy->preset, "evacuate");
    assert_int_equal(policy->bandwidth, 2 << 20);
    assert_int_equal(policy->downtime, 10);
    assert_int_equal(policy->downtime_max, 20);
    assert_int_equal(policy->downtime_step, 5);
    assert_int_equal(policy->deadline, 7);
    assert_int_equal(policy->deadline_gib, 8);
    assert_int_equal(policy->on_deadline, VMF_DEADLINE_ABORT);
    assert_int_equal(policy->cache_memory, 3ull << 30);
    assert_true(policy->cache_share == 0.33);
    assert_true(policy->cpu_share == 0.44);
    assert_int_equal(policy->compression, VMF_COMPRESS_ON);
    assert_int_equal(policy->engines, VMF_ENGINES_ONE_SIDED | VMF_ENGINES_PLAIN);
    assert_int_equal(policy->ways, VMF_WAY_SOCKET | VMF_WAY_CAPTURE);
    assert_true(policy->fail_closed);
    assert_true(policy->observe);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_broken_files),
        cmocka_unit_test(test_schema_and_examples),
        cmocka_unit_test(test_selection),
        cmocka_unit_test(test_wishes_narrow),
        cmocka_unit_test(test_broken_wishes_are_told_and_not_heeded),
        cmocka_unit_test(test_every_element_is_read),
    };

    if (argc < 3)
        return 2;
    schema_path = argv[1];
    example_paths = argv + 2;
    return cmocka_run_group_tests_name("policy-file", tests, NULL, NULL);
}
