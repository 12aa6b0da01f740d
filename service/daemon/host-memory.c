/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/host-memory.h"

#include <string.h>

#define VMF_PRESSURE 10.0 /* percent of the last 10 s */

/* The number after `key` in a file of /proc, or 0. */
static double
vmf_proc_number(const char *path, const char *key)
{
    g_autofree char *text = NULL;
    const char *at;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return 0; /* PSI may be switched off */
    at = strstr(text, key);
    return at ? g_ascii_strtod(at + strlen(key), NULL) : 0;
}

void
vmf_host_memory_read(VmfHostMemory *memory)
{
    memory->free = (guint64)vmf_proc_number("/proc/meminfo", "MemAvailable:") * 1024;
    memory->pressure = vmf_proc_number("/proc/pressure/memory", "some avg10=") >= VMF_PRESSURE;
}

guint64
vmf_host_memory_total(void)
{
    return (guint64)vmf_proc_number("/proc/meminfo", "MemTotal:") * 1024;
}
