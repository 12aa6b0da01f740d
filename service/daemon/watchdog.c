/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/watchdog.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

struct VmfWatchdog {
    GPollFunc poll; /* the one that it stands in front of */
    gint64 limit;   /* µs */
    int schedule;   /* /proc/thread-self/schedstat */
    gint64 turned;  /* end of the latest poll, monotonic µs; 0: before the first */
    gint64 waited;  /* for a processor until then, µs */
    guint held_up;
    gint64 longest; /* µs */
};

/* A poll function has no data of its own, and no source is told of the end of every poll. */
static VmfWatchdog *vmf_watchdog;

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

static void
vmf_watchdog_note(VmfWatchdog *self)
{
    gint64 busy = self->turned ? g_get_monotonic_time() - self->turned : 0;

    if (busy > self->limit)
        busy -= vmf_watchdog_get_waited(self) - self->waited;
    if (busy <= self->limit)
        return;
    self->held_up++;
    self->longest = MAX(self->longest, busy);
    vmf_warn(NULL, "the main loop was held up for %.1f ms", (double)busy / 1000);
}

static gint
vmf_watchdog_poll(GPollFD *descriptors, guint n, gint timeout)
{
    VmfWatchdog *self = vmf_watchdog;
    gint ready;

    vmf_watchdog_note(self);
    ready = self->poll(descriptors, n, timeout);
    self->turned = g_get_monotonic_time();
    self->waited = vmf_watchdog_get_waited(self);
    return ready;
}

VmfWatchdog *
vmf_watchdog_start(guint limit)
{
    VmfWatchdog *self = g_new0(VmfWatchdog, 1);

    self->limit = (gint64)limit * 1000;
    self->schedule = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    self->poll = g_main_context_get_poll_func(NULL);
    vmf_watchdog = self;
    g_main_context_set_poll_func(NULL, vmf_watchdog_poll);
    return self;
}

guint
vmf_watchdog_stop(VmfWatchdog *self)
{
    guint held_up = self->held_up;

    vmf_info(NULL, "the main loop was held up %u times, for %.1f ms at most", held_up,
             (double)self->longest / 1000);
    g_main_context_set_poll_func(NULL, self->poll);
    vmf_watchdog = NULL;
    if (self->schedule >= 0)
        close(self->schedule);
    g_free(self);
    return held_up;
}
