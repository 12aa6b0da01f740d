/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/process-id.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

/* The name, in brackets, may hold anything; what comes behind it does not. */
static gboolean
vmf_stat_parse(const char *stat, char *ret_state, guint64 *ret_started)
{
    const char *behind = strrchr(stat, ')');
    unsigned long long started;

    if (!behind || sscanf(behind + 1,
                          " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
                          "%*d %*d %llu",
                          ret_state, &started) != 2)
        return FALSE;
    *ret_started = started;
    return TRUE;
}

gboolean
vmf_process_id_get(pid_t pid, VmfProcessId *ret)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
    g_autofree char *stat = NULL;
    guint64 started;
    char state;

    if (pid <= 0 || !g_file_get_contents(path, &stat, NULL, NULL) ||
        !vmf_stat_parse(stat, &state, &started) || state == 'Z' || state == 'X')
        return FALSE;
    *ret = (VmfProcessId){pid, started};
    return TRUE;
}

gboolean
vmf_process_id_lives(const VmfProcessId *id)
{
    VmfProcessId now;

    return vmf_process_id_get(id->pid, &now) && now.started == id->started;
}

void
vmf_process_id_kill(const VmfProcessId *id)
{
    int fd = id->pid > 0 ? pidfd_open(id->pid, 0) : -1;

    if (fd < 0)
        return;
    if (vmf_process_id_lives(id)) /* so the descriptor is of that one */
        (void)pidfd_send_signal(fd, SIGKILL, NULL, 0);
    close(fd);
}
