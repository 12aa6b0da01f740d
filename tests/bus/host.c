/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A host's daemon, and what it shows on its bus. */
#include "fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>

#define BUS_NAME "org.vmferry1"
#define ROOT "/org/vmferry1"

static void
host_disconnect(VmfHost *host)
{
    g_clear_object(&host->manager);
    g_clear_object(&host->objects);
}

static GSubprocessLauncher *
host_launcher(VmfHost *host, GSubprocessFlags flags)
{
    GSubprocessLauncher *launcher = g_subprocess_launcher_new(flags);

    g_subprocess_launcher_set_cwd(launcher, host->directory);
    g_subprocess_launcher_setenv(launcher, "DBUS_SESSION_BUS_ADDRESS", host->address, TRUE);
    g_subprocess_launcher_setenv(launcher, "DBUS_SYSTEM_BUS_ADDRESS", host->address, TRUE);
    g_subprocess_launcher_setenv(launcher, "VMFERRY_SESSION_BUS", "1", TRUE);
    g_subprocess_launcher_setenv(launcher, "STUB_PUMP_MOOD", host->mood ? host->mood : "", TRUE);
    g_subprocess_launcher_set_child_setup(launcher, vmf_process_die_with_parent, NULL, NULL);
    return launcher;
}

/* What daemons and pumps of the host say goes to one file, whichever life of theirs it is. */
static void
host_keep_log(VmfHost *host, GSubprocessLauncher *launcher)
{
    g_autofree char *log = vmf_host_path(host, "log");

    g_subprocess_launcher_take_stderr_fd(
        launcher, open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
}

guint
vmf_host_count_log(VmfHost *host, const char *words)
{
    g_autofree char *path = vmf_host_path(host, "log");
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    guint count = 0;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++)
        count += strstr(*line, words) != NULL;
    return count;
}

typedef struct {
    VmfHost *host;
    const char *words;
} VmfLogged;

static gboolean
is_logged(gpointer data)
{
    const VmfLogged *logged = data;

    return vmf_host_count_log(logged->host, logged->words) > 0;
}

void
vmf_host_assert_logged_once(VmfHost *host, const char *words)
{
    VmfLogged logged = {host, words};
    g_autofree char *path = vmf_host_path(host, "log");
    g_autoptr(GFile) file = g_file_new_for_path(path);
    g_autoptr(GFileMonitor) growth = g_file_monitor_file(file, G_FILE_MONITOR_NONE, NULL, NULL);

    assert_non_null(growth); /* it wakes the main context that is waited in */
    g_file_monitor_set_rate_limit(growth, 10);
    vmf_wait_until(is_logged, &logged, words);
    assert_int_equal(vmf_host_count_log(host, words), 1);
}

void
vmf_host_show_log(VmfHost *host)
{
    g_autofree char *path = vmf_host_path(host, "log");
    g_autofree char *text = NULL;

    if (g_file_get_contents(path, &text, NULL, NULL) && *text)
        g_printerr("---- log of %s\n%s", host->name, text);
}

typedef struct {
    gboolean up;
    gboolean ended;
} Starting;

static void
on_name_appeared(GDBusConnection *bus, const char *name, const char *owner, gpointer data)
{
    ((Starting *)data)->up = TRUE;
}

static void
on_daemon_ended(GObject *process, GAsyncResult *result, gpointer data)
{
    g_autoptr(GError) error = NULL;

    if (g_subprocess_wait_finish(G_SUBPROCESS(process), result, &error))
        ((Starting *)data)->ended = TRUE;
}

static gboolean
is_decided(gpointer data)
{
    const Starting *starting = data;

    return starting->up || starting->ended;
}

void
vmf_host_start(VmfHost *host)
{
    g_autoptr(GSubprocessLauncher) launcher = host_launcher(host, G_SUBPROCESS_FLAGS_NONE);
    g_autofree char *config = vmf_host_path(host, "vmferryd.conf");
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    Starting *starting = g_new0(Starting, 1);
    guint watch;

    assert_null(host->daemon);
    host_keep_log(host, launcher);
    watch = g_bus_watch_name_on_connection(host->bus, BUS_NAME, G_BUS_NAME_WATCHER_FLAGS_NONE,
                                           on_name_appeared, NULL, starting, NULL);
    host->daemon = g_subprocess_launcher_spawn(launcher, NULL, vmf_program("VMFERRYD"),
                                               "--session-bus", "--config", config, NULL);
    assert_non_null(host->daemon);
    g_subprocess_wait_async(host->daemon, cancellable, on_daemon_ended, starting);
    vmf_wait_until(is_decided, starting, "vmferryd's name on the bus");
    g_bus_unwatch_name(watch);
    if (starting->ended)
        fail_msg("vmferryd of %s ended while it started", host->name);
    g_cancellable_cancel(cancellable);
    while (g_main_context_iteration(NULL, FALSE))
        ; /* the cancelled wait lets go of `starting` */
    g_free(starting);
    host->manager = vmf_bus_manager_proxy_new_sync(host->bus, G_DBUS_PROXY_FLAGS_NONE, BUS_NAME,
                                                   ROOT, NULL, NULL);
    host->objects = vmf_bus_object_manager_client_new_sync(
        host->bus, G_DBUS_OBJECT_MANAGER_CLIENT_FLAGS_NONE, BUS_NAME, ROOT, NULL, NULL);
    assert_non_null(host->manager);
    assert_non_null(host->objects);
}

void
vmf_host_start_unwatched(VmfHost *host)
{
    g_autofree char *limit = g_strdup(g_getenv("VMFERRY_WATCHDOG_MS"));

    g_unsetenv("VMFERRY_WATCHDOG_MS");
    vmf_host_start(host);
    if (limit)
        g_setenv("VMFERRY_WATCHDOG_MS", limit, TRUE);
}

pid_t
vmf_host_get_pid(VmfHost *host)
{
    return (pid_t)g_ascii_strtoll(g_subprocess_get_identifier(host->daemon), NULL, 10);
}

void
vmf_host_stop(VmfHost *host)
{
    pid_t pid = vmf_host_get_pid(host); /* before it ends: GLib collects it, and forgets the pid */
    g_autoptr(GSubprocess) daemon = g_steal_pointer(&host->daemon);

    host_disconnect(host);
    g_subprocess_send_signal(daemon, SIGTERM);
    vmf_wait_gone(pid);
    g_subprocess_wait(daemon, NULL, NULL);
    assert_true(g_subprocess_get_if_exited(daemon));
    assert_int_equal(g_subprocess_get_exit_status(daemon), 0);
}

/* Whether the bus still has somebody who bears it; a round trip. */
static gboolean
host_has_name(VmfHost *host)
{
    gboolean has = FALSE;
    g_autoptr(GVariant) answer = g_dbus_connection_call_sync(
        host->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
        "NameHasOwner", g_variant_new("(s)", BUS_NAME), NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL,
        NULL);

    if (answer)
        g_variant_get(answer, "(b)", &has);
    return has;
}

void
vmf_host_kill(VmfHost *host)
{
    host_disconnect(host);
    g_clear_pointer(&host->daemon, vmf_process_end);
    while (host_has_name(host)) /* or the next one would be taken to be up at once */
        g_main_context_iteration(NULL, FALSE);
}

static void
assert_no_files_below(const char *path)
{
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
    const char *name;

    while (directory && (name = g_dir_read_name(directory))) {
        g_autofree char *below = g_build_filename(path, name, NULL);

        if (g_file_test(below, G_FILE_TEST_IS_DIR))
            assert_no_files_below(below);
        else
            fail_msg("%s was left behind", below);
    }
}

void
vmf_host_assert_clean(VmfHost *host)
{
    g_autoptr(GArray) children = vmf_children_of(vmf_host_get_pid(host));
    g_autofree char *run = vmf_host_path(host, "run");

    for (guint i = 0; i < children->len; i++)
        vmf_wait_gone(g_array_index(children, pid_t, i));
    assert_no_files_below(run);
}

/* NULL: nothing was read. */
static char *
host_text(GBytes *bytes)
{
    gsize length = 0;
    const char *text = bytes ? g_bytes_get_data(bytes, &length) : NULL;

    return g_strndup(text ? text : "", length);
}

int
vmf_host_run_with(VmfHost *host, const char *const *argv, GBytes *input, char **ret_out,
                  char **ret_error)
{
    g_autoptr(GSubprocessLauncher) launcher =
        host_launcher(host, G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE |
                                (input ? G_SUBPROCESS_FLAGS_STDIN_PIPE : G_SUBPROCESS_FLAGS_NONE));
    g_autoptr(GSubprocess) process = g_subprocess_launcher_spawnv(launcher, argv, NULL);
    g_autoptr(GBytes) out = NULL;
    g_autoptr(GBytes) error = NULL;

    assert_non_null(process);
    /* what a program does not read is its own affair */
    if (!g_subprocess_communicate(process, input, NULL, &out, &error, NULL))
        g_subprocess_wait(process, NULL, NULL);
    assert_true(g_subprocess_get_if_exited(process));
    if (ret_out)
        *ret_out = host_text(out);
    if (ret_error)
        *ret_error = host_text(error);
    return g_subprocess_get_exit_status(process);
}

int
vmf_host_run(VmfHost *host, const char *const *argv, char **ret_out, char **ret_error)
{
    return vmf_host_run_with(host, argv, NULL, ret_out, ret_error);
}

/* ---- its objects ---- */

VmfBusMigration *
vmf_host_get_migration(VmfHost *host, const char *path)
{
    VmfBusMigration *migration = vmf_bus_migration_proxy_new_sync(
        host->bus, G_DBUS_PROXY_FLAGS_NONE, BUS_NAME, path, NULL, NULL);

    assert_non_null(migration);
    return migration;
}

VmfBusMigration *
vmf_host_migrate(VmfHost *host, const char *guest, const char *peer)
{
    g_autofree char *path = NULL;
    g_autoptr(GError) error = NULL;

    if (!vmf_bus_manager_call_migrate_sync(host->manager, guest, peer, g_variant_new("a{sv}", NULL),
                                           &path, NULL, &error))
        fail_msg("Migrate: %s", error->message);
    return vmf_host_get_migration(host, path);
}

VmfBusMigration *
vmf_host_find_migration(VmfHost *host)
{
    GList *all = g_dbus_object_manager_get_objects(host->objects);
    VmfBusMigration *found = NULL;

    for (GList *item = all; item && !found; item = item->next)
        found = vmf_bus_object_get_migration(VMF_BUS_OBJECT(item->data));
    g_list_free_full(all, g_object_unref);
    return found;
}

static gboolean
shows_a_migration(gpointer host)
{
    g_autoptr(VmfBusMigration) migration = vmf_host_find_migration(host);

    return migration != NULL;
}

VmfBusMigration *
vmf_host_wait_migration(VmfHost *host)
{
    vmf_wait_until(shows_a_migration, host, "a migration");
    return vmf_host_find_migration(host);
}

VmfBusPeer *
vmf_host_get_peer(VmfHost *host, const char *name)
{
    GList *all = g_dbus_object_manager_get_objects(host->objects);
    VmfBusPeer *found = NULL;

    for (GList *item = all; item && !found; item = item->next) {
        found = vmf_bus_object_get_peer(VMF_BUS_OBJECT(item->data));
        if (found && g_strcmp0(vmf_bus_peer_get_name(found), name) != 0)
            g_clear_object(&found);
    }
    g_list_free_full(all, g_object_unref);
    if (!found)
        fail_msg("%s shows no peer %s", host->name, name);
    return found;
}
