/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inspect/check.h"

#include "base/error.h"
#include "inspect/inspection.h"

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
read_stream(VmfInspection *inspection, GError **error)
{
    const VmfSurveyFacts *facts = vmf_survey_facts(inspection->survey);

    if (!vmf_inspection_run(inspection, NULL, NULL, error))
        return NULL;
    if (!facts->description) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED,
                    "the stream has no description of its device state (postcopy streams and "
                    "machine types up to 2.0 have none); use a dump of the source's QEMU");
        return NULL;
    }
    return vmf_vmstate_set_from_stream(facts->machine, facts->description);
}

VmfVmstateSet *
vmf_check_read(VmfSource *source, gboolean stream_allowed, GError **error)
{
    g_autoptr(VmfSource) dump = NULL;
    g_autoptr(VmfInspection) inspection = NULL;

    if (vmf_source_connection(source) != VMF_CONNECTION_MAIN) {
        dump = source;
        return read_dump(dump, error);
    }
    inspection = vmf_inspection_new(source, error);
    if (!inspection)
        return NULL;
    if (!stream_allowed) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                    "a stream tells what was saved, not what can be loaded; make a dump with "
                    "qemu-system-... -M TYPE -dump-vmstate FILE");
        return NULL;
    }
    return read_stream(inspection, error);
}

/* ---- the answer ---- */

/* The bus takes UTF-8; names from outside are whatever they are. */
static void
add_string(GVariantDict *dict, const char *name, const char *text)
{
    g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;

    if (valid)
        g_variant_dict_insert(dict, name, "s", valid);
}

static GVariant *
finding_to_variant(const VmfFinding *finding)
{
    GVariantDict dict;

    g_variant_dict_init(&dict, NULL);
    add_string(&dict, "compat", vmf_compat_name(finding->compat));
    g_variant_dict_insert(&dict, "if-sent", "b", finding->if_sent);
    add_string(&dict, "device", finding->device);
    add_string(&dict, "state", finding->state);
    add_string(&dict, "subsection", finding->subsection);
    add_string(&dict, "field", finding->field);
    add_string(&dict, "what", finding->what);
    return g_variant_dict_end(&dict);
}

/* Those of one badness; *left is what room there is, and is taken. */
static void
add_findings(GVariantBuilder *array, const VmfFindings *findings, VmfCompat compat, gsize *left,
             guint *omitted)
{
    for (guint i = 0; i < findings->findings->len; i++) {
        const VmfFinding *finding = findings->findings->pdata[i];
        g_autoptr(GVariant) value = NULL;
        gsize size;

        if (finding->compat != compat)
            continue;
        value = g_variant_ref_sink(finding_to_variant(finding));
        size = g_variant_get_size(value);
        if (size > *left) {
            (*omitted)++;
            continue;
        }
        *left -= size;
        g_variant_builder_add_value(array, value);
    }
}

GVariant *
vmf_check_to_variant(const VmfFindings *findings, const VmfVmstateSet *source,
                     const VmfVmstateSet *destination, gsize max)
{
    static const VmfCompat order[] = {VMF_COMPAT_FAILS, VMF_COMPAT_LOSES, VMF_COMPAT_UNKNOWN,
                                      VMF_COMPAT_FINE};
    GVariantBuilder array;
    GVariantDict dict;
    guint omitted = 0;

    g_variant_builder_init(&array, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < G_N_ELEMENTS(order); i++)
        add_findings(&array, findings, order[i], &max, &omitted);
    g_variant_dict_init(&dict, NULL);
    add_string(&dict, "verdict", vmf_compat_name(vmf_findings_verdict(findings)));
    add_string(&dict, "source-machine", source->machine);
    add_string(&dict, "destination-machine", destination->machine);
    g_variant_dict_insert(&dict, "compared", "u", findings->compared);
    g_variant_dict_insert_value(&dict, "findings", g_variant_builder_end(&array));
    g_variant_dict_insert(&dict, "omitted", "u", omitted);
    return g_variant_dict_end(&dict);
}
