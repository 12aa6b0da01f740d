/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"

#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>

#include "check-guest.h"
#include "inspect/check.h"

#define STATUS_LOADS 0
#define STATUS_FAILS 1
#define STATUS_UNKNOWN 2
#define STATUS_LOSES 3

static VmfVmstateSet *
read_side(const char *path, gboolean stream_allowed, GError **error)
{
    VmfSource *source = vmf_source_open(path, error);
    VmfVmstateSet *set = source ? vmf_check_read(source, stream_allowed, error) : NULL;

    if (!set)
        g_prefix_error(error, "%s: ", path);
    return set;
}

static void
print_text(const VmfFindings *findings, gboolean verbose)
{
    guint unknown = 0;

    for (guint i = 0; i < findings->findings->len; i++) {
        const VmfFinding *finding = findings->findings->pdata[i];

        unknown += finding->compat == VMF_COMPAT_UNKNOWN;
        if (!verbose && finding->compat <= VMF_COMPAT_UNKNOWN)
            continue;
        printf("%s%s: %s", vmf_compat_name(finding->compat), finding->if_sent ? " if sent" : "",
               finding->device);
        if (finding->state && strcmp(finding->state, finding->device) != 0)
            printf(", %s", finding->state);
        if (finding->subsection)
            printf(", subsection %s", finding->subsection);
        if (finding->field)
            printf(", field %s", finding->field);
        printf(": %s\n", finding->what);
    }
    printf("%s (%u devices compared, %u not described by the destination)\n",
           vmf_compat_name(vmf_findings_verdict(findings)), findings->compared, unknown);
}

static void
print_json(const VmfFindings *findings, const VmfVmstateSet *source,
           const VmfVmstateSet *destination)
{
    g_autoptr(GVariant) value =
        g_variant_ref_sink(vmf_check_to_variant(findings, source, destination, G_MAXSIZE));
    g_autoptr(JsonNode) node = json_gvariant_serialize(value);
    g_autofree char *text = json_to_string(node, TRUE);

    puts(text);
}

static int
status_of(const VmfFindings *findings)
{
    switch (vmf_findings_verdict(findings)) {
    case VMF_COMPAT_FAILS:
        return STATUS_FAILS;
    case VMF_COMPAT_LOSES:
        return STATUS_LOSES;
    default:
        return STATUS_LOADS;
    }
}

static int
check(const char *source_path, const char *destination_path, gboolean json, gboolean verbose,
      GError **error)
{
    g_autoptr(VmfVmstateSet) source = read_side(source_path, TRUE, error);
    g_autoptr(VmfVmstateSet) destination =
        source ? read_side(destination_path, FALSE, error) : NULL;
    g_autoptr(VmfFindings) findings = NULL;

    if (!destination)
        return STATUS_UNKNOWN;
    if (source->machine && strcmp(source->machine, destination->machine) != 0)
        fprintf(stderr,
                "vmferry check: note: machine types %s and %s; state is loaded into the "
                "same type only\n",
                source->machine, destination->machine);
    findings = vmf_compat_check(source, destination);
    if (json)
        print_json(findings, source, destination);
    else
        print_text(findings, verbose);
    return status_of(findings);
}

/* What was asked for: two files, or a guest and a host. */
typedef struct {
    char *source;
    char *destination;
    gboolean json;
    gboolean verbose;
    VmfGuestCheck guest;
} Arguments;

static gboolean
parse(Arguments *arguments, int *argc, char ***argv)
{
    const GOptionEntry entries[] = {
        {"source", 0, 0, G_OPTION_ARG_FILENAME, &arguments->source,
         "What is to be loaded: -dump-vmstate of QEMU, a stream, or a save image", "FILE|-"},
        {"destination", 0, 0, G_OPTION_ARG_FILENAME, &arguments->destination,
         "-dump-vmstate of the QEMU that is to load it", "FILE"},
        {"dname", 0, 0, G_OPTION_ARG_STRING, &arguments->guest.dname,
         "The guest would have another name at the destination", "NAME"},
        {"xml", 0, 0, G_OPTION_ARG_FILENAME, &arguments->guest.xml,
         "It would have another domain XML there", "FILE"},
        {"postcopy", 0, 0, G_OPTION_ARG_NONE, &arguments->guest.postcopy,
         "it may be switched to post-copy", NULL},
        {"tls", 0, 0, G_OPTION_ARG_NONE, &arguments->guest.tls,
         "QEMU would encrypt its stream itself", NULL},
        {"force", 0, 0, G_OPTION_ARG_STRING_ARRAY, &arguments->guest.force,
         "NAME would be overridden; may be given more than once", "NAME"},
        {"json", 'j', 0, G_OPTION_ARG_NONE, &arguments->json, "Print JSON", NULL},
        {"verbose", 0, 0, G_OPTION_ARG_NONE, &arguments->verbose, "Print what is harmless, too",
         NULL},
        G_OPTION_ENTRY_NULL};
    g_autoptr(GOptionContext) context = g_option_context_new("[GUEST HOST]");
    g_autoptr(GError) error = NULL;

    g_option_context_set_summary(
        context,
        "Says whether GUEST can move to HOST; or, with --source and --destination, whether a "
        "QEMU\ncan load the device state that another one saves, or that was saved.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (g_option_context_parse(context, argc, argv, &error))
        return TRUE;
    fprintf(stderr, "vmferry check: %s; see vmferry check --help\n", error->message);
    return FALSE;
}

static int
run(Arguments *arguments, int argc, char **argv)
{
    gboolean files = arguments->source && arguments->destination && argc == 1;
    gboolean guest = !arguments->source && !arguments->destination && argc == 3;
    g_autoptr(GError) error = NULL;
    int status;

    if (guest) {
        arguments->guest.json = arguments->json;
        arguments->guest.verbose = arguments->verbose;
        return vmf_ctl_check_guest(argv[1], argv[2], &arguments->guest);
    }
    if (!files) {
        fprintf(stderr,
                "vmferry check: expected GUEST HOST, or --source FILE and --destination FILE; "
                "see vmferry check --help\n");
        return STATUS_UNKNOWN;
    }
    status = check(arguments->source, arguments->destination, arguments->json, arguments->verbose,
                   &error);
    if (error)
        fprintf(stderr, "vmferry check: %s\n", error->message);
    return status;
}

int
vmf_ctl_check(int argc, char **argv)
{
    Arguments arguments = {0};
    int status = STATUS_UNKNOWN;

    if (parse(&arguments, &argc, &argv))
        status = run(&arguments, argc, argv);
    g_free(arguments.source);
    g_free(arguments.destination);
    g_free(arguments.guest.dname);
    g_free(arguments.guest.xml);
    g_strfreev(arguments.guest.force);
    return status;
}
