/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process that need not be a child of ours, told apart from others that had or will have its
 * number by when it began. Plain data; any thread. Short reads of /proc.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

typedef struct {
    gint32 pid;      /* 0: none */
    guint64 started; /* clock ticks since the host was booted, as proc(5) has it */
} VmfProcessId;

/* FALSE: there is no such process, or it is a zombie. */
gboolean vmf_process_id_get(pid_t pid, VmfProcessId *ret);

/* Whether just this process is still there, and no zombie. */
gboolean vmf_process_id_lives(const VmfProcessId *id);

/* Kills it (SIGKILL), and never another one that has its number by now. */
void vmf_process_id_kill(const VmfProcessId *id);
