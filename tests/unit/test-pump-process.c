/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vmferry-pump as the daemon sees it: a process with a control socket. Its path is the first
 * argument. As root it also shows that the confinement holds and that TLS works inside it.
 */
#include "pump-fixture.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <gio/gunixfdlist.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pump-bus.h"
#include "pump/bus.h"
#include "valgrind.h"

#define MIB (1024 * 1024)
#define USER "nobody"
#define STRAY_FD 50 /* that whoever starts the pump has open, and it shall not */

static const char *pump_exe;

typedef struct {
    char *directory, *path; /* of the control socket */
    GSubprocess *process;
    GDBusConnection *connection;
    VmfBusPump *proxy;
    guint wanted; /* the channel that was asked for last */
    char *ended;  /* the name in Ended */
    GVariant *statistics;
    gboolean linked;
    GError *link_error;
} Process;

static void
on_wanted(VmfBusPump *proxy, guint channel, const char *kind, Process *process)
{
    assert_string_equal(kind, "qemu");
    process->wanted = channel;
}

static void
on_ended(VmfBusPump *proxy, const char *name, const char *message, GVariant *statistics,
         Process *process)
{
    assert_null(process->ended);
    process->ended = g_strdup(name);
    process->statistics = g_variant_ref(statistics);
}

/* A connection to the control socket, or NULL. */
static GDBusConnection *
dial(const Process *process)
{
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(process->path);
    g_autoptr(GSocketClient) client = g_socket_client_new();
    g_autoptr(GSocketConnection) stream =
        g_socket_client_connect(client, G_SOCKET_CONNECTABLE(address), NULL, NULL);

    if (!stream)
        return NULL;
    return g_dbus_connection_new_sync(
        G_IO_STREAM(stream), NULL, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL, NULL, NULL);
}

static void
connect_daemon(Process *process)
{
    process->connection = dial(process);
    assert_non_null(process->connection);
    process->proxy = vmf_bus_pump_proxy_new_sync(process->connection, G_DBUS_PROXY_FLAGS_NONE, NULL,
                                                 VMF_PUMP_OBJECT, NULL, NULL);
    assert_non_null(process->proxy);
    g_signal_connect(process->proxy, "channel-wanted", G_CALLBACK(on_wanted), process);
    g_signal_connect(process->proxy, "ended", G_CALLBACK(on_ended), process);
}

static void
disconnect_daemon(Process *process)
{
    g_clear_object(&process->proxy);
    g_dbus_connection_close_sync(process->connection, NULL, NULL);
    g_clear_object(&process->connection);
}

static int
listen_at(const char *path)
{
    struct sockaddr_un {
        sa_family_t family;
        char path[108];
    } address = {.family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    g_strlcpy(address.path, path, sizeof address.path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static Process *
process_new(void)
{
    Process *process = g_new0(Process, 1);
    g_autoptr(GSubprocessLauncher) launcher =
        g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_INHERIT_FDS);

    process->directory = g_dir_make_tmp("vmferry-test-XXXXXX", NULL);
    assert_non_null(process->directory);
    assert_int_equal(g_chmod(process->directory, 0755), 0);
    process->path = g_build_filename(process->directory, "control", NULL);
    g_subprocess_launcher_take_fd(launcher, listen_at(process->path), 3);
    assert_int_equal(g_chmod(process->path, 0777), 0);
    assert_int_equal(dup2(STDERR_FILENO, STRAY_FD), STRAY_FD);
    process->process = g_subprocess_launcher_spawn(launcher, NULL, pump_exe, "--control-fd=3",
                                                   "--user=" USER, NULL);
    assert_non_null(process->process);
    close(STRAY_FD);
    connect_daemon(process);
    return process;
}

static void
process_free(Process *process)
{
    g_subprocess_force_exit(process->process);
    assert_true(g_subprocess_wait(process->process, NULL, NULL));
    disconnect_daemon(process);
    g_object_unref(process->process);
    g_unlink(process->path);
    g_rmdir(process->directory);
    g_free(process->path);
    g_free(process->directory);
    g_free(process->ended);
    g_clear_pointer(&process->statistics, g_variant_unref);
    g_clear_error(&process->link_error);
    g_free(process);
}

/* Waits for Ended and the exit; asserts both. */
static void
assert_exit(Process *process, const char *name, int status)
{
    pump_run_until(process->ended);
    assert_string_equal(process->ended, name);
    assert_true(g_subprocess_wait(process->process, NULL, NULL));
    assert_true(g_subprocess_get_if_exited(process->process));
    assert_int_equal(g_subprocess_get_exit_status(process->process), status);
}

static void
start(Process *process, const char *side, gboolean encrypt)
{
    const uint8_t secret[VMF_TICKET_SECRET_SIZE] = {9, 9, 9};
    GVariant *bytes = g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, secret, sizeof secret, 1);
    GVariant *options = g_variant_new_array(G_VARIANT_TYPE("{sv}"), NULL, 0);

    assert_true(vmf_bus_pump_call_start_sync(process->proxy, "the-id", side, bytes, encrypt,
                                             options, NULL, NULL));
    pump_run_until(strcmp(vmf_bus_pump_get_id(process->proxy), "the-id") == 0);
}

static void
on_linked(GObject *proxy, GAsyncResult *result, gpointer data)
{
    Process *process = data;

    process->linked =
        vmf_bus_pump_call_attach_link_finish(process->proxy, NULL, result, &process->link_error);
}

/* Two ends of a TCP connection. */
static void
make_tcp(int fds[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fds[0], (struct sockaddr *)&address, length), 0);
    fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fds[1] >= 0);
    close(listener);
}

static void
link_both(Process *source, Process *destination)
{
    Process *processes[] = {source, destination};
    int fds[2];

    make_tcp(fds);
    for (int i = 0; i < 2; i++) {
        g_autoptr(GUnixFDList) list = g_unix_fd_list_new_from_array(&fds[i], 1);

        vmf_bus_pump_call_attach_link(
            processes[i]->proxy, g_variant_new_handle(0), i == 0, 0,
            g_variant_new_from_data(G_VARIANT_TYPE_BYTESTRING, "", 0, TRUE, NULL, NULL), list, NULL,
            on_linked, processes[i]);
    }
    pump_run_until(source->linked && destination->linked);
    pump_run_until(g_strcmp0(vmf_bus_pump_get_state(source->proxy), "linked") == 0);
}

/* Opens a channel; the QEMU ends are put into `ends`. */
static guint
open_channel(Process *source, Process *destination, int ends[2])
{
    int at_source[2], at_destination[2];
    guint channel = 0;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, at_source), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, at_destination), 0);
    {
        g_autoptr(GUnixFDList) list = g_unix_fd_list_new_from_array(at_source, 1);
        g_autoptr(GUnixFDList) answer = g_unix_fd_list_new_from_array(at_destination, 1);

        assert_true(vmf_bus_pump_call_attach_channel_sync(
            source->proxy, "qemu", g_variant_new_handle(0), 0, list, &channel, NULL, NULL, NULL));
        pump_run_until(destination->wanted == channel);
        assert_true(vmf_bus_pump_call_answer_channel_sync(
            destination->proxy, channel, g_variant_new_handle(0), answer, NULL, NULL, NULL));
    }
    ends[0] = at_source[1];
    ends[1] = at_destination[1];
    return channel;
}

/* A line of /proc/PID/status, behind its name. */
static char *
status_of(Process *process, const char *name)
{
    g_autofree char *path =
        g_strdup_printf("/proc/%s/status", g_subprocess_get_identifier(process->process));
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++)
        if (g_str_has_prefix(*line, name))
            return g_strstrip(g_strdup(*line + strlen(name)));
    fail_msg("no %s in %s", name, path);
    return NULL;
}

static void
assert_status(Process *process, const char *name, const char *expected)
{
    g_autofree char *value = status_of(process, name);

    assert_string_equal(value, expected);
}

static void
assert_own_namespace(Process *process, const char *name)
{
    g_autofree char *theirs =
        g_strdup_printf("/proc/%s/ns/%s", g_subprocess_get_identifier(process->process), name);
    g_autofree char *ours = g_strdup_printf("/proc/self/ns/%s", name);
    g_autofree char *a = g_file_read_link(theirs, NULL);
    g_autofree char *b = g_file_read_link(ours, NULL);

    assert_non_null(a);
    assert_string_not_equal(a, b);
}

static gboolean
has_descriptor(Process *process, int fd)
{
    g_autofree char *path =
        g_strdup_printf("/proc/%s/fd/%d", g_subprocess_get_identifier(process->process), fd);
    struct stat status;

    return lstat(path, &status) == 0;
}

static void
assert_confined(Process *process)
{
    const char *pid = g_subprocess_get_identifier(process->process);
    g_autofree char *root = g_strdup_printf("/proc/%s/root", pid);
    g_autofree char *uids = NULL;
    g_autoptr(GDir) directory = NULL;

    assert_status(process, "NoNewPrivs:", "1");
    if (geteuid() != 0) {
        print_message("not root: only the unprivileged part of the confinement was checked\n");
        return;
    }
    uids = status_of(process, "Uid:");
    assert_string_equal(uids, "65534\t65534\t65534\t65534");
    assert_status(process, "Groups:", "");
    assert_status(process, "CapEff:", "0000000000000000");
    assert_status(process, "CapPrm:", "0000000000000000");
    directory = g_dir_open(root, 0, NULL);
    assert_non_null(directory);
    assert_null(g_dir_read_name(directory));
    assert_false(has_descriptor(process, STRAY_FD));
    assert_true(has_descriptor(process, 3));
    assert_own_namespace(process, "net");
    assert_own_namespace(process, "mnt");
    assert_own_namespace(process, "ipc");
}

static void
test_one_migration(void **state)
{
    for (int encrypt = 0; encrypt < 2; encrypt++) {
        Process *source = process_new(), *destination = process_new();
        guint64 bytes = 0;
        int ends[2];

        assert_string_equal(vmf_bus_pump_get_state(source->proxy), "waiting");
        start(source, "source", encrypt);
        start(destination, "destination", encrypt);
        assert_confined(source);
        link_both(source, destination);
        assert_int_equal(open_channel(source, destination, ends), 1);
        {
            PumpStream streams[] = {
                {.fd = ends[0], .bytes = 30 * MIB, .seed = 7, .finish = TRUE},
                {.fd = ends[1], .bytes = 30 * MIB, .seed = 7, .finish = TRUE},
            };

            pump_stream_write(&streams[0]);
            pump_stream_read(&streams[1]);
            pump_stream_wait(&streams[0]);
            pump_stream_wait(&streams[1]);
        }
        pump_write(ends[1], "SHUT");
        close(ends[1]);
        pump_expect(ends[0], "SHUT");
        pump_expect_end(ends[0]);
        assert_exit(source, "", 0);
        assert_exit(destination, "", 0);
        assert_true(g_variant_lookup(source->statistics, "bytes-from-qemu", "t", &bytes));
        assert_int_equal(bytes, 30 * MIB);
        assert_true(g_variant_lookup(destination->statistics, "bytes-from-qemu", "t", &bytes));
        assert_int_equal(bytes, 4);
        close(ends[0]);
        process_free(source);
        process_free(destination);
    }
}

/* A daemon that goes takes nothing with it; one that comes finds all that it needs to know. */
static void
test_daemons_come_and_go(void **state)
{
    Process *source = process_new(), *destination = process_new();
    int ends[2];

    start(source, "source", TRUE);
    start(destination, "destination", TRUE);
    link_both(source, destination);
    open_channel(source, destination, ends);
    disconnect_daemon(source);
    disconnect_daemon(destination);
    pump_write(ends[0], "on and on");
    pump_expect(ends[1], "on and on");
    connect_daemon(source);
    assert_string_equal(vmf_bus_pump_get_state(source->proxy), "linked");
    assert_string_equal(vmf_bus_pump_get_side(source->proxy), "source");
    assert_string_equal(vmf_bus_pump_get_id(source->proxy), "the-id");
    connect_daemon(destination);
    close(ends[0]);
    pump_expect_end(ends[1]);
    close(ends[1]);
    assert_exit(source, "", 0);
    assert_exit(destination, "", 0);
    process_free(source);
    process_free(destination);
}

/* kill -9: the source's QEMU must fail at once, the destination's must not see an end. */
static void
test_killed(void **state)
{
    for (int victim = 0; victim < 2; victim++) {
        Process *processes[2] = {process_new(), process_new()};
        int ends[2];

        start(processes[0], "source", TRUE);
        start(processes[1], "destination", TRUE);
        link_both(processes[0], processes[1]);
        open_channel(processes[0], processes[1], ends);
        pump_write(ends[0], "the beginning");
        pump_expect(ends[1], "the beginning");
        g_subprocess_send_signal(processes[victim]->process, SIGKILL);
        pump_expect_broken(ends[0]);
        if (victim == 0) {
            pump_expect_silence(ends[1], 200);
            pump_run_until(strcmp(vmf_bus_pump_get_state(processes[1]->proxy), "stopping") == 0);
            close(ends[1]);
        } else {
            close(ends[1]);
        }
        assert_exit(processes[!victim], "org.vmferry1.Error.LinkBroken", 1);
        close(ends[0]);
        process_free(processes[0]);
        process_free(processes[1]);
    }
}

static void
test_stop(void **state)
{
    Process *process = process_new();

    start(process, "destination", TRUE);
    assert_true(vmf_bus_pump_call_stop_sync(process->proxy, "org.vmferry1.Error.Cancelled",
                                            "enough of it", NULL, NULL));
    assert_exit(process, "org.vmferry1.Error.Cancelled", 1);
    process_free(process);
}

static void
test_terminated(void **state)
{
    Process *process = process_new();

    g_subprocess_send_signal(process->process, SIGTERM);
    assert_exit(process, "org.vmferry1.Error.Cancelled", 1);
    process_free(process);
}

static void
test_errors_have_names(void **state)
{
    Process *process = process_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *name = NULL;

    assert_false(vmf_bus_pump_call_refuse_channel_sync(process->proxy, 3, "why", NULL, &error));
    name = g_dbus_error_get_remote_error(error);
    assert_string_equal(name, "org.vmferry1.Error.InvalidArgument");
    process_free(process);
}

/* Run in a child: tries to talk to the pump as somebody else. */
static int
talk_as_stranger(const Process *process)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct {
        sa_family_t family;
        char path[108];
    } address = {.family = AF_UNIX};
    char byte;

    g_strlcpy(address.path, process->path, sizeof address.path);
    if (setgid(4242) < 0 || setuid(4242) < 0)
        return 1;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return 2;
    return read(fd, &byte, 1) == 0 ? 0 : 3;
}

static void
test_strangers_are_refused(void **state)
{
    Process *process;
    int status = 0;
    pid_t pid;

    if (geteuid() != 0) {
        print_message("not root: cannot be somebody else\n");
        skip();
    }
    process = process_new();
    pid = fork();
    if (pid == 0)
        _exit(talk_as_stranger(process));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    process_free(process);
}

static void
test_too_many_daemons(void **state)
{
    Process *process = process_new();
    GDBusConnection *connections[VMF_PUMP_CONNECTIONS] = {NULL};

    for (guint i = 0; i < VMF_PUMP_CONNECTIONS - 1; i++) {
        connections[i] = dial(process);
        assert_non_null(connections[i]);
    }
    assert_null(dial(process));
    for (guint i = 0; i < VMF_PUMP_CONNECTIONS - 1; i++)
        g_object_unref(connections[i]);
    process_free(process);
}

static void
test_bad_arguments(void **state)
{
    const char *cases[][3] = {
        {"--control-fd=0"}, {"--no-such-option"}, {"--control-fd=77"}, {NULL}};

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GSubprocess) process =
            g_subprocess_new(G_SUBPROCESS_FLAGS_STDERR_SILENCE, NULL, pump_exe, cases[i][0], NULL);

        assert_non_null(process);
        assert_true(g_subprocess_wait(process, NULL, NULL));
        assert_int_equal(g_subprocess_get_exit_status(process), 1);
    }
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_migration),
        cmocka_unit_test(test_daemons_come_and_go),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_terminated),
        cmocka_unit_test(test_errors_have_names),
        cmocka_unit_test(test_strangers_are_refused),
        cmocka_unit_test(test_too_many_daemons),
        cmocka_unit_test(test_bad_arguments),
    };

    if (argc != 2) {
        g_printerr("usage: %s PATH-OF-VMFERRY-PUMP\n", argv[0]);
        return 2;
    }
    pump_exe = argv[1];
    (void)vmf_error_quark();
    vmf_leave_out_under_valgrind("test_strangers_are_refused",
                                 "a child of fork() has lost what was its threads\'");
    return cmocka_run_group_tests_name("pump-process", tests, NULL, NULL);
}
