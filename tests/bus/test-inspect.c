/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Manager.Inspect and Manager.CheckState: what they give, and that no stream, however hostile, and
 * no number of them gets further than a confined process with a time limit.
 */
#include "fixture.h"

#include <fcntl.h>
#include <gio/gunixfdlist.h>
#include <glib-unix.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define AT_ONCE 2 /* Limits/Inspections */

typedef struct {
    VmfLab *lab;
    VmfHost *host;
} Fixture;

static int
set_up(void **state)
{
    Fixture *fixture = g_new0(Fixture, 1);

    *state = fixture;
    fixture->lab = vmf_lab_new();
    fixture->host = vmf_lab_add_host(fixture->lab, "hosta");
    vmf_host_set(fixture->host, "Inspect", "Path", vmf_program("VMFERRY_INSPECT"));
    vmf_host_set(fixture->host, "Limits", "Inspections", G_STRINGIFY(AT_ONCE));
    vmf_host_start(fixture->host);
    return 0;
}

static int
tear_down(void **state)
{
    Fixture *fixture = *state;

    vmf_host_assert_clean(fixture->host);
    vmf_host_stop(fixture->host);
    vmf_lab_free(fixture->lab);
    g_free(fixture);
    return 0;
}

/* ---- descriptors ---- */

static int
file_of(const void *bytes, gsize length)
{
    int fd = memfd_create("stream", MFD_CLOEXEC);

    assert_int_equal(write(fd, bytes, length), length);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static char *
golden_path(const char *name)
{
    return g_build_filename(g_getenv("VMFERRY_SOURCE"), "tests", "golden", "inspect", name, NULL);
}

static int
open_golden(const char *name)
{
    g_autofree char *path = golden_path(name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

/* All that was written to a file. */
static char *
text_in(int fd)
{
    GString *text = g_string_new(NULL);
    char buffer[4096];
    ssize_t n;

    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    while ((n = read(fd, buffer, sizeof buffer)) > 0)
        g_string_append_len(text, buffer, n);
    close(fd);
    return g_string_free(text, FALSE);
}

/* ---- calls ---- */

/* Takes the descriptors. */
static GUnixFDList *
list_of(int first, int second)
{
    const int fds[] = {first, second};

    return g_unix_fd_list_new_from_array(fds, G_N_ELEMENTS(fds));
}

/* Takes `input`; `output` stays. */
static gboolean
call_inspect(VmfHost *host, int input, int output, const char *options, GError **error)
{
    g_autoptr(GUnixFDList) list = list_of(input, dup(output));

    return vmf_bus_manager_call_inspect_sync(host->manager, g_variant_new_handle(0),
                                             g_variant_new_handle(1), g_variant_new_parsed(options),
                                             list, NULL, NULL, error);
}

/* What Inspect wrote; the call must succeed. */
static char *
inspect(VmfHost *host, int input, const char *options)
{
    int output = file_of("", 0);
    g_autoptr(GError) error = NULL;

    if (!call_inspect(host, input, output, options, &error))
        fail_msg("Inspect: %s", error->message);
    return text_in(output);
}

static void
assert_inspect_fails(VmfHost *host, int input, const char *options, const char *name,
                     const char *words)
{
    int output = file_of("", 0);
    GError *error = NULL;

    call_inspect(host, input, output, options, &error);
    vmf_assert_error(error, name, words);
    close(output);
}

/* A call that is under way. */
typedef struct {
    gboolean done;
    GError *error;
} Call;

static void
on_called(GObject *manager, GAsyncResult *result, gpointer data)
{
    Call *call = data;

    vmf_bus_manager_call_inspect_finish(VMF_BUS_MANAGER(manager), NULL, result, &call->error);
    call->done = TRUE;
}

static gboolean
is_done(gpointer call)
{
    return ((Call *)call)->done;
}

/* Inspects a pipe of which the caller keeps the other end. */
static int
begin_inspect(VmfBusManager *manager, const char *options, Call *call)
{
    g_autoptr(GUnixFDList) list = NULL;
    int ends[2];

    *call = (Call){0};
    assert_true(g_unix_open_pipe(ends, FD_CLOEXEC, NULL));
    list = list_of(ends[0], file_of("", 0));
    vmf_bus_manager_call_inspect(manager, g_variant_new_handle(0), g_variant_new_handle(1),
                                 g_variant_new_parsed(options), list, NULL, on_called, call);
    return ends[1];
}

static gboolean
on_writable(gint fd, GIOCondition condition, gpointer flag)
{
    *(gboolean *)flag = TRUE;
    return G_SOURCE_REMOVE;
}

static gboolean
is_set(gpointer flag)
{
    return *(gboolean *)flag;
}

/* Fills the pipe with a save image of much XML, and waits until some of it was read. */
static void
wait_until_reading(int fd)
{
    g_autofree char *nothing = g_malloc0(1 << 20);
    gboolean writable = FALSE;

    memcpy(nothing, "LibvirtQemudSave", 16);
    memcpy(nothing + 16, (const uint32_t[]){2, 60 << 20}, 8);
    assert_true(g_unix_set_fd_nonblocking(fd, TRUE, NULL));
    assert_true(write(fd, nothing, 1 << 20) > 0);
    g_unix_fd_add(fd, G_IO_OUT, on_writable, &writable);
    vmf_wait_until(is_set, &writable, "a vmferry-inspect that reads");
}

static pid_t
only_child(VmfHost *host)
{
    g_autoptr(GArray) children = vmf_children_of(vmf_host_get_pid(host));

    assert_int_equal(children->len, 1);
    return g_array_index(children, pid_t, 0);
}

static void
expect_end(Call *call, const char *name, const char *words)
{
    vmf_wait_until(is_done, call, "the answer to Inspect");
    vmf_assert_error(call->error, name, words);
}

/* ---- what it gives ---- */

static void
test_json_is_that_of_the_command(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    static const char *const names[] = {"10-plain", "no-return-path", "postcopy", "bitmaps"};

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *stream = g_strconcat(names[i], ".stream", NULL);
        g_autofree char *json = g_strconcat(names[i], ".json", NULL);
        g_autofree char *path = golden_path(json);
        g_autofree char *printed = inspect(host, open_golden(stream), "@a{sv} {}");
        g_autofree char *wanted = NULL;

        assert_true(g_file_get_contents(path, &wanted, NULL, NULL));
        assert_string_equal(printed, g_strchomp(wanted));
    }
}

static void
test_parts(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autofree char *ram = inspect(host, open_golden("10-plain.stream"), "{'ram': <true>}");
    g_autofree char *device = inspect(host, open_golden("10-plain.stream"),
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
    VmfHost *host = ((Fixture *)*state)->host;
    static const char *const options[] = {"{'rams': <true>}",        "{'ram': <'yes'>}",
                                          "{'timeout': <uint32 0>}", "{'timeout': <uint32 86401>}",
                                          "{'timeout': <'9'>}",      "{'device': <true>}"};

    for (guint i = 0; i < G_N_ELEMENTS(options); i++)
        assert_inspect_fails(host, open_golden("10-plain.stream"), options[i], "InvalidArgument",
                             "");
    assert_inspect_fails(host, open_golden("10-plain.stream"), "{'device': <'no-such'>}",
                         "InvalidArgument", "no-such");
}

/* Both ends may be pipes of a caller that never waits on them. */
static void
test_pipes_that_do_not_block(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autoptr(GUnixFDList) list = NULL;
    g_autofree char *path = golden_path("10-plain.stream");
    g_autofree char *bytes = NULL;
    g_autofree char *json = g_malloc0(65536);
    gsize length;
    int in[2], out[2];

    assert_true(g_file_get_contents(path, &bytes, &length, NULL));
    assert_int_equal(pipe2(in, O_NONBLOCK | O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_NONBLOCK | O_CLOEXEC), 0);
    assert_int_equal(write(in[1], bytes, length), length);
    close(in[1]);
    list = list_of(in[0], out[1]);
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
    g_autoptr(GUnixFDList) list = list_of(source, destination);
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
    GVariant *result = check_fds(host, file_of(source, strlen(source)),
                                 file_of(destination, strlen(destination)), "@a{sv} {}", &error);

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
    VmfHost *host = ((Fixture *)*state)->host;
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
    VmfHost *host = ((Fixture *)*state)->host;
    static const char dump[] = DUMP("3", FIELD("a"));
    GError *error = NULL;

    assert_null(check_fds(host, file_of(dump, strlen(dump)), open_golden("10-plain.stream"),
                          "@a{sv} {}", &error));
    vmf_assert_error(error, "InvalidArgument", "destination: a stream tells what was saved");
    error = NULL;
    assert_null(check_fds(host, open_golden("postcopy.stream"), file_of(dump, strlen(dump)),
                          "@a{sv} {}", &error));
    vmf_assert_error(error, "NotSupported", "source: the stream has no description");
    error = NULL;
    assert_null(check_fds(host, file_of("{", 1), file_of(dump, strlen(dump)), "@a{sv} {}", &error));
    vmf_assert_error(error, "BadStream", "source:");
    error = NULL;
    assert_null(check_fds(host, file_of(dump, strlen(dump)), file_of(dump, strlen(dump)),
                          "{'ram': <true>}", &error));
    vmf_assert_error(error, "InvalidArgument", "'ram'");
}

/* More findings than an answer has room for are counted. */
static void
test_findings_without_room(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
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

/* ---- hostile input ---- */

static void
test_broken_streams(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autofree char *path = golden_path("10-plain.stream");
    g_autofree char *bytes = NULL;
    g_autofree char *json = NULL;
    GError *error = NULL;
    int output = file_of("", 0);
    gsize length;

    assert_true(g_file_get_contents(path, &bytes, &length, NULL));
    assert_false(call_inspect(host, file_of(bytes, 200), output, "@a{sv} {}", &error));
    vmf_assert_error(error, "BadStream", "offset 200 (0xc8)");
    json = text_in(output);
    assert_non_null(strstr(json, "\"machine\" : \"pc-q35-10.0\""));
    assert_inspect_fails(host, file_of("", 0), "@a{sv} {}", "BadStream", "offset 0");
    assert_inspect_fails(host, open("/dev/zero", O_RDONLY), "@a{sv} {}", "BadStream", "offset 0");
    assert_inspect_fails(host, open("/", O_RDONLY), "@a{sv} {}", "Failed", "directory");
    assert_inspect_fails(host, open("/dev/null", O_WRONLY), "@a{sv} {}", "Failed", "descriptor");
}

static void
test_no_descriptor(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    GError *error = NULL;

    vmf_bus_manager_call_inspect_sync(host->manager, g_variant_new_handle(0),
                                      g_variant_new_handle(1), g_variant_new_parsed("@a{sv} {}"),
                                      NULL, NULL, NULL, &error);
    vmf_assert_error(error, "InvalidArgument", "argument 1");
}

/* Lengths of a gigabyte with nothing behind them. */
static void
test_lies(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    uint32_t image[23] = {0};
    static const char machine[] = "QEVM\0\0\0\3\7\x40\0\0\0pc";
    static const char json[] = "QEVM\0\0\0\3\7\0\0\0\2pc\0\6\x40\0\0\0{}";

    memcpy(image, "LibvirtQemudSave", 16);
    image[4] = 2;
    image[5] = 1 << 30;
    assert_inspect_fails(host, file_of(image, sizeof image), "@a{sv} {}", "BadStream",
                         "offset 20: expected at most");
    assert_inspect_fails(host, file_of(machine, sizeof machine - 1), "@a{sv} {}", "BadStream",
                         "offset ");
    assert_inspect_fails(host, file_of(json, sizeof json - 1), "@a{sv} {}", "BadStream", "offset ");
}

/* A device of 24 million values is real, and too much for the memory it may take. */
static void
test_memory_is_bounded(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    static const char head[] = "QEVM\0\0\0\3\7\0\0\0\2pc\4\0\0\0\7\3dev\0\0\0\0\0\0\0\1";
    static const char json[] =
        "{\"page_size\": 4096, \"devices\": [{\"name\": \"dev\", \"instance_id\": 0, "
        "\"vmsd_name\": \"dev\", \"version\": 1, \"fields\": [{\"name\": \"a\", \"array_len\": "
        "24000000, \"type\": \"uint8\", \"size\": 1}]}]}";
    static const char tail[] = "\x7e\0\0\0\7\0\6\0\0\0";
    g_autofree char *values = NULL;
    int fd;

#ifdef __SANITIZE_ADDRESS__
    print_message("skipped: a sanitizer takes all addresses\n");
    skip();
#endif
    values = g_malloc0(24000000);
    fd = file_of(head, sizeof head - 1);
    assert_int_equal(lseek(fd, 0, SEEK_END), sizeof head - 1);
    assert_int_equal(write(fd, values, 24000000), 24000000);
    assert_int_equal(write(fd, tail, sizeof tail - 1), sizeof tail - 1);
    assert_int_equal(write(fd, (char[]){(char)strlen(json)}, 1), 1);
    assert_int_equal(write(fd, json, strlen(json)), strlen(json));
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_inspect_fails(host, fd, "@a{sv} {}", "LimitReached", "512 MiB");
}

/* A pipe that never ends is given up in time, and nobody else waits meanwhile. */
static void
test_time_is_bounded(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    Call call;
    int fd = begin_inspect(host->manager, "{'timeout': <uint32 1>}", &call);
    g_autofree char *other = NULL;

    wait_until_reading(fd);
    other = inspect(host, open_golden("bitmaps.stream"), "@a{sv} {}");
    assert_false(call.done);
    expect_end(&call, "TimedOut", "1 s");
    vmf_host_assert_clean(host);
    close(fd);
}

static void
test_many_at_once(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    Call calls[AT_ONCE];
    int fds[AT_ONCE];
    g_autofree char *after = NULL;

    for (guint i = 0; i < AT_ONCE; i++) {
        fds[i] = begin_inspect(host->manager, "@a{sv} {}", &calls[i]);
        wait_until_reading(fds[i]);
    }
    assert_inspect_fails(host, open_golden("bitmaps.stream"), "@a{sv} {}", "LimitReached",
                         "Inspections");
    for (guint i = 0; i < AT_ONCE; i++) {
        close(fds[i]);
        expect_end(&calls[i], "BadStream", "offset ");
    }
    after = inspect(host, open_golden("bitmaps.stream"), "@a{sv} {}");
    assert_non_null(strstr(after, "\"dirty-bitmap\""));
}

static void
test_killed_is_named(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    Call call;
    int fd = begin_inspect(host->manager, "@a{sv} {}", &call);

    wait_until_reading(fd);
    assert_int_equal(kill(only_child(host), SIGKILL), 0);
    expect_end(&call, "Failed", "signal 9");
    close(fd);
}

/* ---- its confinement and its end ---- */

static char *
proc_file(pid_t pid, const char *name)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/%s", (int)pid, name);
    char *text = NULL;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

static void
test_confinement(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autofree char *status = NULL;
    g_autofree char *limits = NULL;
    g_autofree char *root = NULL;
    g_autoptr(GDir) files = NULL;
    Call call;
    int fd;

    if (getuid() != 0) {
        print_message("skipped: becoming another user takes root\n");
        skip();
    }
    fd = begin_inspect(host->manager, "@a{sv} {}", &call);
    wait_until_reading(fd);
    status = proc_file(only_child(host), "status");
    limits = proc_file(only_child(host), "limits");
    assert_non_null(strstr(status, "\nUid:\t65534\t65534\t65534\t65534\n"));
    assert_non_null(strstr(status, "\nGroups:\t \n"));
    assert_non_null(strstr(status, "\nCapEff:\t0000000000000000\n"));
    assert_non_null(strstr(status, "\nNoNewPrivs:\t1\n"));
#ifndef __SANITIZE_ADDRESS__
    assert_true(g_regex_match_simple("Max address space +536870912 ", limits, 0, 0));
#endif
    assert_true(g_regex_match_simple("Max cpu time +600 ", limits, 0, 0));
    root = g_strdup_printf("/proc/%d/root", (int)only_child(host));
    files = g_dir_open(root, 0, NULL);
    assert_non_null(files);
    assert_null(g_dir_read_name(files));
    close(fd);
    expect_end(&call, "BadStream", NULL);
}

/* Who does not wait for the answer any more needs no process. */
static void
test_caller_goes_away(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    g_autoptr(GDBusConnection) other =
        g_dbus_connection_new_for_address_sync(host->address,
                                               G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                   G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                               NULL, NULL, NULL);
    g_autoptr(VmfBusManager) manager = vmf_bus_manager_proxy_new_sync(
        other, G_DBUS_PROXY_FLAGS_NONE, "org.vmferry1", "/org/vmferry1", NULL, NULL);
    Call call;
    int fd;

    assert_non_null(manager);
    fd = begin_inspect(manager, "@a{sv} {}", &call);
    wait_until_reading(fd);
    assert_true(g_dbus_connection_close_sync(other, NULL, NULL));
    vmf_host_assert_clean(host);
    vmf_wait_until(is_done, &call, "the end of the call");
    g_clear_error(&call.error);
    close(fd);
}

static void
test_daemon_ends(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    Call call;
    int fd = begin_inspect(host->manager, "@a{sv} {}", &call);
    pid_t child;

    wait_until_reading(fd);
    child = only_child(host);
    vmf_host_stop(host);
    vmf_wait_gone(child);
    vmf_wait_until(is_done, &call, "the end of the call");
    g_clear_error(&call.error);
    close(fd);
    vmf_host_start(host);
}

static void
test_only_root(void **state)
{
    VmfHost *host = ((Fixture *)*state)->host;
    static const char *const methods[] = {"org.vmferry1.Manager.Inspect",
                                          "org.vmferry1.Manager.CheckState"};

    if (getuid() != 0) {
        print_message("skipped: becoming another user takes root\n");
        skip();
    }
    for (guint i = 0; i < G_N_ELEMENTS(methods); i++) {
        const char *const argv[] = {"setpriv",
                                    "--reuid",
                                    "65534",
                                    "--regid",
                                    "65534",
                                    "--clear-groups",
                                    "gdbus",
                                    "call",
                                    "--session",
                                    "--dest",
                                    "org.vmferry1",
                                    "--object-path",
                                    "/org/vmferry1",
                                    "--method",
                                    methods[i],
                                    "handle 0",
                                    "handle 1",
                                    "{}",
                                    NULL};
        g_autofree char *output = NULL;
        g_autofree char *complaint = NULL;

        assert_int_equal(vmf_host_run(host, argv, &output, &complaint), 1);
        if (!strstr(complaint, "org.vmferry1.Error.NotAuthorized"))
            fail_msg("'%s' is not NotAuthorized", complaint);
    }
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
        cmocka_unit_test(test_broken_streams),
        cmocka_unit_test(test_no_descriptor),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_memory_is_bounded),
        cmocka_unit_test(test_time_is_bounded),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_killed_is_named),
        cmocka_unit_test(test_confinement),
        cmocka_unit_test(test_caller_goes_away),
        cmocka_unit_test(test_daemon_ends),
        cmocka_unit_test(test_only_root),
    };

    return cmocka_run_group_tests_name("bus-inspect", tests, set_up, tear_down);
}
