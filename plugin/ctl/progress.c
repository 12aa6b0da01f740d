/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define VMF_PLAIN_INTERVAL (5 * G_USEC_PER_SEC)
#define VMF_NAME_SHORTEST 8 /* characters of the guest's name that a narrow terminal shows */

struct VmfProgress {
    VmfBusMigration *migration;
    gboolean terminal;
    gboolean drawn;
    /* elsewhere than on a terminal: what the latest line said */
    char *state;
    guint iteration;
    gint64 written;
};

VmfProgress *
vmf_progress_new(VmfBusMigration *migration)
{
    VmfProgress *self = g_new0(VmfProgress, 1);

    self->migration = g_object_ref(migration);
    self->terminal = isatty(STDERR_FILENO) && g_strcmp0(g_getenv("TERM"), "dumb") != 0;
    return self;
}

/* "left 0:12", or that it cannot be known; the state when it is not running. */
static char *
vmf_progress_format_left(VmfBusMigration *migration, gint64 now)
{
    guint64 end = vmf_bus_migration_get_expected_end(migration);
    g_autofree char *left = NULL;

    if (g_strcmp0(vmf_bus_migration_get_state(migration), "running") != 0)
        return g_strdup(vmf_bus_migration_get_state(migration));
    if (end <= (guint64)now)
        return g_strdup("time left unknown");
    left = vmf_ctl_format_seconds((double)(end - (guint64)now) / G_USEC_PER_SEC);
    return g_strdup_printf("left %s", left);
}

/* With what matters most first, as a narrow terminal cuts off the rest. */
static char *
vmf_progress_format_figures(VmfBusMigration *migration, gint64 now, gboolean brief)
{
    g_autofree char *left = vmf_progress_format_left(migration, now);
    g_autofree char *rate = vmf_ctl_format_bytes(vmf_bus_migration_get_link_rate(migration));
    g_autofree char *qemu = vmf_ctl_format_bytes(vmf_bus_migration_get_bytes_from_qemu(migration));
    g_autofree char *wire = vmf_ctl_format_bytes(vmf_bus_migration_get_bytes_on_wire(migration));
    int percent = (int)(vmf_bus_migration_get_progress(migration) * 100);
    guint iteration = vmf_bus_migration_get_iteration(migration);

    return brief ? g_strdup_printf("%3d %%  %s  %s/s  %s QEMU  %s wire  iter %u", percent, left,
                                   rate, qemu, wire, iteration)
                 : g_strdup_printf("%3d %%  %s  %s/s  %s from QEMU  %s on the wire  iteration %u",
                                   percent, left, rate, qemu, wire, iteration);
}

/* As much of `name` as there is room for, but not less than a few characters. */
static char *
vmf_progress_format_name(const char *name, glong room)
{
    glong length = g_utf8_strlen(name, -1);
    g_autofree char *start = NULL;

    room = MAX(room, VMF_NAME_SHORTEST);
    if (length <= room)
        return g_strdup(name);
    start = g_utf8_substring(name, 0, room - (glong)strlen("..."));
    return g_strconcat(start, "...", NULL);
}

char *
vmf_progress_format(VmfBusMigration *migration, gint64 now, int width)
{
    const char *domain = vmf_bus_migration_get_domain(migration);
    g_autofree char *figures = vmf_progress_format_figures(migration, now, FALSE);
    g_autofree char *line =
        g_strdup_printf("%s -> %s  %s", domain, vmf_bus_migration_get_peer(migration), figures);
    g_autofree char *brief = NULL;
    g_autofree char *name = NULL;

    if (g_utf8_strlen(line, -1) <= width)
        return g_steal_pointer(&line);
    brief = vmf_progress_format_figures(migration, now, TRUE);
    name = vmf_progress_format_name(domain, width - g_utf8_strlen(brief, -1) - 2);
    g_free(line);
    line = g_strdup_printf("%s  %s", name, brief);
    return g_utf8_substring(line, 0, MIN(g_utf8_strlen(line, -1), width));
}

static int
vmf_terminal_width(void)
{
    struct winsize size = {0};

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1 : 79;
}

static gboolean
vmf_progress_is_news(VmfProgress *self, gint64 now)
{
    const char *state = vmf_bus_migration_get_state(self->migration);
    guint iteration = vmf_bus_migration_get_iteration(self->migration);

    if (g_strcmp0(state, self->state) == 0 && iteration == self->iteration &&
        now - self->written < VMF_PLAIN_INTERVAL)
        return FALSE;
    g_free(self->state);
    self->state = g_strdup(state);
    self->iteration = iteration;
    self->written = now;
    return TRUE;
}

void
vmf_progress_update(VmfProgress *self)
{
    gint64 now = g_get_real_time();
    g_autofree char *line =
        vmf_progress_format(self->migration, now, self->terminal ? vmf_terminal_width() : 1000);

    if (self->terminal) {
        fprintf(stderr, "\r\033[K%s", line);
        self->drawn = TRUE;
    } else if (vmf_progress_is_news(self, now)) {
        fprintf(stderr, "%s\n", line);
    }
    fflush(stderr);
}

void
vmf_progress_clear(VmfProgress *self)
{
    if (self->drawn)
        fputs("\r\033[K", stderr);
    self->drawn = FALSE;
}

void
vmf_progress_free(VmfProgress *self)
{
    vmf_progress_clear(self);
    g_object_unref(self->migration);
    g_free(self->state);
    g_free(self);
}
