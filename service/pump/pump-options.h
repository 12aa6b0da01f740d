/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The options of Start (data/org.vmferry1.Pump.xml). Plain data; pure. */
#pragma once

#include "pump/stages.h"

typedef struct {
    VmfStagesSetup stages;
    VmfStagesSettings settings;
    VmfLoadable *loadable; /* that of the stages; NULL: none */
    guint patience;        /* ms that a link which broke is waited for; 0: not at all */
    guint64 kept;          /* bytes that are kept for sending again; 0: the usual */
    gboolean checksums;    /* of frames that are not encrypted */
} VmfPumpOptions;

/* `dict`: a{sv}, or NULL for none; vmf_loadable_free() what is in it. Fails with
 * VMF_ERROR_INVALID_ARGUMENT: type or range. */
gboolean vmf_pump_options_parse(GVariant *dict, VmfPumpOptions *ret, GError **error);
