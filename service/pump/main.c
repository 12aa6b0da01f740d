/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmferry-pump: arguments, confinement, and the main loop. */
#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "pump/bus.h"
#include "vmferry-config.h"

/* Enough for VMF_CHANNELS_OPEN channels, the link, and some daemons. */
#define VMF_PUMP_FILES 256

typedef struct {
    int control_fd;
    char *user;
    gboolean verbose;
    gboolean version;
} VmfPumpArguments;

typedef struct {
    GMainLoop *loop;
    gboolean clean;
} VmfPumpRun;

static gboolean
vmf_pump_parse(VmfPumpArguments *arguments, int *argc, char ***argv, GError **error)
{
    const GOptionEntry entries[] = {
        {"control-fd", 0, 0, G_OPTION_ARG_INT, &arguments->control_fd,
         "the listening control socket, inherited", "N"},
        {"user", 0, 0, G_OPTION_ARG_STRING, &arguments->user,
         "become this user, when started as root (vmferry)", "NAME"},
        {"verbose", 0, 0, G_OPTION_ARG_NONE, &arguments->verbose, "log debug lines", NULL},
        {"version", 0, 0, G_OPTION_ARG_NONE, &arguments->version, "print the version", NULL},
        {NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);

    g_option_context_set_summary(context,
                                 "Carries the streams of one migration at one of its two hosts.\n"
                                 "It is started by vmferryd, and not of use by hand.");
    g_option_context_add_main_entries(context, entries, NULL);
    return g_option_context_parse(context, argc, argv, error);
}

static gboolean
vmf_pump_check_listener(int fd, GError **error)
{
    int listening = 0;
    socklen_t length = sizeof listening;

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                "--control-fd must name a listening socket; vmferry-pump is started by vmferryd");
    return FALSE;
}

/* What vmferryd had open, or whoever starts it by hand. */
static gboolean
vmf_pump_close_others(int fd, GError **error)
{
    if ((fd <= STDERR_FILENO + 1 || close_range(STDERR_FILENO + 1, (unsigned)fd - 1, 0) == 0) &&
        close_range((unsigned)fd + 1, ~0u, 0) == 0)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_FAILED, "cannot close inherited descriptors: %s",
                g_strerror(errno));
    return FALSE;
}

static void
vmf_pump_done(gpointer data, gboolean clean)
{
    VmfPumpRun *run = data;

    run->clean = clean;
    g_main_loop_quit(run->loop);
}

static gboolean
vmf_pump_terminate(gpointer data)
{
    vmf_pump_bus_terminate(data);
    return G_SOURCE_CONTINUE;
}

static gboolean
vmf_pump_run(int control_fd)
{
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    VmfPumpRun run = {.loop = loop};
    g_autoptr(VmfPumpBus) bus = vmf_pump_bus_new(control_fd, vmf_pump_done, &run);

    g_unix_signal_add(SIGTERM, vmf_pump_terminate, bus);
    g_unix_signal_add(SIGINT, vmf_pump_terminate, bus);
    (void)signal(SIGPIPE, SIG_IGN); /* standard error may go away */
    g_main_loop_run(loop);
    return run.clean;
}

int
main(int argc, char **argv)
{
    VmfPumpArguments arguments = {.control_fd = -1};
    g_autofree char *user = NULL;
    g_autoptr(GError) error = NULL;
    gboolean ok = vmf_pump_parse(&arguments, &argc, &argv, &error);

    vmf_log_init("vmferry-pump", arguments.verbose, TRUE);
    (void)vmf_error_quark(); /* registers the names for GDBus */
    user = arguments.user ? arguments.user : g_strdup("vmferry");
    if (ok && arguments.version) {
        g_print("vmferry-pump %s\n", VMF_VERSION);
        return EXIT_SUCCESS;
    }
    if (!ok || !vmf_pump_check_listener(arguments.control_fd, &error) ||
        !vmf_pump_close_others(arguments.control_fd, &error) ||
        !vmf_sandbox_enter(&(VmfSandbox){.user = user, .files = VMF_PUMP_FILES}, &error)) {
        vmf_warn(NULL, "%s", error->message);
        return EXIT_FAILURE;
    }
    return vmf_pump_run(arguments.control_fd) ? EXIT_SUCCESS : EXIT_FAILURE;
}
