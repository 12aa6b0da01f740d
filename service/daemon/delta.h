/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The daemon's view of what a pump does to QEMU's stream: how it is set, and how its figures come
 * to the bus. The work itself is the pump's (pump/stages.h).
 *
 * Units: bytes, ms. Threads: plain data; the figures belong to the main loop.
 */
#pragma once

#include "vmferry-bus.h"

#define VMF_CACHE_DEFAULT G_MAXUINT64                  /* as much as is reasonable here */
#define VMF_CACHE_MOST (G_GUINT64_CONSTANT(512) << 20) /* of the default */
#define VMF_COMPRESSION_AUTO (-1)
#define VMF_COMPRESSION_MOST 19

typedef struct {
    gboolean on;     /* leave out unchanged pages, send deltas */
    guint64 cache;   /* memory for old contents */
    int compression; /* zstd's level; 0: none; VMF_COMPRESSION_AUTO: as it pays */
    guint expected;  /* with AUTO, the level to begin with, as it is expected to pay; 0: none */
} VmfDelta;

/* The guest's memory, VMF_CACHE_MOST or a quarter of what is free: the least of them. */
guint64 vmf_delta_default_cache(guint64 guest_memory);

/* FALSE and VMF_ERROR_INVALID_ARGUMENT. */
gboolean vmf_delta_check_compression(int level, GError **error);

/* What a pump counts (org.vmferry1.Pump, Statistics), to the properties of a Migration. */
void vmf_delta_show(VmfBusMigration *migration, GVariant *statistics);
