/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `vmferry inspect` for people, on standard output. */
#pragma once

#include "inspect/inspection.h"

/* FALSE: parts->device is not in the stream. */
gboolean vmf_inspect_print_text(const VmfInspection *inspection, const VmfInspectParts *parts);
