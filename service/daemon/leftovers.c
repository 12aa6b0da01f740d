/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/leftovers.h"

#include <glib/gstdio.h>
#include <sys/stat.h>

#include "base/log.h"

/* __SO_ACCEPTCON in the column of flags: unix(7) does not say so, the kernel's net/unix does. */
#define VMF_UNIX_LISTENS 0x10000

/* Num RefCount Protocol Flags Type St Inode Path; the path may hold blanks. */
GHashTable *
vmf_leftovers_parse_listening(const char *proc_net_unix)
{
    GHashTable *paths = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_auto(GStrv) lines = g_strsplit(proc_net_unix, "\n", -1);

    for (char **line = lines; *line; line++) {
        guint flags = 0;
        int path = 0;

        if (sscanf(*line, "%*s %*x %*x %x %*x %*x %*u %n", &flags, &path) == 1 && path > 0 &&
            flags & VMF_UNIX_LISTENS)
            g_hash_table_add(paths, g_strdup(*line + path));
    }
    return paths;
}

static gboolean
vmf_path_is_socket(const char *path)
{
    GStatBuf info;

    return g_lstat(path, &info) == 0 && S_ISSOCK(info.st_mode);
}

static void
vmf_leftovers_remove_in(const char *directory, GHashTable *listening)
{
    g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);

    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *path = g_build_filename(directory, name, NULL);

        if (!vmf_path_is_socket(path))
            continue;
        if (g_hash_table_contains(listening, path))
            vmf_info(NULL, "%s is still in use by a migration of an earlier vmferryd", path);
        else if (g_unlink(path) == 0)
            vmf_info(NULL, "removed %s, which nobody listens on", path);
    }
}

void
vmf_leftovers_remove(const char *run_directory)
{
    g_autoptr(GDir) dir = g_dir_open(run_directory, 0, NULL);
    g_autofree char *list = NULL;
    g_autoptr(GHashTable) listening = NULL;
    g_autoptr(GError) error = NULL;

    if (!g_file_get_contents("/proc/net/unix", &list, NULL, &error)) {
        vmf_warn(NULL, "leftovers of an earlier vmferryd are not removed: %s", error->message);
        return;
    }
    listening = vmf_leftovers_parse_listening(list);
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *directory = g_build_filename(run_directory, name, NULL);

        if (g_file_test(directory, G_FILE_TEST_IS_DIR))
            vmf_leftovers_remove_in(directory, listening);
    }
}
