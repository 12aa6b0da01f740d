/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What libvirt's own migration can do with an emulator of this host, without a pump: QEMU's XBZRLE,
 * and its parallel connections (multifd) with their compressions. Of those, QEMU must have been
 * built with one, and libvirt's migrate API must take it.
 *
 * Pure; plain data; any thread.
 */
#pragma once

#include "probe/emulator.h"

typedef enum {
    VMF_NATIVE_ZSTD = 1 << 0,
    VMF_NATIVE_ZLIB = 1 << 1,
} VmfNativeCompression;

typedef struct {
    gboolean xbzrle;
    gboolean multifd;
    guint compressions; /* VmfNativeCompression, of parallel connections */
} VmfNative;

/*
 * `migrate_parameters`: what libvirt takes (VmfHostFacts). An emulator that does not answer can do
 * nothing.
 */
void vmf_native_find(const VmfEmulator *emulator, const char *const *migrate_parameters,
                     VmfNative *ret);

/* Leaves what the other can, too. */
void vmf_native_narrow(VmfNative *self, const VmfNative *other);

/* Names of compressions, the one that is preferred first; the caller's. */
char **vmf_native_get_compressions(const VmfNative *self);

/* "with XBZRLE, or over parallel connections with zstd or zlib"; NULL: not at all. The caller's. */
char *vmf_native_format(const VmfNative *self);
