/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vmferryd: what its parts share, and its life.
 *
 * A VmfDaemon belongs to the main loop. vmf_daemon_get_config() and the peers' and libvirt's own
 * thread-safe functions are what worker threads may use of it.
 */
#pragma once

#include <gio/gio.h>

#include "daemon/budget.h"
#include "daemon/config.h"
#include "daemon/inspector.h"
#include "daemon/libvirt.h"
#include "daemon/migration.h"
#include "daemon/natives.h"
#include "daemon/owner.h"
#include "daemon/refusals.h"
#include "link/agreement-book.h"
#include "link/ticket.h"
#include "xml/rewrite.h"
#include "probe/prober.h"

typedef struct VmfDaemon VmfDaemon;
typedef struct VmfIncoming VmfIncoming;
typedef struct VmfLessons VmfLessons;
typedef struct VmfObserver VmfObserver;
typedef struct VmfPolicies VmfPolicies;
typedef struct VmfSockets VmfSockets;
typedef struct VmfCapturer VmfCapturer;
typedef struct VmfExternal VmfExternal;
typedef struct _VmfPeer VmfPeer;

typedef struct {
    const char *config_path;        /* vmferryd.conf */
    const char *peers_directory;    /* peers.d */
    const char *policies_directory; /* policies.d */
    GBusType bus_type;              /* G_BUS_TYPE_SYSTEM but in tests */
} VmfDaemonOptions;

/* Reads the configuration and starts everything but the bus name. Errors: BAD_CONFIGURATION, ... */
VmfDaemon *vmf_daemon_new(const VmfDaemonOptions *options, GError **error);
void vmf_daemon_free(VmfDaemon *daemon);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfDaemon, vmf_daemon_free)

/* Until SIGTERM, SIGINT, or the bus is lost; the exit status. */
int vmf_daemon_run(VmfDaemon *daemon);

/*
 * After vmf_daemon_run(): whether threads still work for it, on a migration that goes on. Then it
 * must not be freed, and the process must end without exit handlers.
 */
gboolean vmf_daemon_is_busy(VmfDaemon *daemon);

const VmfConfig *vmf_daemon_get_config(VmfDaemon *daemon);
VmfBudget *vmf_daemon_get_budget(VmfDaemon *daemon); /* any thread */
VmfLibvirt *vmf_daemon_get_libvirt(VmfDaemon *daemon);
VmfTicketBook *vmf_daemon_get_tickets(VmfDaemon *daemon);
VmfRefusals *vmf_daemon_get_refusals(VmfDaemon *daemon);
VmfAgreementBook *vmf_daemon_get_agreements(VmfDaemon *daemon);
VmfOwner *vmf_daemon_get_owner(VmfDaemon *daemon);
VmfInspector *vmf_daemon_get_inspector(VmfDaemon *daemon);
VmfWorkers *vmf_daemon_get_workers(VmfDaemon *daemon);
VmfProber *vmf_daemon_get_prober(VmfDaemon *daemon); /* any thread */
VmfNatives *vmf_daemon_get_natives(VmfDaemon *daemon);

/*
 * Whether this host is in maintenance and takes no guests: any thread. Setting it (main loop)
 * outlives the daemon, but not the host. Errors: FAILED.
 */
gboolean vmf_daemon_get_maintenance(VmfDaemon *daemon);
gboolean vmf_daemon_set_maintenance(VmfDaemon *daemon, gboolean on, GError **error);
VmfSockets *vmf_daemon_get_sockets(VmfDaemon *daemon);
VmfCapturer *vmf_daemon_get_capturer(VmfDaemon *daemon);
VmfExternal *vmf_daemon_get_external(VmfDaemon *daemon);
VmfPolicies *vmf_daemon_get_policies(VmfDaemon *daemon);
VmfObserver *vmf_daemon_get_observer(VmfDaemon *daemon);
VmfLessons *vmf_daemon_get_lessons(VmfDaemon *daemon);

/* What changes in the XML of guests that arrive; NULL: nothing. */
const VmfRewrite *vmf_daemon_get_rewrite(VmfDaemon *daemon);

/* NULL when there is none; borrowed. */
VmfPeer *vmf_daemon_find_peer(VmfDaemon *daemon, const char *name);
VmfPeer *vmf_daemon_find_peer_of(VmfDaemon *daemon, const char *const *certificate_names);
void vmf_daemon_foreach_peer(VmfDaemon *daemon, void (*visit)(VmfPeer *peer, gpointer data),
                             gpointer data);
VmfMigration *vmf_daemon_find_migration(VmfDaemon *daemon, const char *id);
VmfIncoming *vmf_daemon_find_incoming(VmfDaemon *daemon, const char *id);

/* Migrations in both directions that are not over. */
guint vmf_daemon_count_running(VmfDaemon *daemon);

/* Whether a peer's vmferryd has announced a guest of this name, and it is on its way. */
gboolean vmf_daemon_expects_guest(VmfDaemon *daemon, const char *name);

/* Whether a migration of this guest, in either direction, is not over yet. */
gboolean vmf_daemon_is_migrating(VmfDaemon *daemon, const char *uuid);

/*
 * Puts a migration on the bus; it goes again some time after it is finished.
 * Errors: ALREADY_MIGRATING (the guest, or the id), LIMIT_REACHED.
 */
gboolean vmf_daemon_add_migration(VmfDaemon *daemon, VmfMigration *migration, GError **error);

/* Takes a migration that is not finished off the bus again, as if it had never been there. */
void vmf_daemon_forget_migration(VmfDaemon *daemon, VmfMigration *migration);

/* The daemon owns incoming migrations while they run. */
void vmf_daemon_add_incoming(VmfDaemon *daemon, const char *id, VmfIncoming *incoming);
guint vmf_daemon_count_incoming(VmfDaemon *daemon, VmfPeer *peer);
void vmf_daemon_remove_incoming(VmfDaemon *daemon, const char *id);
