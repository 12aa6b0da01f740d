/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmferryd: see vmferryd(8). */
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "daemon/daemon.h"
#include "daemon/watchdog.h"
#include "vmferry-config.h"

typedef struct {
    gboolean version;
    gboolean debug;
    gboolean session;
    char *config;
    char *peers;
} VmfArguments;

static gboolean
vmf_arguments_parse(VmfArguments *arguments, int *argc, char ***argv)
{
    const GOptionEntry entries[] = {
        {"config", 'c', 0, G_OPTION_ARG_FILENAME, &arguments->config,
         "Configuration file (default " VMF_SYSCONFDIR "/vmferryd.conf)", "FILE"},
        {"peers", 'p', 0, G_OPTION_ARG_FILENAME, &arguments->peers,
         "Folder of peers (default: peers.d beside the configuration file)", "DIR"},
        {"session-bus", 0, 0, G_OPTION_ARG_NONE, &arguments->session,
         "Use the session bus, for tests", NULL},
        {"debug", 'd', 0, G_OPTION_ARG_NONE, &arguments->debug, "Log more", NULL},
        {"version", 0, 0, G_OPTION_ARG_NONE, &arguments->version, "Print the version", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new("- carry live migrations");
    g_autoptr(GError) error = NULL;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, &error)) {
        fprintf(stderr, "vmferryd: %s; see vmferryd --help\n", error->message);
        return FALSE;
    }
    if (*argc > 1) {
        fprintf(stderr, "vmferryd: unexpected argument '%s'; see vmferryd --help\n", (*argv)[1]);
        return FALSE;
    }
    return TRUE;
}

/* VMFERRY_WATCHDOG_MS, for tests: a main loop that was held up longer than that is a failure. */
static int
vmf_run_watched(VmfDaemon *daemon)
{
    const char *text = g_getenv("VMFERRY_WATCHDOG_MS");
    guint limit = text ? (guint)strtoul(text, NULL, 10) : 0;
    VmfWatchdog *watchdog = limit ? vmf_watchdog_start(limit) : NULL;
    int status = vmf_daemon_run(daemon);

    if (watchdog && vmf_watchdog_stop(watchdog) > 0 && status == EXIT_SUCCESS)
        status = EXIT_FAILURE;
    return status;
}

static int
vmf_main(const VmfArguments *arguments)
{
    const char *config = arguments->config ? arguments->config : VMF_SYSCONFDIR "/vmferryd.conf";
    g_autofree char *directory = g_path_get_dirname(config);
    g_autofree char *peers = arguments->peers ? g_strdup(arguments->peers)
                                              : g_build_filename(directory, "peers.d", NULL);
    g_autofree char *policies = g_build_filename(directory, "policies.d", NULL);
    const VmfDaemonOptions options = {
        .config_path = config,
        .peers_directory = peers,
        .policies_directory = policies,
        .bus_type = arguments->session ? G_BUS_TYPE_SESSION : G_BUS_TYPE_SYSTEM,
    };
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfDaemon) daemon = NULL;
    int status;

    if (arguments->version) {
        puts("vmferryd " VMF_VERSION);
        return EXIT_SUCCESS;
    }
    /* GIO's TLS takes its protocol versions from here alone; checked after each handshake. */
    g_setenv("G_TLS_GNUTLS_PRIORITY", "NORMAL:-VERS-ALL:+VERS-TLS1.3", TRUE);
    vmf_log_init("vmferryd", arguments->debug, FALSE);
    (void)vmf_error_quark();
    /* The default may be missing, what somebody asks for may not. */
    if (arguments->config && !g_file_test(arguments->config, G_FILE_TEST_EXISTS)) {
        vmf_warn(NULL, "%s: no such file", arguments->config);
        return EXIT_FAILURE;
    }
    daemon = vmf_daemon_new(&options, &error);
    if (!daemon) {
        vmf_warn(NULL, "%s", error->message);
        return EXIT_FAILURE;
    }
    status = vmf_run_watched(daemon);
    if (vmf_daemon_is_busy(daemon))
        _exit(status); /* what its threads use stays until the last moment */
    return status;
}

int
main(int argc, char **argv)
{
    VmfArguments arguments = {0};
    int status = 2;

    setlocale(LC_ALL, "");
    signal(SIGPIPE, SIG_IGN); /* who does not read any more is told by errors */
    if (vmf_arguments_parse(&arguments, &argc, &argv))
        status = vmf_main(&arguments);
    g_free(arguments.config);
    g_free(arguments.peers);
    return status;
}
