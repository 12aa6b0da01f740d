/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/config.h"

#include <gio/gio.h>

#include "base/error.h"
#include "capture/rule.h"
#include "vmferry-config.h"

/* The keys of a file, with where their values go; the only place that names them. */
typedef enum {
    KEY_STRING,  /* not empty */
    KEY_PATH,    /* absolute */
    KEY_ADDRESS, /* IP */
    KEY_STRING_LAST = KEY_ADDRESS,
    KEY_LIST,
    KEY_BOOL,
    KEY_NUMBER
} VmfKeyType;

typedef struct {
    const char *group;
    const char *key;
    VmfKeyType type;
    void *value; /* char **, char ***, gboolean *, guint * */
    guint min;
    guint max;
} VmfKey;

/* A string of any kind; NULL and `error` when it cannot be meant. */
static char *
vmf_key_read_string(GKeyFile *file, const VmfKey *key, GError **error)
{
    g_autofree char *string = g_key_file_get_string(file, key->group, key->key, error);
    g_autoptr(GSocketAddress) address = NULL;
    const char *problem = NULL;

    if (!string)
        return NULL;
    if (key->type == KEY_ADDRESS)
        address = g_inet_socket_address_new_from_string(string, 0);
    if (!*string)
        problem = "is empty; leave the line out for the default";
    else if (key->type == KEY_PATH && !g_path_is_absolute(string))
        problem = "must be an absolute path";
    else if (key->type == KEY_ADDRESS && !address)
        problem = "is not an IP address";
    if (!problem)
        return g_steal_pointer(&string);
    g_set_error_literal(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION, problem);
    return NULL;
}

static gboolean
vmf_key_read(GKeyFile *file, const char *path, const VmfKey *key, GError **error)
{
    g_autoptr(GError) problem = NULL;

    if (!g_key_file_has_key(file, key->group, key->key, NULL))
        return TRUE;
    if (key->type <= KEY_STRING_LAST) {
        g_free(*(char **)key->value);
        *(char **)key->value = vmf_key_read_string(file, key, &problem);
    } else if (key->type == KEY_LIST) {
        g_strfreev(*(char ***)key->value);
        *(char ***)key->value =
            g_key_file_get_string_list(file, key->group, key->key, NULL, &problem);
    } else if (key->type == KEY_BOOL) {
        *(gboolean *)key->value = g_key_file_get_boolean(file, key->group, key->key, &problem);
    } else {
        guint64 number = g_key_file_get_uint64(file, key->group, key->key, &problem);

        if (!problem && (number < key->min || number > key->max))
            g_set_error(&problem, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION, "must be from %u to %u",
                        key->min, key->max);
        *(guint *)key->value = (guint)number;
    }
    if (!problem)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION, "%s: [%s] %s: %s", path, key->group,
                key->key, problem->message);
    return FALSE;
}

/* `name` NULL: any key of the group. */
static gboolean
vmf_key_is_known(const VmfKey *keys, gsize n, const char *group, const char *name)
{
    for (gsize i = 0; i < n; i++)
        if (g_str_equal(keys[i].group, group) && (!name || g_str_equal(keys[i].key, name)))
            return TRUE;
    return FALSE;
}

static gboolean
vmf_key_file_check_unknown(GKeyFile *file, const char *path, const VmfKey *keys, gsize n,
                           GError **error)
{
    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);

    for (char **group = groups; *group; group++) {
        g_auto(GStrv) names = g_key_file_get_keys(file, *group, NULL, NULL);

        if (!vmf_key_is_known(keys, n, *group, NULL)) {
            g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION,
                        "%s: [%s]: no such group; see vmferryd.conf(5)", path, *group);
            return FALSE;
        }
        for (char **name = names; name && *name; name++) {
            if (vmf_key_is_known(keys, n, *group, *name))
                continue;
            g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION,
                        "%s: [%s] %s: no such setting; see vmferryd.conf(5)", path, *group, *name);
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
vmf_key_file_load(const char *path, const VmfKey *keys, gsize n, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) problem = NULL;

    if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &problem)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION, "%s: %s", path,
                    problem->message);
        return FALSE;
    }
    if (!vmf_key_file_check_unknown(file, path, keys, n, error))
        return FALSE;
    for (gsize i = 0; i < n; i++)
        if (!vmf_key_read(file, path, &keys[i], error))
            return FALSE;
    return TRUE;
}

VmfConfig *
vmf_config_load(const char *path, GError **error)
{
    g_autoptr(VmfConfig) config = g_new0(VmfConfig, 1);
    guint port = VMF_DEFAULT_PORT;
    guint first = VMF_CAPTURE_PORT_FIRST;
    guint last = VMF_CAPTURE_PORT_LAST;
    const VmfKey keys[] = {
        {"Network", "Address", KEY_ADDRESS, &config->address, 0, 0},
        {"Network", "Port", KEY_NUMBER, &port, 1, 65535},
        {"Security", "TlsDirectory", KEY_PATH, &config->tls_directory, 0, 0},
        {"Security", "AllowUnencrypted", KEY_BOOL, &config->allow_unencrypted, 0, 0},
        {"Libvirt", "Uri", KEY_STRING, &config->libvirt_uri, 0, 0},
        {"Libvirt", "Socket", KEY_STRING, &config->libvirt_socket, 0, 0},
        {"Pump", "Path", KEY_PATH, &config->pump_path, 0, 0},
        {"Pump", "User", KEY_STRING, &config->pump_user, 0, 0},
        {"Pump", "Patience", KEY_NUMBER, &config->pump_patience, 0, 86400},
        {"Inspect", "Path", KEY_PATH, &config->inspect_path, 0, 0},
        {"Paths", "RunDirectory", KEY_PATH, &config->run_directory, 0, 0},
        {"Ways", "Sockets", KEY_BOOL, &config->sockets, 0, 0},
        {"Ways", "Capture", KEY_BOOL, &config->capture, 0, 0},
        {"Ways", "CapturePortFirst", KEY_NUMBER, &first, 1, 65535},
        {"Ways", "CapturePortLast", KEY_NUMBER, &last, 1, 65535},
        {"Hook", "FailClosed", KEY_BOOL, &config->fail_closed, 0, 0},
        {"Hook", "RequireVmferry", KEY_BOOL, &config->require_vmferry, 0, 0},
        {"Hook", "CheckGuests", KEY_BOOL, &config->check_guests, 0, 0},
        {"Hook", "MemoryReserve", KEY_NUMBER, &config->memory_reserve, 0, 1 << 20},
        {"Paths", "CacheDirectory", KEY_PATH, &config->cache_directory, 0, 0},
        {"Limits", "Migrations", KEY_NUMBER, &config->max_migrations, 1, 64},
        {"Limits", "Connections", KEY_NUMBER, &config->max_connections, 1, 4096},
        {"Limits", "Inspections", KEY_NUMBER, &config->max_inspections, 1, 64},
        {"Limits", "MemoryBudget", KEY_NUMBER, &config->memory_budget, 64, 1 << 24},
        {"Limits", "KeepFinished", KEY_NUMBER, &config->keep_finished, 1, 86400},
    };

    config->tls_directory = g_strdup("/etc/pki/vmferry");
    config->libvirt_uri = g_strdup("qemu:///system");
    config->libvirt_socket = g_strdup("/run/libvirt/libvirt-sock");
    config->pump_path = g_strdup(VMF_PUMP_PATH);
    config->pump_user = g_strdup("vmferry");
    config->pump_patience = 120;
    config->inspect_path = g_strdup(VMF_INSPECT_PATH);
    config->run_directory = g_strdup(VMF_RUNDIR);
    config->memory_reserve = 256;
    config->check_guests = TRUE;
    config->cache_directory = g_strdup(VMF_CACHEDIR);
    config->sockets = TRUE;
    config->max_migrations = 8;
    config->max_connections = 64;
    config->max_inspections = 4;
    config->keep_finished = 600;
    if (g_file_test(path, G_FILE_TEST_EXISTS) &&
        !vmf_key_file_load(path, keys, G_N_ELEMENTS(keys), error))
        return NULL;
    config->port = (guint16)port;
    config->capture_ports = (VmfPorts){(guint16)first, (guint16)last};
    return g_steal_pointer(&config);
}

void
vmf_config_free(VmfConfig *config)
{
    g_free(config->address);
    g_free(config->tls_directory);
    g_free(config->libvirt_uri);
    g_free(config->libvirt_socket);
    g_free(config->pump_path);
    g_free(config->pump_user);
    g_free(config->inspect_path);
    g_free(config->run_directory);
    g_free(config->cache_directory);
    g_free(config);
}

gboolean
vmf_peer_name_is_valid(const char *name)
{
    gsize length = strlen(name);

    if (length == 0 || length > 63 || !g_ascii_isalnum(name[0]))
        return FALSE;
    for (gsize i = 0; i < length; i++)
        if (!g_ascii_isalnum(name[i]) && name[i] != '-' && name[i] != '.')
            return FALSE;
    return !g_str_equal(name, "pumps"); /* the pumps' control sockets live beside the peers' */
}

static gboolean
vmf_peer_config_check(VmfPeerConfig *peer, const char *path, GError **error)
{
    const char *problem = NULL;

    if (!peer->name || !vmf_peer_name_is_valid(peer->name))
        problem = "[Peer] Name: must be the DNS name in the peer's certificate";
    for (char **address = peer->addresses; !problem && address && *address; address++)
        if (**address == '\0')
            problem = "[Peer] Addresses: holds an empty address";
    if (problem) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION, "%s: %s", path, problem);
        return FALSE;
    }
    if (!peer->addresses || !peer->addresses[0]) {
        g_strfreev(peer->addresses);
        peer->addresses = g_strsplit(peer->name, ";", 0);
    }
    if (!peer->libvirt_uri)
        peer->libvirt_uri = g_strdup_printf("qemu+tls://%s/system", peer->name);
    return TRUE;
}

static VmfPeerConfig *
vmf_peer_config_load(const char *path, GError **error)
{
    g_autoptr(VmfPeerConfig) peer = g_new0(VmfPeerConfig, 1);
    const VmfKey keys[] = {
        {"Peer", "Name", KEY_STRING, &peer->name, 0, 0},
        {"Peer", "Addresses", KEY_LIST, &peer->addresses, 0, 0},
        {"Peer", "LibvirtUri", KEY_STRING, &peer->libvirt_uri, 0, 0},
        {"Peer", "MaySend", KEY_BOOL, &peer->may_send, 0, 0},
        {"Peer", "MayReceive", KEY_BOOL, &peer->may_receive, 0, 0},
        {"Peer", "MayUseLibvirt", KEY_BOOL, &peer->may_use_libvirt, 0, 0},
        {"Peer", "Migrations", KEY_NUMBER, &peer->max_migrations, 1, 64},
    };

    peer->may_send = peer->may_receive = TRUE;
    peer->max_migrations = 64;
    if (!vmf_key_file_load(path, keys, G_N_ELEMENTS(keys), error))
        return NULL;
    if (peer->name) /* DNS does not care, and who compares need not */
        for (char *c = peer->name; *c; c++)
            *c = g_ascii_tolower(*c);
    if (!vmf_peer_config_check(peer, path, error))
        return NULL;
    return g_steal_pointer(&peer);
}

void
vmf_peer_config_free(VmfPeerConfig *peer)
{
    g_free(peer->name);
    g_strfreev(peer->addresses);
    g_free(peer->libvirt_uri);
    g_free(peer);
}

static gint
vmf_compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static GPtrArray *
vmf_list_conf_files(const char *directory)
{
    GPtrArray *files = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);

    for (const char *name; dir && (name = g_dir_read_name(dir));)
        if (g_str_has_suffix(name, ".conf") && name[0] != '.')
            g_ptr_array_add(files, g_build_filename(directory, name, NULL));
    g_ptr_array_sort(files, vmf_compare_names);
    return files;
}

GPtrArray *
vmf_peer_configs_load(const char *directory, GError **error)
{
    g_autoptr(GPtrArray) files = vmf_list_conf_files(directory);
    g_autoptr(GPtrArray) peers =
        g_ptr_array_new_with_free_func((GDestroyNotify)vmf_peer_config_free);

    for (guint i = 0; i < files->len; i++) {
        VmfPeerConfig *peer = vmf_peer_config_load(files->pdata[i], error);

        if (!peer)
            return NULL;
        for (guint j = 0; j < peers->len; j++) {
            if (!g_str_equal(((VmfPeerConfig *)peers->pdata[j])->name, peer->name))
                continue;
            g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION,
                        "%s: [Peer] Name: %s is in another file already", (char *)files->pdata[i],
                        peer->name);
            vmf_peer_config_free(peer);
            return NULL;
        }
        g_ptr_array_add(peers, peer);
    }
    return g_steal_pointer(&peers);
}
