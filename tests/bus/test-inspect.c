/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Manager.Inspect and Manager.CheckState: what they give.
 */
#include "inspect-fixture.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* ---- what it gives ---- */

static void
test_json_is_that_of_the_command(void **state)
{
    VmfHost *host = ((VmfInspecting *)*state)->host;
    static const char *const names[] = {"10-plain", "no-return-path", "postcopy", "bitmaps"};

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *stream = g_strconcat(names[i], ".stream", NULL);
        g_autofree char *json = g_strconcat(names[i], ".json", NULL);
        g_autofree char *path = vmf_golden_path(json);
        g_autofree char *printed = vmf_inspect(host, vmf_open_golden(stream), "@a{sv} {}");
        g_autofree char *wanted = NULL;

        assert_true(g_file_get_contents(path, &wanted, NULL, NULL));
        assert_string_equal(printed, g_strchomp(wanted));
    }
}

static void
test_parts(void **state)
{
    VmfHost *host = ((VmfInspecting *)*state)->host;
    g_autofree char *ram = vmf_inspect(host, vmf_open_golden("10-plain.stream"), "{'ram': <true>}");
    g_autofree char *device = vmf_inspect(host, vmf_open_golden("10-plain.stream"),
                                          "{'device': <'timer'>, 'timeout': <uint32 9>}");

    assert_non_null(strstr(ram, "\"ram\""));
    assert_null(strstr(ram, "\"sections\""));
    assert_null(strstr(ram, "\"devices\""));
    assert_non_null(strstr(device, "cpu_ticks_offset"));
    assert_null(strstr(device, "\"ram\""));
}

static void
test_wrong_options(void **state)
{
    VmfHost *host = ((VmfInspecting *)*state)->host;
    static const char *const options[] = {"{'rams': <true>}",        "{'ram': <'yes'>}",
                                          "{'timeout': <uint32 0>}", "{'timeout': <uint32 86401>}",
                                          "{'timeout': <'9'>}",      "{'device': <true>}"};

    for (guint i = 0; i < G_N_ELEMENTS(options); i++)
        vmf_assert_inspect_fails(host, vmf_open_golden("10-plain.stream"), options[i],
                                 "InvalidArgument", "");
    vmf_assert_inspect_fails(host, vmf_open_golden("10-plain.stream"), "{'device': <'no-such'>}",
                             "InvalidArgument", "no-such");
}

/* Both ends may be pipes of a caller that never waits on them. */
static void
test_pipes_that_do_not_block(void **state)
{
    VmfHost *host = ((VmfInspecting *)*state)->host;
    g_autoptr(GUnixFDList) list = NULL;
    g_autofree char *path = vmf_golden_path("10-plain.stream");
    g_autofree char *bytes = NULL;
    g_autofree char *json = g_malloc0(65536);
    gsize length;
    int in[2], out[2];

    assert_true(g_file_get_contents(path, &bytes, &length, NULL));
    assert_int_equal(pipe2(in, O_NONBLOCK | O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_NONBLOCK | O_CLOEXEC), 0);
    assert_int_equal(write(in[1], bytes, length), length);
    close(in[1]);
    list = vmf_fd_list_of(in[0], out[1]);
    assert_true(vmf_bus_manager_call_inspect_sync(
        host->manager, g_variant_new_handle(0), g_variant_new_handle(1),
        g_variant_new_parsed("@a{sv} {}"), list, NULL, NULL, NULL));
    assert_true(read(out[0], json, 65535) > 0);
    assert_non_null(strstr(json, "\"machine\" : \"pc-q35-10.0\""));
    close(out[0]);
}

/* ---- CheckState ---- */

#define FIELD(name)                                                                                \
    "{\"field\": \"" name "\", \"version_id\": 0, \"field_exists\": false, \"size\": 4}"
#define DUMP(version, fields)                                                                      \
    "{\"vmschkmachine\": {\"Name\": \"pc\"}, \"dev\": {\"Name\": \"dev\", "                        \
    "\"version_id\": " version                                                                     \
    ", \"minimum_version_id\": 1, \"Description\": {\"name\": \"dev\", \"version_id\": " version   \
    ", \"minimum_version_id\": 1, \"Fields\": [" fields "]}}}"

/* Takes both; NULL with the error. */
static GVariant *
check_fds(VmfHost *host, int source, int destination, const char *options, GError **error)
{
    g_autoptr(GUnixFDList) list = vmf_fd_list_of(source, destination);
    GVariant *result = NULL;

    vmf_bus_manager_call_check_state_sync(host->manager, g_variant_new_handle(0),
                                          g_variant_new_handle(1), g_variant_new_parsed(options),
                                          list, &result, NULL, NULL, error);
    return result;
}

static GVariant *
check(VmfHost *host, const char *source, const char *destination)
{
    g_autoptr(GError) error = NULL;
    GVariant *result =
        check_fds(host, vmf_file_of(source, strlen(source)),
                  vmf_file_of(destination, strlen(destination)), "@a{sv} {}", &error);

    if (!result)
        fail_msg("CheckState: %s", error->message);
    return result;
}

static void
assert_text(GVariant *dict, const char *key, const char *expected)
{
    const char *text = "";

    assert_true(g_variant_lookup(dict, key, "&s", &text));
    assert_string_equal(text, expected);
}

static void
test_verdicts(void **state)
{
    VmfHost *host = ((VmfInspecting *)*state)->host;
    g_autoptr(GVariant) fine = check(host, DUMP("3", FIELD("a")), DUMP("3", FIELD("a")));
    g_autoptr(GVariant) fails = check(host, DUMP("4", FIELD("a")), DUMP("3", FIELD("a")));
    g_autoptr(GVariant) findings = NULL;
    g_autoptr(GVariant) first = NULL;
    guint32 number = 99;

    assert_text(fine, "verdict", "fine");
    assert_text(fine, "source-machine", "pc");
    assert_true(g_variant_lookup(fine, "compared", "u", &number));
    assert_int_equal(number, 1);
    assert_text(fails, "verdict", "fails to load");
    findings = g_variant_lookup_value(fails, "findings", G_VARIANT_TYPE("aa{sv}"));
    assert_non_null(findings);
    assert_int_equal(g_variant_n_children(findings), 1);
    first = g_variant_get_child_value(findings, 0);
    assert_text(first, "compat", "fails to load");
    assert_text(first, "device", "dev");
    assert_true(g_variant_lookup(fails, "omitted", "u", &number));
    assert_int_equal(number, 0);
}

static void
test_check_refusals(void **state)
{
    VmfHost *host = ((VmfInspecting *)*state)->host;
    static const char dump[] = DUMP("3", FIELD("a"));
    GError *error = NULL;

    assert_null(check_fds(host, vmf_file_of(dump, strlen(dump)), vmf_open_golden("10-plain.stream"),
                          "@a{sv} {}", &error));
    vmf_assert_error(error, "InvalidArgument", "destination: a stream tells what was saved");
    error = NULL;
    assert_null(check_fds(host, vmf_open_golden("postcopy.stream"), vmf_file_of(dump, strlen(dump)),
                          "@a{sv} {}", &error));
    vmf_assert_error(error, "NotSupported", "source: the stream has no description");
    error = NULL;
    assert_null(
        check_fds(host, vmf_file_of("{", 1), vmf_file_of(dump, strlen(dump)), "@a{sv} {}", &error));
    vmf_assert_error(error, "BadStream", "source:");
    error = NULL;
    assert_null(check_fds(host, vmf_file_of(dump, strlen(dump)), vmf_file_of(dump, strlen(dump)),
                          "{'ram': <true>}", &error));
    vmf_assert_error(error, "InvalidArgument", "'ram'");
}

/* More findings than an answer has room for are counted. */
static void
test_findings_without_room(void **state)
{
    VmfHost *host = ((VmfInspecting *)*state)->host;
    g_autoptr(GString) dump = g_string_new("{\"vmschkmachine\": {\"Name\": \"pc\"}");
    g_autoptr(GVariant) result = NULL;
    g_autoptr(GVariant) findings = NULL;
    guint32 omitted = 0;

    for (guint i = 0; i < 20000; i++)
        g_string_append_printf(dump,
                               ", \"dev%u\": {\"Name\": \"dev%u\", \"Description\": {\"name\": "
                               "\"dev%u\", \"version_id\": 1, \"minimum_version_id\": 1, "
                               "\"Fields\": [" FIELD("a") "]}}",
                               i, i, i);
    g_string_append(dump, "}");
    result = check(host, dump->str, DUMP("3", FIELD("a")));
    findings = g_variant_lookup_value(result, "findings", G_VARIANT_TYPE("aa{sv}"));
    assert_true(g_variant_lookup(result, "omitted", "u", &omitted));
    assert_true(omitted > 0);
    assert_int_equal(g_variant_n_children(findings) + omitted, 20000);
    assert_true(g_variant_get_size(result) < 1 << 20);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_is_that_of_the_command),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_wrong_options),
        cmocka_unit_test(test_pipes_that_do_not_block),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_check_refusals),
        cmocka_unit_test(test_findings_without_room),
    };

    return cmocka_run_group_tests_name("bus-inspect", tests, vmf_inspecting_set_up,
                                       vmf_inspecting_tear_down);
}
