/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/check-guest.h"

#include <stdio.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "ctl/migrate-options.h"

#define CALL_TIMEOUT 120000 /* ms: emulators on both hosts may be asked for the first time */

enum { STATUS_FINE = 0, STATUS_BLOCKED = 1, STATUS_UNKNOWN = 2, STATUS_DOUBTFUL = 3 };

typedef struct {
    const char *name;
    const char *severity;
    const char *message;
    gboolean forced;
} Finding;

static Finding
finding_at(GVariant *findings, gsize i)
{
    g_autoptr(GVariant) dict = g_variant_get_child_value(findings, i);
    Finding finding = {.name = "", .severity = "", .message = ""};

    /* The strings belong to `findings`. */
    g_variant_lookup(dict, "Name", "&s", &finding.name);
    g_variant_lookup(dict, "Severity", "&s", &finding.severity);
    g_variant_lookup(dict, "Message", "&s", &finding.message);
    g_variant_lookup(dict, "Forced", "b", &finding.forced);
    return finding;
}

static int
status_of(GVariant *findings)
{
    int status = STATUS_FINE;

    for (gsize i = 0; i < g_variant_n_children(findings); i++) {
        Finding finding = finding_at(findings, i);

        if (g_str_equal(finding.severity, "block") && !finding.forced)
            return STATUS_BLOCKED;
        if (!g_str_equal(finding.severity, "info"))
            status = STATUS_DOUBTFUL;
    }
    return status;
}

static const char *
colour_of(const Finding *finding)
{
    if (!isatty(STDOUT_FILENO))
        return "";
    if (g_str_equal(finding->severity, "block") && !finding->forced)
        return "\033[1;31m";
    return g_str_equal(finding->severity, "info") ? "\033[2m" : "\033[33m";
}

static void
print_text(const char *guest, const char *host, GVariant *findings, gboolean verbose)
{
    for (gsize i = 0; i < g_variant_n_children(findings); i++) {
        Finding finding = finding_at(findings, i);
        const char *colour = colour_of(&finding);

        if (!verbose && g_str_equal(finding.severity, "info"))
            continue;
        printf("%s%-6s%s  %s: %s\n", colour, finding.forced ? "forced" : finding.severity,
               *colour ? "\033[0m" : "", finding.name, finding.message);
    }
    switch (status_of(findings)) {
    case STATUS_FINE:
        printf("nothing speaks against moving %s to %s\n", guest, host);
        break;
    case STATUS_BLOCKED:
        printf("%s cannot move to %s\n", guest, host);
        break;
    default:
        printf("%s may move to %s, with doubts\n", guest, host);
    }
}

/* A name that was forced and is not among what was found: mistyped, or there no more. */
static void
tell_unknown(GVariant *findings, char **forced)
{
    for (; forced && *forced; forced++) {
        gboolean found = FALSE;

        for (gsize i = 0; i < g_variant_n_children(findings) && !found; i++)
            found = g_str_equal(finding_at(findings, i).name, *forced);
        if (!found)
            fprintf(stderr, "vmferry check: note: --force %s: nothing of that name was found\n",
                    *forced);
    }
}

static GVariant *
options_of(const VmfGuestCheck *check, GError **error)
{
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);

    if (check->dname)
        g_variant_dict_insert(&dict, "dname", "s", check->dname);
    if (check->tls)
        g_variant_dict_insert(&dict, "tls", "b", TRUE);
    if (check->postcopy)
        g_variant_dict_insert(&dict, "postcopy", "b", TRUE);
    if (check->force)
        g_variant_dict_insert(&dict, "force", "^as", check->force);
    if (!vmf_migrate_options_add_file(&dict, check->xml, error))
        return NULL;
    return g_variant_dict_end(&dict);
}

int
vmf_ctl_check_guest(const char *guest, const char *host, const VmfGuestCheck *check)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) findings = NULL;
    g_autoptr(VmfBusManager) manager = NULL;
    GVariant *options = options_of(check, &error);

    if (options && !(manager = vmf_ctl_connect())) {
        g_variant_unref(g_variant_ref_sink(options));
        return STATUS_UNKNOWN;
    }
    if (manager)
        g_dbus_proxy_set_default_timeout(G_DBUS_PROXY(manager), CALL_TIMEOUT);
    if (!options ||
        !vmf_bus_manager_call_check_sync(manager, guest, host, options, &findings, NULL, &error)) {
        (void)vmf_ctl_fail(error);
        return STATUS_UNKNOWN;
    }
    tell_unknown(findings, check->force);
    if (check->json)
        vmf_ctl_print_json(findings);
    else
        print_text(guest, host, findings, check->verbose);
    return status_of(findings);
}
