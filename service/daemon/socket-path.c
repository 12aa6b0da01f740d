/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/socket-path.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

#define SUFFIX ".sock"
#define DIGEST_CHARS 18 /* ~~, which no encoding has, and 16 digits */
#define GUEST_MIN 40

static void
vmf_append_encoded(GString *path, const char *guest)
{
    for (const char *c = guest; *c; c++) {
        if (g_ascii_isalnum(*c) || *c == '_' || *c == '-' || (*c == '.' && c != guest))
            g_string_append_c(path, *c);
        else
            g_string_append_printf(path, "~%02X", (guchar)*c);
    }
}

char *
vmf_socket_path(const char *run_directory, const char *peer, const char *guest)
{
    g_autoptr(GString) path = g_string_new(NULL);

    g_string_printf(path, "%s/%s/", run_directory, peer);
    if (path->len + GUEST_MIN > VMF_SOCKET_PATH_MAX)
        return NULL;
    vmf_append_encoded(path, guest);
    if (path->len + strlen(SUFFIX) > VMF_SOCKET_PATH_MAX) {
        g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, guest, -1);

        g_string_truncate(path, VMF_SOCKET_PATH_MAX - strlen(SUFFIX) - DIGEST_CHARS);
        g_string_append_printf(path, "~~%.16s", digest);
    }
    g_string_append(path, SUFFIX);
    return g_string_free(g_steal_pointer(&path), FALSE);
}

/* No longer than `path`, so it fits as well. */
static char *
vmf_socket_path_with(const char *path, const char *suffix)
{
    return g_strdup_printf("%.*s%s", (int)(strlen(path) - strlen(SUFFIX)), path, suffix);
}

char *
vmf_socket_path_for_nbd(const char *path)
{
    return vmf_socket_path_with(path, ".nbd");
}

char *
vmf_socket_path_for_libvirt(const char *path)
{
    return vmf_socket_path_with(path, ".virt");
}

char *
vmf_pump_socket_path(const char *run_directory, const char *id)
{
    return g_build_filename(run_directory, "pumps", id, NULL);
}

gboolean
vmf_socket_folder_make(const char *run_directory, const char *host, guint uid, guint gid,
                       GError **error)
{
    g_autofree char *folder = g_build_filename(run_directory, host, NULL);

    if ((g_mkdir(folder, 0700) == 0 || errno == EEXIST) && chown(folder, uid, gid) == 0 &&
        g_chmod(folder, 0711) == 0)
        return TRUE;
    return vmf_error_set_errno(error, folder);
}
