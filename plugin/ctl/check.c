/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"

#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "inspect-source.h"
#include "stream/compat.h"
#include "stream/survey.h"

#define STATUS_LOADS 0
#define STATUS_FAILS 1
#define STATUS_UNKNOWN 2
#define STATUS_LOSES 3

/* All of a dump; streams are never this short of an end. */
static VmfVmstateSet *
read_dump(VmfSource *source, GError **error)
{
    g_autoptr(GByteArray) text = g_byte_array_new();
    const uint8_t *data = NULL;
    size_t length = 0;

    do {
        if (!vmf_source_read(source, &data, &length, error))
            return NULL;
        if (text->len + length > VMF_DUMP_MAX) {
            g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_STREAM,
                        "expected a dump of at most %u MiB, or a migration stream",
                        VMF_DUMP_MAX >> 20);
            return NULL;
        }
        g_byte_array_append(text, data, (guint)length);
    } while (length > 0);
    return vmf_vmstate_set_from_dump((const char *)text->data, text->len, error);
}

static VmfVmstateSet *
read_stream(VmfSource *source, GError **error)
{
    g_autoptr(VmfSurvey) survey = vmf_survey_new(vmf_source_connection(source));
    const VmfSurveyFacts *facts = vmf_survey_facts(survey);
    const uint8_t *data = NULL;
    size_t length = 0;

    for (;;) {
        if (!vmf_source_read(source, &data, &length, error))
            return NULL;
        if (length == 0)
            break;
        if (!vmf_survey_put(survey, data, length, error))
            return NULL;
    }
    if (!vmf_survey_end(survey, error))
        return NULL;
    if (!facts->description) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED,
                    "the stream has no description of its device state (postcopy streams and "
                    "machine types up to 2.0 have none); use a dump of the source's QEMU");
        return NULL;
    }
    return vmf_vmstate_set_from_stream(facts->machine, facts->description);
}

static VmfVmstateSet *
read_side(const char *path, gboolean stream_allowed, GError **error)
{
    g_autoptr(VmfSource) source = vmf_source_open(path, error);
    VmfVmstateSet *set;

    if (!source)
        return NULL;
    if (vmf_source_connection(source) != VMF_CONNECTION_MAIN) {
        set = read_dump(source, error);
    } else if (stream_allowed) {
        set = read_stream(source, error);
    } else {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                    "a stream tells what was saved, not what can be loaded; make a dump with "
                    "qemu-system-... -M TYPE -dump-vmstate FILE");
        set = NULL;
    }
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
add_string(JsonObject *object, const char *name, const char *text)
{
    if (text) {
        g_autofree char *valid = g_utf8_make_valid(text, -1);

        json_object_set_string_member(object, name, valid);
    }
}

static void
print_json(const VmfFindings *findings, const VmfVmstateSet *source,
           const VmfVmstateSet *destination)
{
    g_autoptr(JsonGenerator) generator = json_generator_new();
    g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), NULL);
    JsonObject *root = json_object_new();
    JsonArray *array = json_array_new();
    g_autofree char *text = NULL;

    json_node_take_object(node, root);
    for (guint i = 0; i < findings->findings->len; i++) {
        const VmfFinding *finding = findings->findings->pdata[i];
        JsonObject *object = json_object_new();

        add_string(object, "compat", vmf_compat_name(finding->compat));
        json_object_set_boolean_member(object, "if-sent", finding->if_sent);
        add_string(object, "device", finding->device);
        add_string(object, "state", finding->state);
        add_string(object, "subsection", finding->subsection);
        add_string(object, "field", finding->field);
        add_string(object, "what", finding->what);
        json_array_add_object_element(array, object);
    }
    add_string(root, "verdict", vmf_compat_name(vmf_findings_verdict(findings)));
    add_string(root, "source-machine", source->machine);
    add_string(root, "destination-machine", destination->machine);
    json_object_set_int_member(root, "compared", findings->compared);
    json_object_set_array_member(root, "findings", array);
    json_generator_set_root(generator, node);
    json_generator_set_pretty(generator, TRUE);
    text = json_generator_to_data(generator, NULL);
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

int
vmf_ctl_check(int argc, char **argv)
{
    g_autofree char *source = NULL;
    g_autofree char *destination = NULL;
    gboolean json = FALSE, verbose = FALSE;
    const GOptionEntry entries[] = {
        {"source", 0, 0, G_OPTION_ARG_FILENAME, &source,
         "What is to be loaded: -dump-vmstate of QEMU, a stream, or a save image", "FILE|-"},
        {"destination", 0, 0, G_OPTION_ARG_FILENAME, &destination,
         "-dump-vmstate of the QEMU that is to load it", "FILE"},
        {"json", 'j', 0, G_OPTION_ARG_NONE, &json, "Print JSON", NULL},
        {"verbose", 0, 0, G_OPTION_ARG_NONE, &verbose, "Print harmless differences too", NULL},
        G_OPTION_ENTRY_NULL};
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;
    int status;

    g_option_context_set_summary(context, "Says whether a QEMU can load the device state that "
                                          "another one saves, or that was saved.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fprintf(stderr, "vmferry check: %s; see vmferry check --help\n", error->message);
        return STATUS_UNKNOWN;
    }
    if (argc != 1 || !source || !destination) {
        fprintf(stderr, "vmferry check: expected --source FILE and --destination FILE; see vmferry "
                        "check --help\n");
        return STATUS_UNKNOWN;
    }
    status = check(source, destination, json, verbose, &error);
    if (error)
        fprintf(stderr, "vmferry check: %s\n", error->message);
    return status;
}
