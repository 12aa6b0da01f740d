/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <glib-unix.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"

static gboolean
set_flag(gpointer flag)
{
    *(gboolean *)flag = TRUE;
    return G_SOURCE_CONTINUE;
}

void
vmf_wait_until(gboolean (*condition)(gpointer data), gpointer data, const char *what)
{
    gboolean late = FALSE;
    guint timer = g_timeout_add_seconds(VMF_PATIENCE, set_flag, &late);
    gboolean done;

    while (!(done = condition(data)) && !late)
        g_main_context_iteration(NULL, TRUE);
    g_source_remove(timer);
    if (!done)
        fail_msg("waited %d s for: %s", VMF_PATIENCE, what);
}

typedef struct {
    GObject *proxy;
    const char *property;
    const char *value;
} Expectation;

static gboolean
property_is(gpointer data)
{
    const Expectation *expectation = data;
    g_autofree char *value = NULL;

    g_object_get(expectation->proxy, expectation->property, &value, NULL);
    return g_strcmp0(value, expectation->value) == 0;
}

void
vmf_wait_property(gpointer proxy, const char *property, const char *value)
{
    Expectation expectation = {proxy, property, value};
    g_autofree char *what = g_strdup_printf("%s = '%s'", property, value);

    vmf_wait_until(property_is, &expectation, what);
}

static gboolean
has_error(gpointer proxy)
{
    g_autoptr(GVariant) error = NULL;
    const char *name = "";

    g_object_get(proxy, "error", &error, NULL);
    if (error)
        g_variant_get_child(error, 0, "&s", &name);
    return *name != '\0';
}

void
vmf_wait_error(gpointer proxy, const char *name, const char *words)
{
    g_autoptr(GVariant) error = NULL;

    vmf_wait_until(has_error, proxy, "an error in the property Error");
    g_object_get(proxy, "error", &error, NULL);
    vmf_assert_error_property(error, name, words);
}

static gboolean
file_exists(gpointer path)
{
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

void
vmf_wait_failed(VmfBusMigration *migration, const char *name, const char *words)
{
    vmf_wait_property(migration, "state", "failed");
    vmf_assert_error_property(vmf_bus_migration_get_error(migration), name, words);
}

/* The monitor's events are what wakes the wait. */
void
vmf_wait_file(const char *path)
{
    g_autoptr(GFile) file = g_file_new_for_path(path);
    g_autoptr(GFileMonitor) monitor = g_file_monitor_file(file, G_FILE_MONITOR_NONE, NULL, NULL);

    assert_non_null(monitor);
    vmf_wait_until(file_exists, (gpointer)path, path);
    g_file_monitor_cancel(monitor);
}

static gboolean
on_pidfd(gint fd, GIOCondition condition, gpointer gone)
{
    *(gboolean *)gone = TRUE;
    return G_SOURCE_REMOVE;
}

static gboolean
is_set(gpointer flag)
{
    return *(gboolean *)flag;
}

void
vmf_wait_gone(pid_t pid)
{
    gboolean gone = FALSE;
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    g_autofree char *what = g_strdup_printf("the end of process %d", (int)pid);

    if (fd < 0)
        return;
    g_unix_fd_add(fd, G_IO_IN, on_pidfd, &gone);
    vmf_wait_until(is_set, &gone, what);
    close(fd);
}

/* The parent is the second field after the program's name, which may hold anything. */
static pid_t
parent_of(const char *pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/stat", pid);
    g_autofree char *text = NULL;
    const char *after;

    if (!g_file_get_contents(path, &text, NULL, NULL) || !(after = strrchr(text, ')')))
        return 0;
    return after[1] && after[2] && after[3] ? atoi(after + 4) : 0;
}

GArray *
vmf_children_of(pid_t pid)
{
    GArray *children = g_array_new(FALSE, FALSE, sizeof(pid_t));
    g_autoptr(GDir) proc = g_dir_open("/proc", 0, NULL);
    const char *name;

    while (proc && (name = g_dir_read_name(proc))) {
        pid_t child = atoi(name);

        if (child > 0 && parent_of(name) == pid)
            g_array_append_val(children, child);
    }
    return children;
}

GSocket *
vmf_listen(guint16 *ret_port)
{
    GSocket *socket =
        g_socket_new(G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL);
    g_autoptr(GSocketAddress) any = g_inet_socket_address_new_from_string("127.0.0.1", 0);
    g_autoptr(GSocketAddress) got = NULL;

    assert_true(g_socket_bind(socket, any, FALSE, NULL));
    assert_true(g_socket_listen(socket, NULL));
    got = g_socket_get_local_address(socket, NULL);
    *ret_port = g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(got));
    return socket;
}

/* ---- processes ---- */

const char *
vmf_program(const char *variable)
{
    const char *path = g_getenv(variable);

    if (!path)
        fail_msg("the environment has no %s: run the test through meson", variable);
    return path;
}

void
vmf_process_die_with_parent(gpointer data)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

void
vmf_process_end(GSubprocess *process)
{
    g_subprocess_force_exit(process);
    g_subprocess_wait(process, NULL, NULL);
    g_object_unref(process);
}

/* ---- asserting ---- */

void
vmf_assert_error(GError *error, const char *name, const char *words)
{
    g_autofree char *expected = g_strconcat(VMF_ERROR_PREFIX, name, NULL);
    g_autofree char *got = NULL;

    if (!error)
        fail_msg("expected the error %s, and it succeeded", name);
    got = g_dbus_error_encode_gerror(error);
    if (g_strcmp0(got, expected) != 0)
        fail_msg("expected the error %s, not %s: %s", expected, got, error->message);
    if (words && !strstr(error->message, words))
        fail_msg("'%s' does not say '%s'", error->message, words);
    g_error_free(error);
}

void
vmf_assert_error_property(GVariant *property, const char *name, const char *words)
{
    const char *got;
    const char *message;

    assert_non_null(property);
    g_variant_get(property, "(&s&s)", &got, &message);
    if (!*name) {
        assert_string_equal(got, "");
        assert_string_equal(message, "");
        return;
    }
    vmf_assert_error(g_dbus_error_new_for_dbus_error(got, message), name, words);
}

void
vmf_host_connect(VmfHost *host, const char *peer)
{
    g_autoptr(GError) error = NULL;

    if (!vmf_bus_manager_call_connect_sync(host->manager, peer, NULL, &error))
        fail_msg("Connect: %s", error->message);
}

void
vmf_host_assert_connect_refused(VmfHost *host, const char *peer, const char *name,
                                const char *words)
{
    g_autoptr(VmfBusPeer) object = vmf_host_get_peer(host, peer);
    GError *error = NULL;

    vmf_bus_manager_call_connect_sync(host->manager, peer, NULL, &error);
    vmf_assert_error(error, name, words);
    vmf_wait_error(object, name, words);
}

void
vmf_host_assert_migration_fails(VmfHost *host, const char *name, const char *words)
{
    g_autoptr(VmfBusMigration) migration = vmf_host_migrate(host, "running", "hostb");

    vmf_wait_failed(migration, name, words);
}
