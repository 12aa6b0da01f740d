/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An inspection as JSON, as vmferry(1) describes it. Integers are JSON numbers; those of 2^63 and
 * more, which many readers of JSON cannot hold, are strings with 0x. Bytes are strings of
 * hexadecimal digits. Fields that have the same name are told apart by "#2", "#3", ...
 *
 * Pure; the text is the caller's.
 */
#pragma once

#include "inspect/inspection.h"

/* *ret_found FALSE: parts->device is not in the stream. */
char *vmf_inspect_to_json(const VmfInspection *inspection, const VmfInspectParts *parts,
                          gboolean *ret_found);
