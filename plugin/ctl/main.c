/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmferry: see vmferry(1). */
#include <locale.h>
#include <stdio.h>

#include "ctl/check.h"
#include "ctl/ctl.h"
#include "ctl/inspect.h"
#include "ctl/policy.h"
#include "vmferry-config.h"

typedef struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *arguments;
    const char *summary;
} VmfSubcommand;

static const VmfSubcommand vmf_subcommands[] = {
    {"migrate", vmf_ctl_migrate, "GUEST HOST", "Migrate a running guest live to a peer"},
    {"status", vmf_ctl_status, "[ID]", "Show migrations"},
    {"cancel", vmf_ctl_cancel, "ID", "End a migration; the guest goes on at the source"},
    {"postcopy", vmf_ctl_postcopy, "ID", "Switch a migration to post-copy"},
    {"bandwidth", vmf_ctl_bandwidth, "ID MIBS", "Change what a migration may put on the wire"},
    {"inspect", vmf_ctl_inspect, "FILE|-", "Show what is in a migration stream or save image"},
    {"check", vmf_ctl_check, "GUEST HOST", "Say whether a guest can move, or a state be loaded"},
    {"maintenance", vmf_ctl_maintenance, "on|off", "Take no guests, or take them again"},
    {"socket", vmf_ctl_socket, "GUEST HOST", "Print the socket for virsh migrate --migrateuri"},
    {"plan", vmf_ctl_plan, "GUEST HOST", "Say what migrate would do, and why"},
    {"policy", vmf_ctl_policy, "check|show", "Check policy files, show what holds for a guest"},
    {"capture", vmf_ctl_capture, "on|off|status", "Lead plain virsh migrate through vmferry"},
    {"hook", vmf_ctl_hook, "install|remove|status", "Let libvirt ask before a guest arrives"},
    {"peers", vmf_ctl_peers, "", "Show the hosts that guests can go to"},
    {"features", vmf_ctl_features, "HOST", "Show what this host and another agree on"},
};

static void
vmf_print_help(FILE *to)
{
    fputs("Usage: vmferry COMMAND [OPTION...]\n\n"
          "Carries live migrations of libvirt guests between hosts that run vmferryd.\n\n"
          "Commands:\n",
          to);
    for (guint i = 0; i < G_N_ELEMENTS(vmf_subcommands); i++) {
        g_autofree char *call =
            g_strjoin(" ", vmf_subcommands[i].name, vmf_subcommands[i].arguments, NULL);

        fprintf(to, "  %-20s  %s\n", call, vmf_subcommands[i].summary);
    }
    fputs("\nOptions:\n"
          "  --help                This text; vmferry COMMAND --help for a command's options\n"
          "  --version             The version\n\n"
          "Exit status: 0 done; 1 failed or refused, the guest runs on; 2 wrong usage;\n"
          "3 vmferryd does not answer; 4 cancelled; of check: see its manual.\n",
          to);
}

int
main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;

    setlocale(LC_ALL, "");
    if (!name) {
        vmf_print_help(stderr);
        return VMF_EXIT_USAGE;
    }
    if (g_str_equal(name, "--help") || g_str_equal(name, "-h") || g_str_equal(name, "help")) {
        vmf_print_help(stdout);
        return VMF_EXIT_OK;
    }
    if (g_str_equal(name, "--version")) {
        puts("vmferry " VMF_VERSION);
        return VMF_EXIT_OK;
    }
    for (guint i = 0; i < G_N_ELEMENTS(vmf_subcommands); i++) {
        g_autofree char *program = g_strdup_printf("vmferry %s", name);

        if (!g_str_equal(name, vmf_subcommands[i].name))
            continue;
        g_set_prgname(program); /* for --help */
        return vmf_subcommands[i].run(argc - 1, argv + 1);
    }
    fprintf(stderr, "vmferry: no command is called '%s'; see vmferry --help\n", name);
    return VMF_EXIT_USAGE;
}
