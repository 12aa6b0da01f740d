/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `vmferry check GUEST HOST`: asks vmferryd for Manager.Check and shows what was found. Exit
 * status: 0 nothing speaks against it, 1 it cannot move, 2 that could not be found out (or wrong
 * usage), 3 it can but may fail or lose something.
 */
#pragma once

#include <glib.h>

typedef struct {
    char *dname;
    char *xml; /* a file's name */
    gboolean tls;
    gboolean postcopy;
    char **force;
    gboolean json;
    gboolean verbose;
} VmfGuestCheck;

int vmf_ctl_check_guest(const char *guest, const char *host, const VmfGuestCheck *check);
