/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The hook that libvirt calls, against a real daemon: what it lets in, and that it always answers.
 */
#include "fixture.h"

#include <signal.h>
#include <string.h>

#define UUID "55555555-5555-4555-8555-555555555555"
#define GUEST(memory)                                                                              \
    "<domain type='qemu'><name>g</name><uuid>" UUID "</uuid><memory unit='KiB'>" memory            \
    "</memory></domain>"
#define SMALL GUEST("65536")

/* µs; what it promises is two seconds, and a busy machine starts programs slowly */
#define PROMISED (2500 * 1000)

typedef struct {
    VmfLab *lab;
    VmfHost *host;
} Fixture;

static int
set_up(void **state)
{
    Fixture *fixture = g_new0(Fixture, 1);
    g_autofree char *conf = NULL;

    fixture->lab = vmf_lab_new();
    fixture->host = vmf_lab_add_host(fixture->lab, "hosta");
    conf = vmf_host_path(fixture->host, "vmferryd.conf");
    g_setenv("VMFERRYD_CONF", conf, TRUE);
    *state = fixture;
    return 0;
}

static int
tear_down(void **state)
{
    Fixture *fixture = *state;

    if (fixture->host->daemon)
        vmf_host_stop(fixture->host);
    vmf_lab_free(fixture->lab);
    g_free(fixture);
    return 0;
}

typedef struct {
    int status;
    char *out, *error;
    gint64 took; /* µs */
} Answer;

static void
answer_clear(Answer *answer)
{
    g_free(answer->out);
    g_free(answer->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Answer, answer_clear)

static Answer
call(VmfHost *host, const char *operation, const char *suboperation, GBytes *xml)
{
    const char *const argv[] = {
        vmf_program("VMFERRY_HOOK"), "g", operation, suboperation, "-", NULL};
    gint64 began = g_get_monotonic_time();
    Answer answer = {.status = -1};

    answer.status = vmf_host_run_with(host, argv, xml, &answer.out, &answer.error);
    answer.took = g_get_monotonic_time() - began;
    assert_true(answer.took < PROMISED);
    return answer;
}

static Answer
call_with(VmfHost *host, const char *xml)
{
    g_autoptr(GBytes) bytes = g_bytes_new(xml, strlen(xml));

    return call(host, "migrate", "begin", bytes);
}

static void
assert_refused(VmfHost *host, const char *xml, const char *words)
{
    g_auto(Answer) answer = call_with(host, xml);

    if (answer.status != 1 || !strstr(answer.error, words))
        fail_msg("status %d: %s", answer.status, answer.error);
    assert_string_equal(answer.out, "");
    assert_true(g_str_has_prefix(answer.error, "vmferry: "));
}

static void
assert_let_in(VmfHost *host, const char *xml)
{
    g_auto(Answer) answer = call_with(host, xml);

    assert_int_equal(answer.status, 0);
    assert_string_equal(answer.out, "");
}

static void
test_lets_a_guest_in(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;

    vmf_host_start(host);
    assert_let_in(host, SMALL);
}

static void
test_refusals(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;

    vmf_host_start(host);
    assert_refused(host, GUEST("999999999999"), "needs 976562499 MiB of memory");
    assert_refused(host, "<domain><name>g</name>", "domain XML: line 1");
    assert_refused(host, "", "domain XML: line");
    assert_refused(host, "<domain><name>other</name><uuid>" UUID "</uuid></domain>",
                   "the XML is of guest 'other', not of 'g'");
    assert_refused(host, "<!DOCTYPE d [<!ENTITY a \"a\">]>" SMALL, "document type declaration");
}

static void
test_reserve(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;

    vmf_host_set(host, "Hook", "MemoryReserve", "1048576");
    vmf_host_start(host);
    assert_refused(host, SMALL, "the destination has 0 MiB");
}

static void
test_requires_vmferry(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;

    vmf_host_set(host, "Hook", "RequireVmferry", "true");
    vmf_host_start(host);
    assert_refused(host, SMALL, "by 'vmferry migrate' only");
}

static void
test_other_operations_pass(void **state)
{
    static const char *const operations[][2] = {{"prepare", "begin"}, {"start", "begin"},
                                                {"started", "begin"}, {"stopped", "end"},
                                                {"release", "end"},   {"migrate", "unknown"}};
    VmfHost *host = ((Fixture *)*state)->host;
    g_autoptr(GBytes) broken = g_bytes_new_static("<domain", 7);

    vmf_host_set(host, "Hook", "RequireVmferry", "true");
    vmf_host_start(host);
    for (guint i = 0; i < G_N_ELEMENTS(operations); i++) {
        g_auto(Answer) answer = call(host, operations[i][0], operations[i][1], broken);

        assert_int_equal(answer.status, 0);
        assert_string_equal(answer.out, "");
    }
}

static void
test_no_daemon(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_auto(Answer) open = call_with(host, SMALL);

    assert_int_equal(open.status, 0);
    assert_non_null(strstr(open.error, "going on without it"));
    vmf_host_set(host, "Hook", "FailClosed", "true");
    assert_refused(host, SMALL, "FailClosed in vmferryd.conf lets no guest in");
}

static void
test_slow_daemon(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;

    vmf_host_start_unwatched(host);
    assert_int_equal(kill(vmf_host_get_pid(host), SIGSTOP), 0);
    {
        g_auto(Answer) open = call_with(host, SMALL);

        assert_int_equal(open.status, 0);
        assert_non_null(strstr(open.error, "going on without it"));
        assert_true(open.took > G_USEC_PER_SEC);
    }
    vmf_host_set(host, "Hook", "FailClosed", "true");
    assert_refused(host, SMALL, "lets no guest in");
    assert_int_equal(kill(vmf_host_get_pid(host), SIGCONT), 0);
}

/* The guest's XML as libvirt sends it, or (`ret_whole` FALSE) cut or with bytes changed. */
static GBytes *
random_xml(GRand *random, gboolean *ret_whole)
{
    g_autoptr(GString) xml = g_string_new(SMALL);
    gsize large = g_rand_int_range(random, 0, 8) == 0 ? 4 * 1024 * 1024 : 0;

    if (large) {
        g_string_truncate(xml, xml->len - strlen("</domain>"));
        g_string_append(xml, "<description>");
        while (xml->len < large)
            g_string_append_c(xml, (char)g_rand_int_range(random, 'a', 'z'));
        g_string_append(xml, "</description></domain>");
    }
    *ret_whole = g_rand_int_range(random, 0, 3) == 0;
    if (*ret_whole)
        return g_bytes_new(xml->str, xml->len);
    if (g_rand_boolean(random)) /* its end tag, at least */
        g_string_truncate(xml, (gsize)g_rand_int_range(random, 0, (gint32)xml->len));
    for (int n = g_rand_int_range(random, 1, 4); n > 0 && xml->len; n--)
        xml->str[g_rand_int_range(random, 0, (gint32)xml->len)] =
            (char)g_rand_int_range(random, 0, 256);
    return g_bytes_new(xml->str, xml->len);
}

/* One call of any kind, and what must come of it. `answers`: there is a daemon, and it is quick. */
static void
call_at_random(VmfHost *host, GRand *random, gboolean answers, gboolean closed)
{
    static const char *const operations[] = {"migrate", "migrate", "prepare", "started", ""};
    const char *operation = operations[g_rand_int_range(random, 0, G_N_ELEMENTS(operations))];
    gboolean arrives = g_str_equal(operation, "migrate");
    gboolean whole;
    g_autoptr(GBytes) xml = random_xml(random, &whole);
    g_auto(Answer) answer = call(host, operation, "begin", xml);

    assert_string_equal(answer.out, "");
    assert_in_range(answer.status, 0, 1);
    if (!arrives || (answers && whole) || (!answers && !closed))
        assert_int_equal(answer.status, 0);
    else if (!answers)
        assert_int_equal(answer.status, 1);
    assert_true(answer.status == 0 || g_str_has_prefix(answer.error, "vmferry: "));
}

/* With a daemon, with one that hangs, with none; open and closed. */
static void
test_random_calls(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autoptr(GRand) random = g_rand_new_with_seed(1);

    vmf_host_start_unwatched(host);
    for (int i = 0; i < 150; i++)
        call_at_random(host, random, TRUE, FALSE);
    assert_int_equal(kill(vmf_host_get_pid(host), SIGSTOP), 0);
    for (int i = 0; i < 3; i++)
        call_at_random(host, random, FALSE, FALSE);
    assert_int_equal(kill(vmf_host_get_pid(host), SIGCONT), 0);
    assert_let_in(host, SMALL);
    vmf_host_stop(host);
    for (int i = 0; i < 24; i++)
        call_at_random(host, random, FALSE, FALSE);
    vmf_host_set(host, "Hook", "FailClosed", "true");
    for (int i = 0; i < 23; i++)
        call_at_random(host, random, FALSE, TRUE);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_lets_a_guest_in),       CASE(test_refusals),     CASE(test_reserve),
        CASE(test_requires_vmferry),      CASE(test_no_daemon),    CASE(test_slow_daemon),
        CASE(test_other_operations_pass), CASE(test_random_calls),
    };

    return cmocka_run_group_tests_name("bus-hook", tests, NULL, NULL);
}
