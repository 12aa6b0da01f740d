/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/daemon-private.h"

#include <glib-unix.h>
#include <glib/gstdio.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/log.h"
#include "daemon/capture.h"
#include "daemon/external.h"
#include "daemon/host-memory.h"
#include "daemon/incoming.h"
#include "daemon/leftovers.h"
#include "daemon/manager.h"
#include "daemon/manager-ways.h"
#include "daemon/lessons.h"
#include "daemon/observer.h"
#include "daemon/peer.h"
#include "daemon/policies.h"
#include "daemon/port.h"
#include "daemon/socket-path.h"
#include "daemon/sockets.h"
#include "daemon/takeover.h"
#include "link/control.h"

#define VMF_BUS_NAME "org.vmferry1"
#define VMF_WIND_DOWN 2 /* s */

/* ---- maintenance ---- */

/* A file says it, below /run: a host that was restarted is ready again. */
static char *
vmf_daemon_maintenance_path(VmfDaemon *self)
{
    return g_build_filename(self->config->run_directory, "maintenance", NULL);
}

static void
vmf_daemon_load_maintenance(VmfDaemon *self)
{
    g_autofree char *path = vmf_daemon_maintenance_path(self);

    self->maintenance = g_file_test(path, G_FILE_TEST_EXISTS);
}

gboolean
vmf_daemon_get_maintenance(VmfDaemon *self)
{
    return g_atomic_int_get(&self->maintenance);
}

gboolean
vmf_daemon_set_maintenance(VmfDaemon *self, gboolean on, GError **error)
{
    g_autofree char *path = vmf_daemon_maintenance_path(self);

    if (on ? !g_file_set_contents(path, "", 0, NULL) : g_unlink(path) != 0 && errno != ENOENT) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_FAILED, "%s: %s", path, g_strerror(errno));
        return FALSE;
    }
    g_atomic_int_set(&self->maintenance, on);
    vmf_info(NULL, on ? "in maintenance: no guests are taken" : "guests are taken again");
    return TRUE;
}

/* ---- start and end ---- */

static gboolean
vmf_daemon_make_directories(VmfDaemon *self, GError **error)
{
    g_autofree char *pumps = g_build_filename(self->config->run_directory, "pumps", NULL);

    if (g_mkdir_with_parents(self->config->run_directory, 0755) == 0 &&
        g_mkdir_with_parents(pumps, 0700) == 0)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_BAD_CONFIGURATION, "%s: %s",
                self->config->run_directory, g_strerror(errno));
    return FALSE;
}

static gboolean
vmf_daemon_load_peers(VmfDaemon *self, const char *directory, GError **error)
{
    g_autoptr(GPtrArray) configs = vmf_peer_configs_load(directory, error);

    if (!configs)
        return FALSE;
    while (configs->len > 0) {
        VmfPeer *peer = vmf_peer_new(self, g_ptr_array_steal_index(configs, configs->len - 1));

        g_hash_table_insert(self->peers, (gpointer)vmf_peer_get_config(peer)->name, peer);
        g_dbus_object_manager_server_export(self->objects, vmf_peer_get_object(peer));
    }
    return TRUE;
}

/* Beside vmferryd.conf; it may be missing. */
static gboolean
vmf_daemon_load_rewrite(VmfDaemon *self, const char *config_path, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(config_path);
    g_autofree char *path = g_build_filename(folder, "rewrite.conf", NULL);
    g_autofree char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return TRUE;
    self->rewrite = vmf_rewrite_parse(text, path, error);
    return self->rewrite != NULL;
}

static gboolean
vmf_daemon_connect_bus(VmfDaemon *self, GBusType type, GError **error)
{
    self->bus = g_bus_get_sync(type, NULL, error);
    if (!self->bus) {
        g_prefix_error(error, "no %s bus: ", type == G_BUS_TYPE_SESSION ? "session" : "system");
        return FALSE;
    }
    g_dbus_connection_set_exit_on_close(self->bus, FALSE);
    self->manager = vmf_manager_new(self);
    if (!g_dbus_interface_skeleton_export(self->manager, self->bus, VMF_MANAGER_PATH, error))
        return FALSE;
    g_dbus_object_manager_server_set_connection(self->objects, self->bus);
    self->readers = vmf_readers_new(self->bus, self->objects);
    return TRUE;
}

static void
vmf_daemon_greet_again(VmfPeer *peer, gpointer unused)
{
    vmf_peer_greet_again(peer);
}

/* Whoever knows what this host offers hears it again. */
static void
vmf_daemon_on_natives(VmfNatives *natives, VmfDaemon *self)
{
    vmf_manager_show_features(self->manager, self);
    vmf_daemon_foreach_peer(self, vmf_daemon_greet_again, NULL);
}

/* From any thread. */
static void
vmf_daemon_on_granted(gpointer owner, guint64 granted)
{
    VmfDaemon *self = owner;

    if (self->manager)
        vmf_manager_show_granted(self->manager, granted);
}

static VmfBudget *
vmf_daemon_make_budget(VmfDaemon *self)
{
    guint64 said = (guint64)self->config->memory_budget << 20;
    guint64 total = said ? said : vmf_budget_default(vmf_host_memory_total());

    vmf_info(NULL, "pumps may take %" G_GUINT64_FORMAT " MiB of memory together", total >> 20);
    return vmf_budget_new(total, self->config->max_migrations, vmf_daemon_on_granted, self);
}

VmfDaemon *
vmf_daemon_new(const VmfDaemonOptions *options, GError **error)
{
    g_autoptr(VmfDaemon) self = g_new0(VmfDaemon, 1);
    g_autoptr(VmfIdentity) identity = NULL;

    self->peers = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_object_unref);
    self->migrations = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_object_unref);
    self->incoming =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)vmf_incoming_free);
    self->tickets = vmf_ticket_book_new();
    self->refusals = vmf_refusals_new(VMF_REFUSALS_WINDOW);
    self->agreements = vmf_agreement_book_new();
    self->workers = vmf_workers_new();
    self->loop = g_main_loop_new(NULL, FALSE);
    self->objects = g_dbus_object_manager_server_new(VMF_MANAGER_PATH);
    self->config = vmf_config_load(options->config_path, error);
    if (!self->config || !vmf_daemon_make_directories(self, error))
        return NULL;
    self->budget = vmf_daemon_make_budget(self);
    self->inspector = vmf_inspector_new(self->config, self->workers);
    self->prober = vmf_prober_new(self->config->cache_directory, self->config->pump_user);
    vmf_daemon_load_maintenance(self);
    self->libvirt = vmf_libvirt_new(self->config->libvirt_uri, self->workers);
    self->owner = vmf_owner_new(self->libvirt, self->config->libvirt_uri);
    self->natives = vmf_natives_new(self->libvirt, self->config->libvirt_uri, self->prober);
    self->policies = vmf_policies_new(options->policies_directory);
    g_strfreev(vmf_policies_reload(self->policies)); /* what is wrong was logged */
    self->sockets = vmf_sockets_new(self);
    self->capturer = vmf_capturer_new(self);
    self->external = vmf_external_new(self);
    self->observer = vmf_observer_new(self);
    self->lessons = vmf_lessons_new();
    /* Not used yet, but better told now than at the first migration. */
    identity = vmf_identity_load(self->config->tls_directory, error);
    if (!identity || !vmf_daemon_load_peers(self, options->peers_directory, error) ||
        !vmf_daemon_load_rewrite(self, options->config_path, error) ||
        !vmf_daemon_connect_bus(self, options->bus_type, error))
        return NULL;
    self->port = vmf_port_new(self, error);
    if (!self->port)
        return NULL;
    /* The port is ours, so no other vmferryd uses the folder. */
    vmf_leftovers_remove(self->config->run_directory);
    g_signal_connect(self->natives, "changed", G_CALLBACK(vmf_daemon_on_natives), self);
    vmf_takeover_run(self);
    vmf_libvirt_start(self->libvirt);
    if (self->config->capture)
        vmf_manager_begin_capture(self->manager, self);
    return g_steal_pointer(&self);
}

void
vmf_daemon_free(VmfDaemon *self)
{
    g_clear_handle_id(&self->name_id, g_bus_unown_name);
    g_clear_handle_id(&self->forgetting, g_source_remove);
    while (self->finished.length > 0)
        vmf_daemon_forget_oldest(self);
    g_clear_pointer(&self->port, vmf_port_free);
    if (self->libvirt)
        vmf_libvirt_stop(self->libvirt);
    g_clear_pointer(&self->capturer, vmf_capturer_free);
    g_clear_pointer(&self->sockets, vmf_sockets_free);
    g_clear_pointer(&self->external, vmf_external_free);
    g_clear_pointer(&self->observer, vmf_observer_free);
    g_clear_pointer(&self->lessons, vmf_lessons_unref);
    g_clear_pointer(&self->policies, vmf_policies_free);
    g_clear_pointer(&self->owner, vmf_owner_free);
    if (self->natives)
        g_signal_handlers_disconnect_by_data(self->natives, self);
    g_clear_object(&self->natives);
    g_clear_object(&self->manager);
    g_clear_pointer(&self->readers, vmf_readers_free);
    g_clear_object(&self->objects);
    g_clear_object(&self->bus);
    g_hash_table_unref(self->incoming);
    g_hash_table_unref(self->migrations);
    g_hash_table_unref(self->peers);
    g_clear_object(&self->libvirt);
    g_clear_pointer(&self->inspector, vmf_inspector_free);
    g_clear_pointer(&self->prober, vmf_prober_unref);
    vmf_ticket_book_free(self->tickets);
    vmf_refusals_free(self->refusals);
    vmf_agreement_book_free(self->agreements);
    g_clear_pointer(&self->budget, vmf_budget_free);
    vmf_workers_unref(self->workers);
    g_main_loop_unref(self->loop);
    g_clear_pointer(&self->rewrite, vmf_rewrite_free);
    g_clear_pointer(&self->config, vmf_config_free);
    g_free(self);
}

static void
vmf_daemon_on_name_acquired(GDBusConnection *bus, const char *name, gpointer data)
{
    vmf_info(NULL, "ready as %s on the bus", name);
}

static void
vmf_daemon_on_name_lost(GDBusConnection *bus, const char *name, gpointer data)
{
    VmfDaemon *self = data;

    vmf_warn(NULL,
             bus && !g_dbus_connection_is_closed(bus)
                 ? "another vmferryd has the name %s on the bus"
                 : "lost the bus; ending, migrations go on (%s)",
             name);
    self->status = 1;
    g_main_loop_quit(self->loop);
}

static gboolean
vmf_daemon_on_signal(gpointer data)
{
    VmfDaemon *self = data;

    vmf_info(NULL, "ending");
    g_main_loop_quit(self->loop);
    return G_SOURCE_CONTINUE;
}

static gboolean
vmf_daemon_on_hangup(gpointer data)
{
    VmfDaemon *self = data;

    g_strfreev(vmf_policies_reload(self->policies));
    return G_SOURCE_CONTINUE;
}

static gboolean
vmf_daemon_on_late(gpointer late)
{
    *(gboolean *)late = TRUE;
    return G_SOURCE_CONTINUE;
}

static void
vmf_daemon_stop_peer(VmfPeer *peer, gpointer data)
{
    vmf_peer_stop(peer);
}

/* Migrations that touched nothing yet end; what else is short is waited for, shortly. */
static void
vmf_daemon_wind_down(VmfDaemon *self)
{
    gboolean late = FALSE;
    guint timer = g_timeout_add_seconds(VMF_WIND_DOWN, vmf_daemon_on_late, &late);
    g_autoptr(GList) migrations = g_hash_table_get_values(self->migrations);

    for (GList *item = migrations; item; item = item->next)
        if (vmf_migration_get_state(item->data) == VMF_STATE_PREPARING)
            (void)vmf_migration_request_cancel(item->data, NULL);
    vmf_daemon_foreach_peer(self, vmf_daemon_stop_peer, NULL);
    g_clear_pointer(&self->observer, vmf_observer_free);
    vmf_libvirt_stop(self->libvirt);
    vmf_inspector_stop(self->inspector);
    while (vmf_daemon_is_busy(self) && !late)
        g_main_context_iteration(NULL, TRUE);
    g_source_remove(timer);
}

int
vmf_daemon_run(VmfDaemon *self)
{
    guint term = g_unix_signal_add(SIGTERM, vmf_daemon_on_signal, self);
    guint hangup = g_unix_signal_add(SIGHUP, vmf_daemon_on_hangup, self);
    guint interrupt = g_unix_signal_add(SIGINT, vmf_daemon_on_signal, self);

    self->name_id = g_bus_own_name_on_connection(
        self->bus, VMF_BUS_NAME, G_BUS_NAME_OWNER_FLAGS_DO_NOT_QUEUE, vmf_daemon_on_name_acquired,
        vmf_daemon_on_name_lost, self, NULL);
    g_main_loop_run(self->loop);
    g_source_remove(term);
    g_source_remove(interrupt);
    g_source_remove(hangup);
    vmf_daemon_wind_down(self);
    return self->status;
}
