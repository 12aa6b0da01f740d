/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inspect.h"

#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "ctl.h"
#include "inspect-text.h"
#include "inspect/json.h"

#define PROGRESS_INTERVAL (G_USEC_PER_SEC / 10)

typedef struct {
    gint64 shown; /* when, monotonic */
    gboolean wanted;
} Progress;

static void
show_progress(const VmfSource *source, gpointer user_data)
{
    Progress *progress = user_data;
    uint64_t position = vmf_source_position(source);
    uint64_t size = vmf_source_size(source);
    gint64 now = g_get_monotonic_time();
    g_autofree char *text = NULL;

    if (!progress->wanted || now - progress->shown < PROGRESS_INTERVAL)
        return;
    progress->shown = now;
    text = g_format_size_full(position, G_FORMAT_SIZE_IEC_UNITS);
    if (size > 0)
        fprintf(stderr, "\r%3.0f %%  %s\033[K", 100.0 * (double)position / (double)size, text);
    else
        fprintf(stderr, "\r%s\033[K", text);
}

static gboolean
run(VmfInspection *inspection, GError **error)
{
    Progress progress = {.wanted = isatty(STDERR_FILENO)};
    gboolean fine;

    progress.shown = progress.wanted ? g_get_monotonic_time() : 0;
    fine = vmf_inspection_run(inspection, show_progress, &progress, error);
    if (progress.wanted)
        fprintf(stderr, "\r\033[K");
    return fine;
}

static gboolean
print_json(const VmfInspection *inspection, const VmfInspectParts *parts)
{
    gboolean found;
    g_autofree char *text = vmf_inspect_to_json(inspection, parts, &found);

    puts(text);
    return found;
}

static int
inspect(const char *path, gboolean json, const VmfInspectParts *parts, GError **error)
{
    VmfSource *source = vmf_source_open(path, error);
    g_autoptr(VmfInspection) inspection = source ? vmf_inspection_new(source, error) : NULL;
    gboolean fine, found;

    if (!inspection)
        return VMF_EXIT_FAILED;
    fine = run(inspection, error);
    /* What was found before an error is worth showing. */
    found = json ? print_json(inspection, parts) : vmf_inspect_print_text(inspection, parts);
    if (fine && !found)
        g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                    "no device \"%s\" with values; --sections lists what there is", parts->device);
    return fine && found ? VMF_EXIT_OK : VMF_EXIT_FAILED;
}

int
vmf_ctl_inspect(int argc, char **argv)
{
    VmfInspectParts parts = {0};
    g_autofree char *device = NULL;
    gboolean json = FALSE;
    const GOptionEntry entries[] = {
        {"json", 'j', 0, G_OPTION_ARG_NONE, &json, "Print JSON, with all values", NULL},
        {"device", 0, 0, G_OPTION_ARG_STRING, &device, "Print the values of one device", "NAME"},
        {"ram", 0, 0, G_OPTION_ARG_NONE, &parts.ram, "Print RAM blocks and pages by kind", NULL},
        {"sections", 0, 0, G_OPTION_ARG_NONE, &parts.sections, "Print every section", NULL},
        G_OPTION_ENTRY_NULL};
    g_autoptr(GOptionContext) context = g_option_context_new("FILE|-");
    g_autoptr(GError) error = NULL;
    int status;

    g_option_context_set_summary(
        context,
        "Shows what is in a migration stream of QEMU, in one of its further connections, or\n"
        "in a save image of libvirt: a file, or - for standard input.");
    g_option_context_set_description(
        context,
        "Exit status: 0 it was read to its end; 1 it cannot be, and what was found before is\n"
        "shown; 2 wrong usage. vmferry(1) describes the JSON.\n");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fprintf(stderr, "vmferry inspect: %s; see vmferry inspect --help\n", error->message);
        return VMF_EXIT_USAGE;
    }
    if (argc != 2) {
        fprintf(stderr, "vmferry inspect: expected FILE, or - for standard input; see vmferry "
                        "inspect --help\n");
        return VMF_EXIT_USAGE;
    }
    parts.device = device;
    status = inspect(argv[1], json, &parts, &error);
    if (error && g_str_has_prefix(error->message, argv[1]))
        fprintf(stderr, "vmferry inspect: %s\n", error->message);
    else if (error)
        fprintf(stderr, "vmferry inspect: %s: %s\n", argv[1], error->message);
    return status;
}
