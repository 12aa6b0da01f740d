/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inspect/inspection.h"

#include "base/error.h"

const char *
vmf_inspect_connection_name(VmfConnection connection)
{
    static const char *const names[] = {"unknown", "main", "recovery", "preempt",
                                        "multifd", "tls",  "image"};

    return names[connection];
}

const char *
vmf_inspect_extent_name(VmfExtent extent)
{
    static const char *const names[] = {"format", "described", "scanned", "opaque"};

    return names[extent];
}

/* What cannot be read at all, by name. */
static gboolean
check_connection(VmfConnection connection, GError **error)
{
    switch (connection) {
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

VmfInspection *
vmf_inspection_new(VmfSource *source, GError **error)
{
    g_autoptr(VmfInspection) inspection = g_new0(VmfInspection, 1);
    VmfConnection connection = vmf_source_connection(source);

    inspection->source = source;
    if (!check_connection(connection, error))
        return NULL;
    if (connection == VMF_CONNECTION_MULTIFD) {
        inspection->channel = vmf_channel_survey_new();
    } else {
        inspection->survey = vmf_survey_new(connection);
        if (vmf_source_can_fetch(source))
            vmf_survey_set_fetch(inspection->survey, vmf_source_fetch, source);
    }
    return g_steal_pointer(&inspection);
}

void
vmf_inspection_free(VmfInspection *inspection)
{
    if (!inspection)
        return;
    vmf_survey_free(inspection->survey);
    vmf_channel_survey_free(inspection->channel);
    vmf_source_close(inspection->source);
    g_free(inspection);
}

static gboolean
put(VmfInspection *inspection, const uint8_t *data, size_t length, GError **error)
{
    if (inspection->channel)
        return vmf_channel_survey_put(inspection->channel, data, length, error);
    return vmf_survey_put(inspection->survey, data, length, error);
}

static gboolean
read_all(VmfInspection *inspection, VmfInspectionProgress progress, gpointer user_data,
         GError **error)
{
    const uint8_t *data = NULL;
    size_t length = 0;

    for (;;) {
        if (!vmf_source_read(inspection->source, &data, &length, error))
            return FALSE;
        if (length == 0)
            break;
        if (!put(inspection, data, length, error))
            return FALSE;
        if (progress)
            progress(inspection->source, user_data);
    }
    return inspection->channel ? vmf_channel_survey_end(inspection->channel, error)
                               : vmf_survey_end(inspection->survey, error);
}

gboolean
vmf_inspection_run(VmfInspection *inspection, VmfInspectionProgress progress, gpointer user_data,
                   GError **error)
{
    const VmfImage *image = vmf_source_image(inspection->source);

    if (read_all(inspection, progress, user_data, error))
        return TRUE;
    if (image && image->partial)
        g_prefix_error(error, "libvirt did not finish this save image: ");
    return FALSE;
}
