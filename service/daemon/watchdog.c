/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/watchdog.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

struct VmfWatchdog {
    GSource source;
    gint64 limit;  /* µs */
    int schedule;  /* /proc/thread-self/schedstat */
    gint64 turned; /* end of the latest poll, monotonic µs; 0: before the first */
    gint64 waited; /* for a processor until then, µs */
    guint held_up;
    gint64 longest; /* µs */
};

/* µs that this thread was ready to run and did not; 0 if the kernel does not count that. */
static gint64
vmf_watchdog_get_waited(VmfWatchdog *self)
{
    char text[96];
    char *rest = NULL;
    gssize n = pread(self->schedule, text, sizeof text - 1, 0);

    if (n <= 0)
        return 0;
    text[n] = '\0';
    (void)strtoull(text, &rest, 10); /* time on a processor */
    return (gint64)(strtoull(rest, NULL, 10) / 1000);
}

/* Before each poll, and, having the highest priority, before all other sources. */
static gboolean
vmf_watchdog_prepare(GSource *source, gint *timeout)
{
    VmfWatchdog *self = (VmfWatchdog *)source;
    gint64 busy = self->turned ? g_get_monotonic_time() - self->turned : 0;

    *timeout = -1;
    if (busy > self->limit)
        busy -= vmf_watchdog_get_waited(self) - self->waited;
    if (busy <= self->limit)
        return FALSE;
    self->held_up++;
    self->longest = MAX(self->longest, busy);
    vmf_warn(NULL, "the main loop was held up for %.1f ms", (double)busy / 1000);
    return FALSE;
}

static gboolean
vmf_watchdog_check(GSource *source)
{
    VmfWatchdog *self = (VmfWatchdog *)source;

    self->turned = g_get_monotonic_time();
    self->waited = vmf_watchdog_get_waited(self);
    return FALSE;
}

static gboolean
vmf_watchdog_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    return G_SOURCE_CONTINUE;
}

static void
vmf_watchdog_finalize(GSource *source)
{
    VmfWatchdog *self = (VmfWatchdog *)source;

    if (self->schedule >= 0)
        close(self->schedule);
}

static GSourceFuncs vmf_watchdog_functions = {
    .prepare = vmf_watchdog_prepare,
    .check = vmf_watchdog_check,
    .dispatch = vmf_watchdog_dispatch,
    .finalize = vmf_watchdog_finalize,
};

VmfWatchdog *
vmf_watchdog_start(guint limit)
{
    GSource *source = g_source_new(&vmf_watchdog_functions, sizeof(VmfWatchdog));
    VmfWatchdog *self = (VmfWatchdog *)source;

    self->limit = (gint64)limit * 1000;
    self->schedule = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    g_source_set_priority(source, G_MININT);
    g_source_attach(source, NULL);
    return self;
}

guint
vmf_watchdog_stop(VmfWatchdog *self)
{
    guint held_up = self->held_up;

    vmf_info(NULL, "the main loop was held up %u times, for %.1f ms at most", held_up,
             (double)self->longest / 1000);
    g_source_destroy(&self->source);
    g_source_unref(&self->source);
    return held_up;
}
