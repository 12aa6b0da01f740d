/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a pump counts, and how it is told. Threads: belongs to one. */
#pragma once

#include "link/mux.h"
#include "pump/stages.h"

typedef struct {
    guint64 from_sockets, to_sockets; /* bytes */
    gint64 first, last;               /* when the first and the last byte moved; monotonic µs */
} VmfStatistics;

void vmf_statistics_moved(VmfStatistics *statistics, gsize from_socket, gsize to_socket);

/* The a{sv} of org.vmferry1.Pump; floating. */
GVariant *vmf_statistics_variant(const VmfStatistics *statistics, const VmfMuxFigures *figures,
                                 VmfChunkPool *pool, guint channels,
                                 const VmfStagesFigures *stages);

/* One line for the log: bytes, seconds, rate, CPU. */
char *vmf_statistics_summary(const VmfStatistics *statistics, const VmfMuxFigures *figures);
