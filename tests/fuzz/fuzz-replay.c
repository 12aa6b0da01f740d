/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs a fuzz target over every file of the given folders: seeds, and inputs that once failed. */
#include "fuzz.h"

#include <stdio.h>

static guint
replay_folder(const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GDir) folder = g_dir_open(path, 0, &error);
    const char *name;
    guint count = 0;

    if (!folder)
        g_error("%s", error->message);
    while ((name = g_dir_read_name(folder))) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        g_autofree char *bytes = NULL;
        gsize length;

        if (!g_file_get_contents(file, &bytes, &length, &error))
            g_error("%s", error->message);
        LLVMFuzzerTestOneInput((const uint8_t *)bytes, length);
        count++;
    }
    return count;
}

int
main(int argc, char **argv)
{
    guint count = 0;

    for (int i = 1; i < argc; i++)
        count += replay_folder(argv[i]);
    printf("%u inputs\n", count);
    return count > 0 ? 0 : 1;
}
