/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `vmferry policy check FILE...`: are these policy files right, and what would they say of a guest?
 * Needs no daemon. `vmferry policy show GUEST` asks the daemon what holds. argv[0] is "policy".
 */
#pragma once

#include <gio/gio.h>

int vmf_ctl_policy(int argc, char **argv);

typedef struct {
    char *guest; /* a file with a domain's XML, for check; NULL: only whether the files are right */
    char *peer;
    gboolean incoming;
    gboolean json;
} VmfPolicyQuestion;

/* Exit status: VMF_EXIT_OK, or VMF_EXIT_FAILED after having said which file is wrong where. */
int vmf_policy_check(char **files, const VmfPolicyQuestion *question);

/* A policy as a{sv}: "name", "file", "problem" and "values", a list of (ss), for people or as JSON.
 */
void vmf_policy_print(GVariant *policy, gboolean json);
