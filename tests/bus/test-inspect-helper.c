/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Manager.Inspect: no stream, however hostile, and no number of them gets further than a confined
 * process with a time limit.
 */
#include "inspect-fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* ---- hostile input ---- */

static void
test_broken_streams(void **state)
{
    VmfHost *host = ((VmfInspecting *)*state)->host;
    g_autofree char *path = vmf_golden_path("10-plain.stream");
    g_autofree char *bytes = NULL;
    g_autofree char *json = NULL;
    GError *error = NULL;
    int output = vmf_file_of("", 0);
    gsize length;

    assert_true(g_file_get_contents(path, &bytes, &length, NULL));
    assert_false(vmf_call_inspect(host, vmf_file_of(bytes, 200), output, "@a{sv} {}", &error));
    vmf_assert_error(error, "BadStream", "offset 200 (0xc8)");
    json = vmf_text_in(output);
    assert_non_null(strstr(json, "\"machine\" : \"pc-q35-10.0\""));
    vmf_assert_inspect_fails(host, vmf_file_of("", 0), "@a{sv} {}", "BadStream", "offset 0");
    vmf_assert_inspect_fails(host, open("/dev/zero", O_RDONLY), "@a{sv} {}", "BadStream",
                             "offset 0");
    vmf_assert_inspect_fails(host, open("/", O_RDONLY), "@a{sv} {}", "Failed", "directory");
    vmf_assert_inspect_fails(host, open("/dev/null", O_WRONLY), "@a{sv} {}", "Failed",
                             "descriptor");
}

static void
test_no_descriptor(void **state)
{
    VmfHost *host = ((VmfInspecting *)*state)->host;
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
    VmfHost *host = ((VmfInspecting *)*state)->host;
    uint32_t image[23] = {0};
    static const char machine[] = "QEVM\0\0\0\3\7\x40\0\0\0pc";
    static const char json[] = "QEVM\0\0\0\3\7\0\0\0\2pc\0\6\x40\0\0\0{}";

    memcpy(image, "LibvirtQemudSave", 16);
    image[4] = 2;
    image[5] = 1 << 30;
    vmf_assert_inspect_fails(host, vmf_file_of(image, sizeof image), "@a{sv} {}", "BadStream",
                             "offset 20: expected at most");
    vmf_assert_inspect_fails(host, vmf_file_of(machine, sizeof machine - 1), "@a{sv} {}",
                             "BadStream", "offset ");
    vmf_assert_inspect_fails(host, vmf_file_of(json, sizeof json - 1), "@a{sv} {}", "BadStream",
                             "offset ");
}

/* A device of 24 million values is real, and too much for the memory it may take. */
static void
test_memory_is_bounded(void **state)
{
    VmfHost *host = ((VmfInspecting *)*state)->host;
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
    fd = vmf_file_of(head, sizeof head - 1);
    assert_int_equal(lseek(fd, 0, SEEK_END), sizeof head - 1);
    assert_int_equal(write(fd, values, 24000000), 24000000);
    assert_int_equal(write(fd, tail, sizeof tail - 1), sizeof tail - 1);
    assert_int_equal(write(fd, (char[]){(char)strlen(json)}, 1), 1);
    assert_int_equal(write(fd, json, strlen(json)), strlen(json));
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    vmf_assert_inspect_fails(host, fd, "@a{sv} {}", "LimitReached", "512 MiB");
}

/* A pipe that never ends is given up in time, and nobody else waits meanwhile. */
static void
test_time_is_bounded(void **state)
{
    VmfHost *host = ((VmfInspecting *)*state)->host;
    VmfCall call;
    int fd = vmf_begin_inspect(host->manager, "{'timeout': <uint32 1>}", &call);
    g_autofree char *other = NULL;

    vmf_wait_until_reading(fd);
    other = vmf_inspect(host, vmf_open_golden("bitmaps.stream"), "@a{sv} {}");
    assert_false(call.done);
    vmf_expect_end(&call, "TimedOut", "1 s");
    vmf_host_assert_clean(host);
    close(fd);
}

static void
test_many_at_once(void **state)
{
    VmfHost *host = ((VmfInspecting *)*state)->host;
    VmfCall calls[VMF_AT_ONCE];
    int fds[VMF_AT_ONCE];
    g_autofree char *after = NULL;

    for (guint i = 0; i < VMF_AT_ONCE; i++) {
        fds[i] = vmf_begin_inspect(host->manager, "@a{sv} {}", &calls[i]);
        vmf_wait_until_reading(fds[i]);
    }
    vmf_assert_inspect_fails(host, vmf_open_golden("bitmaps.stream"), "@a{sv} {}", "LimitReached",
                             "Inspections");
    for (guint i = 0; i < VMF_AT_ONCE; i++) {
        close(fds[i]);
        vmf_expect_end(&calls[i], "BadStream", "offset ");
    }
    after = vmf_inspect(host, vmf_open_golden("bitmaps.stream"), "@a{sv} {}");
    assert_non_null(strstr(after, "\"dirty-bitmap\""));
}

static void
test_killed_is_named(void **state)
{
    VmfHost *host = ((VmfInspecting *)*state)->host;
    VmfCall call;
    int fd = vmf_begin_inspect(host->manager, "@a{sv} {}", &call);

    vmf_wait_until_reading(fd);
    assert_int_equal(kill(vmf_only_child(host), SIGKILL), 0);
    vmf_expect_end(&call, "Failed", "signal 9");
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
    VmfHost *host = ((VmfInspecting *)*state)->host;
    g_autofree char *status = NULL;
    g_autofree char *limits = NULL;
    g_autofree char *root = NULL;
    g_autoptr(GDir) files = NULL;
    VmfCall call;
    int fd;

    if (getuid() != 0) {
        print_message("skipped: becoming another user takes root\n");
        skip();
    }
    fd = vmf_begin_inspect(host->manager, "@a{sv} {}", &call);
    vmf_wait_until_reading(fd);
    status = proc_file(vmf_only_child(host), "status");
    limits = proc_file(vmf_only_child(host), "limits");
    assert_non_null(strstr(status, "\nUid:\t65534\t65534\t65534\t65534\n"));
    assert_non_null(strstr(status, "\nGroups:\t \n"));
    assert_non_null(strstr(status, "\nCapEff:\t0000000000000000\n"));
    assert_non_null(strstr(status, "\nNoNewPrivs:\t1\n"));
#ifndef __SANITIZE_ADDRESS__
    assert_non_null(strstr(status, "\nSeccomp:\t2\n"));
    assert_true(g_regex_match_simple("Max address space +536870912 ", limits, 0, 0));
#endif
    assert_true(g_regex_match_simple("Max cpu time +600 ", limits, 0, 0));
    root = g_strdup_printf("/proc/%d/root", (int)vmf_only_child(host));
    files = g_dir_open(root, 0, NULL);
    assert_non_null(files);
    assert_null(g_dir_read_name(files));
    close(fd);
    vmf_expect_end(&call, "BadStream", NULL);
}

/* Who does not wait for the answer any more needs no process. */
static void
test_caller_goes_away(void **state)
{
    VmfHost *host = ((VmfInspecting *)*state)->host;
    g_autoptr(GDBusConnection) other =
        g_dbus_connection_new_for_address_sync(host->address,
                                               G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                   G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                               NULL, NULL, NULL);
    g_autoptr(VmfBusManager) manager = vmf_bus_manager_proxy_new_sync(
        other, G_DBUS_PROXY_FLAGS_NONE, "org.vmferry1", "/org/vmferry1", NULL, NULL);
    VmfCall call;
    int fd;

    assert_non_null(manager);
    fd = vmf_begin_inspect(manager, "@a{sv} {}", &call);
    vmf_wait_until_reading(fd);
    assert_true(g_dbus_connection_close_sync(other, NULL, NULL));
    vmf_host_assert_clean(host);
    vmf_wait_until(vmf_call_is_done, &call, "the end of the call");
    g_clear_error(&call.error);
    close(fd);
}

static void
test_daemon_ends(void **state)
{
    VmfHost *host = ((VmfInspecting *)*state)->host;
    VmfCall call;
    int fd = vmf_begin_inspect(host->manager, "@a{sv} {}", &call);
    pid_t child;

    vmf_wait_until_reading(fd);
    child = vmf_only_child(host);
    vmf_host_stop(host);
    vmf_wait_gone(child);
    vmf_wait_until(vmf_call_is_done, &call, "the end of the call");
    g_clear_error(&call.error);
    close(fd);
    vmf_host_start(host);
}

static void
test_only_root(void **state)
{
    VmfHost *host = ((VmfInspecting *)*state)->host;
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

    return cmocka_run_group_tests_name("bus-inspect-helper", tests, vmf_inspecting_set_up,
                                       vmf_inspecting_tear_down);
}
