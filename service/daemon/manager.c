/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/manager.h"

#include "base/error.h"
#include "base/log.h"
#include "daemon/authority.h"
#include "daemon/guest.h"
#include "daemon/host-offer.h"
#include "daemon/manager-check.h"
#include "daemon/manager-hook.h"
#include "daemon/manager-inspect.h"
#include "daemon/manager-policy.h"
#include "daemon/manager-ways.h"
#include "daemon/outgoing.h"
#include "daemon/peer.h"
#include "daemon/planning.h"
#include "vmferry-bus.h"
#include "vmferry-config.h"

typedef struct {
    VmfDaemon *daemon;
    VmfBusManager *skeleton;
    GDBusMethodInvocation *invocation;
    char *domain;
    VmfPeer *peer;
    VmfOptions *options; /* NULL once it is under way */
} VmfRequest;

static void
vmf_request_free(gpointer data)
{
    VmfRequest *request = data;

    g_object_unref(request->skeleton);
    g_clear_object(&request->peer);
    g_clear_pointer(&request->options, vmf_options_free);
    g_free(request->domain);
    g_free(request);
}

static void
vmf_request_fail(VmfRequest *request, const GError *error)
{
    g_dbus_method_invocation_return_gerror(request->invocation, error);
    vmf_request_free(request);
}

VmfPeer *
vmf_manager_find_peer(VmfDaemon *daemon, const char *name, GError **error)
{
    VmfPeer *peer = vmf_daemon_find_peer(daemon, name);

    if (!peer)
        g_set_error(error, VMF_ERROR, VMF_ERROR_NO_SUCH_PEER,
                    "no peer is called '%s'; add a file for it to /etc/vmferry/peers.d", name);
    return peer;
}

/* ---- Migrate ---- */

static void
vmf_migrate_look_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    VmfRequest *request = data;
    VmfLibvirt *libvirt = vmf_daemon_get_libvirt(request->daemon);
    const char *uri = vmf_daemon_get_config(request->daemon)->libvirt_uri;
    GError *error = NULL;
    g_autoptr(virConnect) connection = vmf_libvirt_open(uri, &error);
    g_autoptr(VmfGuest) guest = NULL;

    if (connection)
        guest = vmf_guest_describe(connection, request->domain, &error);
    if (guest && vmf_guest_check_torn(guest, request->options->postcopy_resume, &error) &&
        (guest->torn || vmf_guest_check_safe(connection, guest,
                                             vmf_libvirt_has_run(libvirt, guest->uuid), &error)))
        g_task_return_pointer(task, g_steal_pointer(&guest), (GDestroyNotify)vmf_guest_free);
    else
        g_task_return_error(task, error);
}

static void
vmf_migrate_looked(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfRequest *request = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfGuest) guest = g_task_propagate_pointer(G_TASK(result), &error);
    g_autoptr(VmfMigration) migration = NULL;
    g_autoptr(VmfPlanning) planning = NULL;
    g_autofree char *id = g_uuid_string_random();
    VmfMigrationInit init = {.id = id, .outgoing = TRUE};

    if (guest)
        planning =
            vmf_planning_new(request->daemon, guest, vmf_peer_get_config(request->peer)->name,
                             request->options, &error);
    if (!planning) {
        vmf_request_fail(request, error);
        return;
    }
    id[8] = '\0'; /* short enough to type, and unique among those on the bus */
    init.domain = guest->name;
    init.uuid = guest->uuid;
    init.peer = vmf_peer_get_config(request->peer)->name;
    init.encrypted = !request->options->unencrypted;
    init.postcopy = request->options->postcopy;
    init.bandwidth = request->options->bandwidth;
    init.downtime = request->options->downtime;
    init.delta = request->options->delta;
    migration = vmf_migration_new(&init);
    if (!vmf_daemon_add_migration(request->daemon, migration, &error)) {
        vmf_request_fail(request, error);
        return;
    }
    if (!guest->torn)
        vmf_planning_steer(planning, migration);
    vmf_outgoing_start(request->daemon, migration, request->peer,
                       g_steal_pointer(&request->options));
    vmf_bus_manager_complete_migrate(
        request->skeleton, request->invocation,
        g_dbus_object_get_object_path(G_DBUS_OBJECT(vmf_migration_get_object(migration))));
    vmf_request_free(request);
}

static void
vmf_migrate_authorized(GDBusMethodInvocation *invocation, gpointer data)
{
    VmfRequest *request = data;
    g_autoptr(GVariant) options =
        g_variant_get_child_value(g_dbus_method_invocation_get_parameters(invocation), 2);
    const VmfConfig *config = vmf_daemon_get_config(request->daemon);
    g_autoptr(GTask) task = NULL;
    g_autoptr(GError) error = NULL;
    const char *peer;

    request->invocation = invocation;
    g_variant_get_child(g_dbus_method_invocation_get_parameters(invocation), 1, "&s", &peer);
    request->peer = vmf_manager_find_peer(request->daemon, peer, &error);
    if (!request->peer) {
        vmf_request_fail(request, error);
        return;
    }
    g_object_ref(request->peer);
    request->options = vmf_options_parse(options, &error);
    if (request->options) {
        if (!vmf_peer_get_config(request->peer)->may_receive)
            error = g_error_new(VMF_ERROR, VMF_ERROR_PEER_REFUSED,
                                "this host sends no guests to %s (MayReceive in peers.d)", peer);
        else if (request->options->unencrypted && !config->allow_unencrypted)
            error = g_error_new_literal(VMF_ERROR, VMF_ERROR_NOT_SUPPORTED,
                                        "this host allows no unencrypted data links "
                                        "(AllowUnencrypted in vmferryd.conf)");
    }
    if (error) {
        vmf_request_fail(request, error);
        return;
    }
    task = g_task_new(NULL, NULL, vmf_migrate_looked, request);
    g_task_set_task_data(task, request, NULL);
    vmf_workers_run(vmf_daemon_get_workers(request->daemon), task, vmf_migrate_look_thread);
}

static VmfRequest *
vmf_request_new(VmfDaemon *daemon, VmfBusManager *skeleton, const char *domain)
{
    VmfRequest *request = g_new0(VmfRequest, 1);

    request->daemon = daemon;
    request->skeleton = g_object_ref(skeleton);
    request->domain = g_strdup(domain);
    return request;
}

static gboolean
vmf_manager_on_migrate(VmfBusManager *skeleton, GDBusMethodInvocation *invocation,
                       const char *domain, const char *peer, GVariant *options, VmfDaemon *daemon)
{
    vmf_authority_check(invocation, VMF_RIGHT_MIGRATE, vmf_migrate_authorized,
                        vmf_request_new(daemon, skeleton, domain), vmf_request_free);
    return TRUE;
}

/* ---- Connect ---- */

static void
vmf_connect_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    VmfRequest *request = data;
    GError *error = NULL;
    g_autoptr(GSocketAddress) remote = NULL;
    g_autoptr(GDBusConnection) link = vmf_peer_get_link(request->peer, NULL, &remote, &error);

    if (link && vmf_peer_hello(request->peer, link, NULL, &error))
        g_task_return_boolean(task, TRUE);
    else
        g_task_return_error(task, vmf_error_normalize(error));
}

static void
vmf_connect_done(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfRequest *request = data;
    g_autoptr(GError) error = NULL;

    if (!g_task_propagate_boolean(G_TASK(result), &error)) {
        vmf_request_fail(request, error);
        return;
    }
    vmf_bus_manager_complete_connect(request->skeleton, request->invocation);
    vmf_request_free(request);
}

static void
vmf_connect_authorized(GDBusMethodInvocation *invocation, gpointer data)
{
    VmfRequest *request = data;
    g_autoptr(GTask) task = NULL;
    g_autoptr(GError) error = NULL;
    const char *name;

    request->invocation = invocation;
    g_variant_get(g_dbus_method_invocation_get_parameters(invocation), "(&s)", &name);
    request->peer = vmf_manager_find_peer(request->daemon, name, &error);
    if (!request->peer) {
        vmf_request_fail(request, error);
        return;
    }
    g_object_ref(request->peer);
    task = g_task_new(NULL, NULL, vmf_connect_done, request);
    g_task_set_task_data(task, request, NULL);
    vmf_workers_run(vmf_daemon_get_workers(request->daemon), task, vmf_connect_thread);
}

static gboolean
vmf_manager_on_connect(VmfBusManager *skeleton, GDBusMethodInvocation *invocation, const char *peer,
                       VmfDaemon *daemon)
{
    vmf_authority_check(invocation, VMF_RIGHT_CONFIGURE, vmf_connect_authorized,
                        vmf_request_new(daemon, skeleton, NULL), vmf_request_free);
    return TRUE;
}

/* ---- the methods of a Migration ---- */

/* What is asked of a migration by a method without an answer. */
typedef struct {
    VmfMigration *migration;
    gboolean (*ask)(VmfMigration *migration, GVariant *arguments, GError **error);
} VmfMigrationRequest;

static void
vmf_migration_request_free(gpointer data)
{
    VmfMigrationRequest *request = data;

    g_object_unref(request->migration);
    g_free(request);
}

static void
vmf_migration_request_authorized(GDBusMethodInvocation *invocation, gpointer data)
{
    VmfMigrationRequest *request = data;
    g_autoptr(GError) error = NULL;

    if (request->ask(request->migration, g_dbus_method_invocation_get_parameters(invocation),
                     &error))
        g_dbus_method_invocation_return_value(invocation, NULL);
    else
        g_dbus_method_invocation_return_gerror(invocation, error);
    vmf_migration_request_free(request);
}

static gboolean
vmf_migration_request(GDBusMethodInvocation *invocation, VmfRight right, VmfMigration *migration,
                      gboolean (*ask)(VmfMigration *, GVariant *, GError **))
{
    VmfMigrationRequest *request = g_new0(VmfMigrationRequest, 1);

    request->migration = g_object_ref(migration);
    request->ask = ask;
    vmf_authority_check(invocation, right, vmf_migration_request_authorized, request,
                        vmf_migration_request_free);
    return TRUE;
}

static gboolean
vmf_ask_cancel(VmfMigration *migration, GVariant *arguments, GError **error)
{
    return vmf_migration_request_cancel(migration, error);
}

static gboolean
vmf_ask_postcopy(VmfMigration *migration, GVariant *arguments, GError **error)
{
    return vmf_migration_request_postcopy(migration, error);
}

static gboolean
vmf_ask_bandwidth(VmfMigration *migration, GVariant *arguments, GError **error)
{
    guint mibs;

    g_variant_get(arguments, "(u)", &mibs);
    return vmf_migration_request_bandwidth(migration, mibs, error);
}

/* One of the three is another. */
static gboolean
vmf_ask_delta(VmfMigration *migration, GVariant *arguments, GError **error)
{
    VmfDelta delta;

    vmf_migration_get_delta(migration, &delta);
    if (g_variant_is_of_type(arguments, G_VARIANT_TYPE("(b)")))
        g_variant_get(arguments, "(b)", &delta.on);
    else if (g_variant_is_of_type(arguments, G_VARIANT_TYPE("(t)")))
        g_variant_get(arguments, "(t)", &delta.cache);
    else
        g_variant_get(arguments, "(i)", &delta.compression);
    return vmf_migration_request_delta(migration, &delta, error);
}

static gboolean
vmf_manager_on_delta(VmfBusMigration *skeleton, GDBusMethodInvocation *invocation, gboolean on,
                     VmfMigration *migration)
{
    return vmf_migration_request(invocation, VMF_RIGHT_MIGRATE, migration, vmf_ask_delta);
}

static gboolean
vmf_manager_on_cache_size(VmfBusMigration *skeleton, GDBusMethodInvocation *invocation,
                          guint64 size, VmfMigration *migration)
{
    return vmf_migration_request(invocation, VMF_RIGHT_MIGRATE, migration, vmf_ask_delta);
}

static gboolean
vmf_manager_on_compression(VmfBusMigration *skeleton, GDBusMethodInvocation *invocation, int level,
                           VmfMigration *migration)
{
    return vmf_migration_request(invocation, VMF_RIGHT_MIGRATE, migration, vmf_ask_delta);
}

static gboolean
vmf_manager_on_cancel(VmfBusMigration *skeleton, GDBusMethodInvocation *invocation,
                      VmfMigration *migration)
{
    return vmf_migration_request(invocation, VMF_RIGHT_CANCEL, migration, vmf_ask_cancel);
}

static gboolean
vmf_manager_on_postcopy(VmfBusMigration *skeleton, GDBusMethodInvocation *invocation,
                        VmfMigration *migration)
{
    return vmf_migration_request(invocation, VMF_RIGHT_MIGRATE, migration, vmf_ask_postcopy);
}

static gboolean
vmf_manager_on_bandwidth(VmfBusMigration *skeleton, GDBusMethodInvocation *invocation, guint mibs,
                         VmfMigration *migration)
{
    return vmf_migration_request(invocation, VMF_RIGHT_MIGRATE, migration, vmf_ask_bandwidth);
}

void
vmf_manager_serve_migration(VmfMigration *migration)
{
    g_autoptr(GDBusInterface) skeleton = g_dbus_object_get_interface(
        G_DBUS_OBJECT(vmf_migration_get_object(migration)), "org.vmferry1.Migration");

    /* The migration holds the skeleton, so this must not hold the migration. */
    g_signal_connect(skeleton, "handle-cancel", G_CALLBACK(vmf_manager_on_cancel), migration);
    g_signal_connect(skeleton, "handle-start-post-copy", G_CALLBACK(vmf_manager_on_postcopy),
                     migration);
    g_signal_connect(skeleton, "handle-set-delta", G_CALLBACK(vmf_manager_on_delta), migration);
    g_signal_connect(skeleton, "handle-set-cache-size", G_CALLBACK(vmf_manager_on_cache_size),
                     migration);
    g_signal_connect(skeleton, "handle-set-compression", G_CALLBACK(vmf_manager_on_compression),
                     migration);
    g_signal_connect(skeleton, "handle-set-bandwidth", G_CALLBACK(vmf_manager_on_bandwidth),
                     migration);
}

static void
vmf_manager_on_libvirt(VmfLibvirt *libvirt, gboolean connected, VmfBusManager *skeleton)
{
    vmf_bus_manager_set_libvirt_connected(skeleton, connected);
}

void
vmf_manager_show_features(GDBusInterfaceSkeleton *skeleton, VmfDaemon *daemon)
{
    VmfNative native;
    g_autoptr(VmfOffer) offer =
        vmf_host_offer_new(vmf_daemon_get_config(daemon),
                           vmf_natives_peek(vmf_daemon_get_natives(daemon), NULL, &native));
    g_autoptr(GVariant) features = vmf_offer_encode(offer);

    vmf_bus_manager_set_features(VMF_BUS_MANAGER(skeleton), features);
}

void
vmf_manager_show_granted(GDBusInterfaceSkeleton *skeleton, guint64 granted)
{
    vmf_bus_manager_set_memory_granted(VMF_BUS_MANAGER(skeleton), granted);
}

GDBusInterfaceSkeleton *
vmf_manager_new(VmfDaemon *daemon)
{
    VmfBusManager *skeleton = vmf_bus_manager_skeleton_new();

    vmf_bus_manager_set_version(skeleton, VMF_VERSION);
    vmf_bus_manager_set_memory_budget(skeleton,
                                      vmf_budget_get_total(vmf_daemon_get_budget(daemon)));
    vmf_manager_show_features(G_DBUS_INTERFACE_SKELETON(skeleton), daemon);
    g_signal_connect(skeleton, "handle-migrate", G_CALLBACK(vmf_manager_on_migrate), daemon);
    g_signal_connect(skeleton, "handle-connect", G_CALLBACK(vmf_manager_on_connect), daemon);
    vmf_manager_serve_check(daemon, skeleton);
    vmf_manager_serve_ways(daemon, skeleton);
    vmf_manager_serve_hook(daemon, skeleton);
    vmf_manager_serve_inspect(daemon, skeleton);
    vmf_manager_serve_policy(daemon, skeleton);
    g_signal_connect_object(vmf_daemon_get_libvirt(daemon), "connected",
                            G_CALLBACK(vmf_manager_on_libvirt), skeleton, 0);
    return G_DBUS_INTERFACE_SKELETON(skeleton);
}
