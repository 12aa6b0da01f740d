/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "inspect-print.h"

#define PROGRESS_INTERVAL (G_USEC_PER_SEC / 10)

typedef struct {
    gint64 shown; /* when, monotonic */
    gboolean wanted;
} Progress;

static void
show_progress(Progress *progress, const VmfSource *source)
{
    uint64_t position = vmf_source_position(source);
    uint64_t size = vmf_source_size(source);
    g_autofree char *text = g_format_size_full(position, G_FORMAT_SIZE_IEC_UNITS);
    gint64 now = g_get_monotonic_time();

    if (!progress->wanted || now - progress->shown < PROGRESS_INTERVAL)
        return;
    progress->shown = now;
    if (size > 0)
        fprintf(stderr, "\r%3.0f %%  %s\033[K", 100.0 * (double)position / (double)size, text);
    else
        fprintf(stderr, "\r%s\033[K", text);
}

static void
clear_progress(const Progress *progress)
{
    if (progress->wanted && progress->shown > 0)
        fprintf(stderr, "\r\033[K");
}

static gboolean
survey_source(VmfSource *source, VmfSurvey *survey, GError **error)
{
    Progress progress = {.wanted = isatty(STDERR_FILENO)};
    const uint8_t *data = NULL;
    size_t length = 0;
    gboolean fine;

    progress.shown = progress.wanted ? g_get_monotonic_time() : 0;
    while ((fine = vmf_source_read(source, &data, &length, error)) && length > 0) {
        fine = vmf_survey_put(survey, data, length, error);
        if (!fine)
            break;
        show_progress(&progress, source);
    }
    clear_progress(&progress);
    return fine && vmf_survey_end(survey, error);
}

/* What cannot be read at all, by name. */
static gboolean
check_connection(const VmfSource *source, GError **error)
{
    switch (vmf_source_connection(source)) {
    case VMF_CONNECTION_MULTIFD:
        g_set_error(error, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED,
                    "this is a multifd channel, which has pages only; inspect the main connection");
        return FALSE;
    case VMF_CONNECTION_TLS:
        g_set_error(error, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED,
                    "the stream is encrypted with TLS and cannot be read");
        return FALSE;
    case VMF_CONNECTION_UNKNOWN:
    case VMF_CONNECTION_IMAGE:
        g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_STREAM,
                    "offset 0 (0x0): expected a migration stream (\"QEVM\") or a libvirt save "
                    "image");
        return FALSE;
    default:
        return TRUE;
    }
}

static int
inspect(const char *path, gboolean json, const VmfInspectParts *parts, GError **error)
{
    g_autoptr(VmfSource) source = vmf_source_open(path, error);
    g_autoptr(VmfSurvey) survey = NULL;
    gboolean fine, found;

    if (!source || !check_connection(source, error))
        return EXIT_FAILURE;
    survey = vmf_survey_new(vmf_source_connection(source));
    fine = survey_source(source, survey, error);
    /* What was found before an error is worth showing. */
    found = json
                ? vmf_inspect_print_json(vmf_survey_facts(survey), vmf_source_image(source), parts)
                : vmf_inspect_print_text(vmf_survey_facts(survey), vmf_source_image(source), parts);
    if (fine && !found)
        g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                    "no device \"%s\" with values; --sections lists what there is", parts->device);
    return fine && found ? EXIT_SUCCESS : EXIT_FAILURE;
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

    g_option_context_set_summary(context, "Shows what is in a migration stream of QEMU or in a "
                                          "save image of libvirt.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fprintf(stderr, "vmferry inspect: %s; see vmferry inspect --help\n", error->message);
        return 2;
    }
    if (argc != 2) {
        fprintf(stderr, "vmferry inspect: expected FILE, or - for standard input; see vmferry "
                        "inspect --help\n");
        return 2;
    }
    parts.device = device;
    status = inspect(argv[1], json, &parts, &error);
    if (error && g_str_has_prefix(error->message, argv[1]))
        fprintf(stderr, "vmferry inspect: %s\n", error->message);
    else if (error)
        fprintf(stderr, "vmferry inspect: %s: %s\n", argv[1], error->message);
    return status;
}
