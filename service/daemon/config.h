/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the administrator says: vmferryd.conf and the files of peers.d, both key files
 * (vmferryd.conf(5)). A missing vmferryd.conf means defaults; a wrong one is an error that names
 * file, group and key. Unknown groups and keys are errors too: a misspelt limit must not pass.
 *
 * Ownership: the caller's, freed by the *_free functions. Not changed after loading, so any thread
 * may read.
 */
#pragma once

#include <glib.h>

#include "daemon/listeners.h"

#define VMF_DEFAULT_PORT 16530

/* As a peer's LibvirtUri: its libvirtd is reached through the migration's own data link. */
#define VMF_LIBVIRT_THROUGH_PUMP "pump"

typedef struct {
    char *address;              /* to listen on; NULL: every address of the host */
    guint16 port;               /* TCP */
    char *tls_directory;        /* cacert.pem, servercert.pem, serverkey.pem, ... */
    char *libvirt_uri;          /* of this host */
    char *libvirt_socket;       /* where its libvirtd listens */
    char *pump_path;            /* the vmferry-pump to start */
    char *pump_user;            /* the user it becomes; vmferry-inspect, too */
    guint pump_patience;        /* seconds that a data link which broke is waited for */
    char *inspect_path;         /* the vmferry-inspect to start */
    char *run_directory;        /* sockets */
    guint memory_reserve;       /* MiB that guests which arrive leave free */
    gboolean require_vmferry;   /* the hook lets guests in by vmferry migrate only */
    gboolean fail_closed;       /* the hook lets none in when we do not answer */
    gboolean check_guests;      /* the hook asks this host's emulator about guests that arrive */
    char *cache_directory;      /* what was found out about emulators */
    gboolean capture;           /* plain migrations to peers go through us */
    VmfPorts capture_ports;     /* that libvirt gives to migrations, on both hosts */
    gboolean sockets;           /* one stands open for each guest and peer */
    gboolean allow_unencrypted; /* data links without TLS, when a migration asks for it */
    guint max_migrations;       /* at once, both directions together */
    guint max_connections;      /* not yet authenticated, at once */
    guint max_inspections;      /* vmferry-inspects at once */
    guint memory_budget;        /* MiB for all pumps together; 0: the default (budget.h) */
    guint keep_finished;        /* seconds that a finished Migration stays on the bus */
} VmfConfig;

typedef struct {
    char *name;               /* DNS name in the peer's certificate */
    char **addresses;         /* HOST or HOST:PORT, dialled in order; never empty */
    char *libvirt_uri;        /* or VMF_LIBVIRT_THROUGH_PUMP */
    gboolean may_send;        /* may migrate guests to this host */
    gboolean may_receive;     /* guests may be migrated to it */
    gboolean may_use_libvirt; /* its libvirtd may reach this host's through the pump */
    guint max_migrations;     /* from it, at once */
} VmfPeerConfig;

VmfConfig *vmf_config_load(const char *path, GError **error);
void vmf_config_free(VmfConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfConfig, vmf_config_free)

/*
 * Every *.conf file of a directory, in order of names; an absent directory holds none.
 * The array owns VmfPeerConfigs. Fails when a file is wrong or two name the same peer.
 */
GPtrArray *vmf_peer_configs_load(const char *directory, GError **error);
void vmf_peer_config_free(VmfPeerConfig *peer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfPeerConfig, vmf_peer_config_free)

/* Whether `name` can be a peer: a DNS name of at most 63 bytes that is not a name of our own use.
 */
gboolean vmf_peer_name_is_valid(const char *name);
