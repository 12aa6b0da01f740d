/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether a destination loads what a source saves: one difference at a time. */
#include "cmocka-all.h"

#include <string.h>

#include "stream/compat.h"

#define FIELD(name, version, optional, size)                                                       \
    "{\"field\": \"" name "\", \"version_id\": " version ", \"field_exists\": " optional           \
    ", \"size\": " size "}"
#define A FIELD("a", "0", "false", "4")
#define B FIELD("b", "0", "false", "4")
#define C8 FIELD("c", "0", "false", "8")
#define UNUSED8 FIELD("unused", "0", "false", "8")
#define STRUCT(name, fields)                                                                       \
    "{\"field\": \"" name "\", \"version_id\": 0, \"field_exists\": false, \"size\": 99, "         \
    "\"Description\": {\"name\": \"in\", \"version_id\": 1, \"minimum_version_id\": 1, "           \
    "\"Fields\": [" fields "]}}"
#define SUB(name)                                                                                  \
    "{\"name\": \"" name "\", \"version_id\": 1, \"minimum_version_id\": 1, \"Fields\": []}"
#define DUMP(version, minimum, fields, subsections)                                                \
    "{\"vmschkmachine\": {\"Name\": \"pc\"}, \"dev\": {\"Name\": \"dev\", "                        \
    "\"version_id\": " version ", \"minimum_version_id\": " minimum                                \
    ", \"Description\": {\"name\": \"dev\", \"version_id\": " version                              \
    ", \"minimum_version_id\": " minimum ", \"Fields\": [" fields                                  \
    "], \"Subsections\": [" subsections "]}}}"
#define PLAIN(fields) DUMP("3", "1", fields, "")

static VmfVmstateSet *
parse(const char *json)
{
    g_autoptr(GError) error = NULL;
    VmfVmstateSet *set = vmf_vmstate_set_from_dump(json, strlen(json), &error);

    if (error)
        fail_msg("%s", error->message);
    return set;
}

/* The verdict, and in `ret_what` the first finding that gives it. */
static VmfCompat
verdict(const char *source, const char *destination, char **ret_what)
{
    g_autoptr(VmfVmstateSet) from = parse(source);
    g_autoptr(VmfVmstateSet) to = parse(destination);
    g_autoptr(VmfFindings) findings = vmf_compat_check(from, to);
    VmfCompat worst = vmf_findings_verdict(findings);

    *ret_what = NULL;
    for (guint i = 0; i < findings->findings->len && !*ret_what; i++) {
        const VmfFinding *finding = findings->findings->pdata[i];

        if (finding->compat == worst)
            *ret_what = g_strdup_printf("%s%s%s: %s", finding->field ? finding->field : "",
                                        finding->subsection ? finding->subsection : "",
                                        finding->if_sent ? "?" : "", finding->what);
    }
    return worst;
}

static void
test_verdicts(void **state)
{
    static const struct {
        const char *source, *destination;
        VmfCompat verdict;
        const char *what; /* NULL: no finding at all */
    } cases[] = {
        {PLAIN(A "," B), PLAIN(A "," B), VMF_COMPAT_FINE, NULL},
        {DUMP("3", "1", A, ""), DUMP("2", "1", A, ""), VMF_COMPAT_FAILS,
         ": has version 3, the destination loads up to 2"},
        {DUMP("3", "1", A, ""), DUMP("5", "4", A, ""), VMF_COMPAT_FAILS,
         ": has version 3, the destination loads from 4 on"},
        {PLAIN(A "," B), PLAIN(B), VMF_COMPAT_FAILS,
         "a: is sent by the source and not known at the destination"},
        {PLAIN(B), PLAIN(A "," B), VMF_COMPAT_FAILS,
         "a: is expected by the destination and not sent by the source"},
        {PLAIN(A), PLAIN(A "," B), VMF_COMPAT_FAILS,
         "b: is expected by the destination and not sent by the source"},
        /* Read from version 4 on, and this is version 3. */
        {PLAIN(A), DUMP("4", "1", A "," FIELD("b", "4", "false", "4"), ""), VMF_COMPAT_FINE, NULL},
        {PLAIN(A), PLAIN(A "," FIELD("b", "0", "true", "4")), VMF_COMPAT_FINE, NULL},
        {PLAIN(A "," FIELD("b", "0", "true", "4")), PLAIN(A), VMF_COMPAT_FAILS,
         "b?: is sent by the source and not known at the destination"},
        {PLAIN(A), PLAIN(FIELD("a", "0", "false", "8")), VMF_COMPAT_FAILS,
         "a: has 4 bytes at the source and 8 at the destination"},
        {PLAIN(A), PLAIN(B), VMF_COMPAT_FINE, "a: is called b at the destination"},
        {PLAIN(A), PLAIN(C8), VMF_COMPAT_FAILS,
         "a: of 4 bytes meets c of 8 bytes at the destination"},
        {PLAIN(A "," B), PLAIN(B "," A), VMF_COMPAT_LOSES, "a: comes where the destination has b"},
        {PLAIN(A "," B "," C8), PLAIN(UNUSED8 "," C8), VMF_COMPAT_FINE,
         "a: is no longer used by the destination"},
        {PLAIN(UNUSED8 "," C8), PLAIN(A "," B "," C8), VMF_COMPAT_LOSES,
         "a: gets zeros, as the source has no such field"},
        /* Structs leave no mark on the wire. */
        {PLAIN(A "," B), PLAIN(STRUCT("s", A "," B)), VMF_COMPAT_FINE, NULL},
        {PLAIN(STRUCT("s", A "," B)), PLAIN(A "," B), VMF_COMPAT_FINE, NULL},
        {PLAIN(STRUCT("s", A "," B)), PLAIN(STRUCT("s", A)), VMF_COMPAT_FAILS,
         "b: is sent by the source and not known at the destination"},
        {DUMP("3", "1", A, SUB("dev/x")), PLAIN(A), VMF_COMPAT_FAILS,
         "dev/x?: is not known at the destination"},
        {PLAIN(A), DUMP("3", "1", A, SUB("dev/x")), VMF_COMPAT_FINE, NULL},
        {PLAIN(A), "{\"vmschkmachine\": {\"Name\": \"pc\"}}", VMF_COMPAT_FAILS,
         "?: is not known at the destination"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *what = NULL;
        VmfCompat got = verdict(cases[i].source, cases[i].destination, &what);

        if (got != cases[i].verdict || g_strcmp0(what, cases[i].what) != 0)
            fail_msg("case %u: %s, \"%s\"", i, vmf_compat_name(got), what ? what : "");
    }
}

/* A stream sends what it has: nothing in it is only possible. */
static void
test_stream_against_dump(void **state)
{
    static const char json[] =
        "{\"page_size\": 4096, \"devices\": [{\"name\": \"0000:00:01.0/dev\", \"instance_id\": 0, "
        "\"vmsd_name\": \"dev\", \"version\": 3, \"fields\": ["
        "{\"name\": \"a\", \"type\": \"uint32\", \"size\": 4}], \"subsections\": ["
        "{\"vmsd_name\": \"dev/x\", \"version\": 1, \"fields\": []}]}, "
        "{\"name\": \"timer\", \"instance_id\": 0, \"vmsd_name\": \"timer\", \"version\": 2, "
        "\"fields\": []}]}";
    g_autoptr(VmfDescription) description = vmf_description_parse(json, strlen(json), NULL);
    g_autoptr(VmfVmstateSet) stream = vmf_vmstate_set_from_stream("pc", description);
    g_autoptr(VmfVmstateSet) without = parse(PLAIN(A));
    g_autoptr(VmfVmstateSet) with = parse(DUMP("3", "1", A, SUB("dev/x") "," SUB("dev/y")));
    g_autoptr(VmfFindings) bad = vmf_compat_check(stream, without);
    g_autoptr(VmfFindings) good = vmf_compat_check(stream, with);
    const VmfFinding *finding = bad->findings->pdata[0];

    assert_int_equal(vmf_findings_verdict(bad), VMF_COMPAT_FAILS);
    assert_string_equal(finding->device, "0000:00:01.0/dev");
    assert_string_equal(finding->subsection, "dev/x");
    assert_false(finding->if_sent);
    assert_int_equal(vmf_findings_verdict(good), VMF_COMPAT_FINE);
    assert_int_equal(good->compared, 1);
    finding = good->findings->pdata[0];
    assert_int_equal(finding->compat, VMF_COMPAT_UNKNOWN);
    assert_string_equal(finding->device, "timer");
}

static void
test_no_dump(void **state)
{
    g_autoptr(GError) error = NULL;

    assert_null(vmf_vmstate_set_from_dump("{\"a\": {}}", 9, &error));
    assert_non_null(strstr(error->message, "vmschkmachine"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_stream_against_dump),
        cmocka_unit_test(test_no_dump),
    };

    return cmocka_run_group_tests_name("stream-compat", tests, NULL, NULL);
}
