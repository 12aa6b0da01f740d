/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/listeners.h"

#include <stdio.h>
#include <string.h>

#define VMF_QEMU_PIDS "/run/libvirt/qemu" /* GUEST.pid, of libvirt's QEMU driver */

static void
vmf_listener_free(gpointer data)
{
    VmfListener *listener = data;

    g_object_unref(listener->address);
    g_free(listener);
}

GPtrArray *
vmf_listeners_new(void)
{
    return g_ptr_array_new_with_free_func(vmf_listener_free);
}

/* 8 or 32 hex digits: words of four bytes, each in the host's order. NULL: neither. */
static GInetAddress *
vmf_listener_parse_address(const char *text)
{
    gsize digits = strlen(text);
    guint32 words[4] = {0};

    if (digits != 8 && digits != 32)
        return NULL;
    for (gsize i = 0; i < digits / 8; i++)
        if (sscanf(text + i * 8, "%8x", &words[i]) != 1)
            return NULL;
    return g_inet_address_new_from_bytes((const guint8 *)words,
                                         digits == 8 ? G_SOCKET_FAMILY_IPV4 : G_SOCKET_FAMILY_IPV6);
}

void
vmf_listeners_parse(GPtrArray *listeners, const char *proc_net_tcp, VmfTcpState wanted)
{
    g_auto(GStrv) lines = g_strsplit(proc_net_tcp, "\n", -1);

    for (char **line = lines; *line; line++) {
        char address[33];
        guint port = 0, state = 0;
        unsigned long long inode = 0;
        GInetAddress *parsed;
        VmfListener *listener;

        /* sl local:port remote:port st tx:rx tr:when retrnsmt uid timeout inode */
        if (sscanf(*line, " %*u: %32[0-9A-F]:%x %*[0-9A-F]:%*x %x %*x:%*x %*x:%*x %*x %*u %*u %llu",
                   address, &port, &state, &inode) != 4 ||
            state != wanted || !(parsed = vmf_listener_parse_address(address)))
            continue;
        listener = g_new0(VmfListener, 1);
        listener->address = parsed;
        listener->port = (guint16)port;
        listener->inode = inode;
        g_ptr_array_add(listeners, listener);
    }
}

static GPtrArray *
vmf_listeners_read(VmfTcpState state)
{
    static const char *const files[] = {"/proc/net/tcp", "/proc/net/tcp6"};
    GPtrArray *listeners = vmf_listeners_new();

    for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *text = NULL;

        if (g_file_get_contents(files[i], &text, NULL, NULL))
            vmf_listeners_parse(listeners, text, state);
    }
    return listeners;
}

/* The inodes of the sockets that the guest's QEMU holds. */
static GHashTable *
vmf_guest_read_sockets(const char *guest)
{
    GHashTable *inodes = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    g_autofree char *file = g_strdup_printf(VMF_QEMU_PIDS "/%s.pid", guest);
    g_autofree char *pid = NULL;
    g_autofree char *folder = NULL;
    g_autoptr(GDir) descriptors = NULL;

    if (strchr(guest, '/') || !g_file_get_contents(file, &pid, NULL, NULL))
        return inodes;
    folder = g_strdup_printf("/proc/%" G_GINT64_FORMAT "/fd", g_ascii_strtoll(pid, NULL, 10));
    descriptors = g_dir_open(folder, 0, NULL);
    for (const char *name; descriptors && (name = g_dir_read_name(descriptors));) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_autofree char *target = g_file_read_link(path, NULL);
        guint64 inode;

        if (target && sscanf(target, "socket:[%" G_GUINT64_FORMAT "]", &inode) == 1)
            g_hash_table_add(inodes, g_memdup2(&inode, sizeof inode));
    }
    return inodes;
}

static int
vmf_listener_compare(gconstpointer a, gconstpointer b)
{
    const VmfListener *first = *(VmfListener *const *)a;
    const VmfListener *second = *(VmfListener *const *)b;

    return first->port - second->port;
}

/* Those of the guest's QEMU in a range, the lowest port first; the listeners are those of `all`. */
static GPtrArray *
vmf_listeners_of_guest(GPtrArray *all, const char *guest, const VmfPorts *range)
{
    GPtrArray *found = g_ptr_array_new();
    g_autoptr(GHashTable) sockets = vmf_guest_read_sockets(guest);

    for (guint i = 0; i < all->len; i++) {
        const VmfListener *listener = g_ptr_array_index(all, i);

        if (listener->port >= range->first && listener->port <= range->last &&
            g_hash_table_contains(sockets, &listener->inode))
            g_ptr_array_add(found, (gpointer)listener);
    }
    g_ptr_array_sort(found, vmf_listener_compare);
    return found;
}

/* Names of the guests that run, as libvirt has them; the caller's. */
static GStrv
vmf_guests_read(void)
{
    g_autoptr(GStrvBuilder) names = g_strv_builder_new();
    g_autoptr(GDir) folder = g_dir_open(VMF_QEMU_PIDS, 0, NULL);

    for (const char *file; folder && (file = g_dir_read_name(folder));) {
        g_autofree char *name = g_strndup(file, strlen(file) - MIN(strlen(file), strlen(".pid")));

        if (g_str_has_suffix(file, ".pid"))
            g_strv_builder_add(names, name);
    }
    return g_strv_builder_end(names);
}

char *
vmf_listener_find_guest(guint16 port, const VmfPorts *range, gboolean *ret_disks)
{
    g_autoptr(GPtrArray) all = vmf_listeners_read(VMF_TCP_LISTENS);
    g_auto(GStrv) guests = vmf_guests_read();

    for (char **guest = guests; *guest; guest++) {
        g_autoptr(GPtrArray) found = vmf_listeners_of_guest(all, *guest, range);

        for (guint i = 0; i < found->len; i++) {
            if (((const VmfListener *)g_ptr_array_index(found, i))->port != port)
                continue;
            *ret_disks = i > 0;
            return g_strdup(*guest);
        }
    }
    return NULL;
}

char *
vmf_connection_find_guest(GSocketAddress *end)
{
    GInetSocketAddress *at = G_INET_SOCKET_ADDRESS(end);
    g_autoptr(GPtrArray) all = vmf_listeners_read(VMF_TCP_CONNECTED);
    g_auto(GStrv) guests = vmf_guests_read();
    const VmfListener *found = NULL;

    for (guint i = 0; i < all->len && !found; i++) {
        const VmfListener *socket = g_ptr_array_index(all, i);

        if (socket->port == g_inet_socket_address_get_port(at) &&
            g_inet_address_equal(socket->address, g_inet_socket_address_get_address(at)))
            found = socket;
    }
    for (char **guest = guests; found && *guest; guest++) {
        g_autoptr(GHashTable) sockets = vmf_guest_read_sockets(*guest);

        if (g_hash_table_contains(sockets, &found->inode))
            return g_strdup(*guest);
    }
    return NULL;
}

/* What listens on every address is dialled on the loopback. */
static GSocketAddress *
vmf_listener_dial_address(const VmfListener *listener)
{
    g_autoptr(GInetAddress) loopback =
        g_inet_address_new_loopback(g_inet_address_get_family(listener->address));

    return g_inet_socket_address_new(
        g_inet_address_get_is_any(listener->address) ? loopback : listener->address,
        listener->port);
}

GSocketAddress *
vmf_listener_find_address(const char *guest, gboolean disks, const VmfPorts *range)
{
    g_autoptr(GPtrArray) all = vmf_listeners_read(VMF_TCP_LISTENS);
    g_autoptr(GPtrArray) found = vmf_listeners_of_guest(all, guest, range);
    guint i = disks ? 1 : 0;

    return i < found->len ? vmf_listener_dial_address(g_ptr_array_index(found, i)) : NULL;
}
