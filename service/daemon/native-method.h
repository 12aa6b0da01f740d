/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How QEMU makes a stream smaller that no pump carries: chosen from what was asked for and what the
 * two hosts agreed on.
 *
 * Pure functions; any thread.
 */
#pragma once

#include "daemon/options.h"
#include "link/agreement.h"
#include "probe/native.h"

/* "auto", "none", "xbzrle", "zlib", "zstd", as QEMU and libvirt call them. */
const char *vmf_native_method_name(VmfNativeMethod method);
gboolean vmf_native_method_from_name(const char *name, VmfNativeMethod *ret);

typedef struct {
    const VmfOptions *options;
    const VmfNative *here;         /* what this host can, for this guest; NULL: not known */
    const VmfAgreement *agreement; /* NULL: the peer did not say what it can */
    const char *peer;
} VmfMethodFacts;

/*
 * What was asked for by name is done or refused; else it is the best that was agreed on. Where the
 * peer did not say anything, XBZRLE, which every QEMU loads, and what was asked for by name and is
 * possible here, are taken all the same. In `ret_reason`, the caller's, how it goes, and why.
 * Error: FEATURE_MISSING.
 */
gboolean vmf_native_method_choose(const VmfMethodFacts *facts, VmfNativeMethod *ret_method,
                                  char **ret_reason, GError **error);
