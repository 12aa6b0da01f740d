/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Can this QEMU load that state? Reads both sides, of files, pipes or images, for
 * stream/compat.h, and makes the answer a value for the bus and for JSON.
 *
 * Blocking; one thread. Errors: those of inspect/inspection.h and stream/vmstate.h;
 * VMF_ERROR_NOT_SUPPORTED for a stream that does not describe its device state.
 */
#pragma once

#include "inspect/source.h"
#include "stream/compat.h"

/* A dump of QEMU's, or, for the source side only, a stream. Takes `source`. */
VmfVmstateSet *vmf_check_read(VmfSource *source, gboolean stream_allowed, GError **error);

/*
 * a{sv} as org.vmferry1.Manager.CheckState has it; floating. At most `max` bytes of findings, worst
 * first; "omitted" says how many had no room.
 */
GVariant *vmf_check_to_variant(const VmfFindings *findings, const VmfVmstateSet *source,
                               const VmfVmstateSet *destination, gsize max);
