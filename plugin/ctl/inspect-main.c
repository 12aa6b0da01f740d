/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `inspect` and `check` alone, until the vmferry command takes them in; also for tests. */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "inspect.h"

int
main(int argc, char **argv)
{
    setlocale(LC_ALL, "");
    if (argc > 1 && strcmp(argv[1], "inspect") == 0)
        return vmf_ctl_inspect(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "check") == 0)
        return vmf_ctl_check(argc - 1, argv + 1);
    fprintf(stderr, "usage: %s inspect|check ...\n", argv[0]);
    return 2;
}
