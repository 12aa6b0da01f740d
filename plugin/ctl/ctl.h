/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The vmferry command: what its subcommands share.
 *
 * A subcommand is one file with one function `int vmf_ctl_NAME(int argc, char **argv)` that gets
 * its own name as argv[0] and returns the exit status; main.c has the table. Results go to standard
 * output, progress and errors to standard error. One thread.
 */
#pragma once

#include <gio/gio.h>

#include "vmferry-bus.h"

/* Exit statuses, documented in vmferry(1). */
enum {
    VMF_EXIT_OK = 0,
    VMF_EXIT_FAILED = 1,    /* it was tried and failed, or was refused; the guest runs on */
    VMF_EXIT_USAGE = 2,     /* the command line is wrong; nothing was done */
    VMF_EXIT_NO_DAEMON = 3, /* vmferryd does not answer, or went away */
    VMF_EXIT_CANCELLED = 4, /* the migration was cancelled; the guest runs on */
};

#define VMF_CTL_BUS_NAME "org.vmferry1"
#define VMF_CTL_ROOT "/org/vmferry1"

int vmf_ctl_migrate(int argc, char **argv);
int vmf_ctl_status(int argc, char **argv);
int vmf_ctl_cancel(int argc, char **argv);
int vmf_ctl_postcopy(int argc, char **argv);
int vmf_ctl_bandwidth(int argc, char **argv);
int vmf_ctl_maintenance(int argc, char **argv);
int vmf_ctl_plan(int argc, char **argv);
int vmf_ctl_peers(int argc, char **argv);
int vmf_ctl_capture(int argc, char **argv);
int vmf_ctl_hook(int argc, char **argv);
int vmf_ctl_features(int argc, char **argv);
int vmf_ctl_socket(int argc, char **argv);

/*
 * Parses a subcommand's options; `min` to `max` arguments, named in `synopsis`, must remain.
 * FALSE after having said what is wrong: return VMF_EXIT_USAGE.
 */
gboolean vmf_ctl_parse(int *argc, char ***argv, const GOptionEntry *entries, const char *synopsis,
                       const char *summary, int min, int max);

/* The daemon, activated when it does not run. NULL after having said why it does not answer. */
VmfBusManager *vmf_ctl_connect(void);
GDBusObjectManager *vmf_ctl_connect_objects(void);

/* The bus that the daemon is on, and why it does not answer, as vmf_ctl_connect() says it. */
GBusType vmf_ctl_bus_type(void);
void vmf_ctl_say_no_daemon(GError *error);

/* "vmferry: message", without the bus's decoration, and the exit status that fits the error. */
int vmf_ctl_fail(GError *error);

/* Bytes for people: "12.3 MiB". */
char *vmf_ctl_format_bytes(guint64 bytes);

/* A peer's Features as a dictionary by name, for JSON; floating. */
GVariant *vmf_ctl_features_to_dict(GVariant *features);

/* Seconds for people: "0:07", "1:02:03". */
char *vmf_ctl_format_seconds(double seconds);

/* Objects as JSON on standard output; each value is an a{sv} of bus properties. */
void vmf_ctl_print_json(GVariant *value);

/* All properties of an object's interface as the bus names them, for vmf_ctl_print_json(). */
GVariant *vmf_ctl_get_properties(GDBusProxy *proxy);
