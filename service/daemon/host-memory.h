/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How this host is off for memory now. Reads two small files of /proc; any thread. */
#pragma once

#include <glib.h>

typedef struct {
    guint64 free;      /* bytes that can be had without swapping; 0: not known */
    gboolean pressure; /* processes waited for memory in a tenth of the last 10 s (PSI) */
} VmfHostMemory;

void vmf_host_memory_read(VmfHostMemory *memory);

/* Bytes that it has in all; 0: not known. */
guint64 vmf_host_memory_total(void);
