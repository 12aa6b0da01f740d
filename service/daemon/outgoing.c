/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/outgoing-private.h"

#include "base/error.h"
#include "base/log.h"
#include "daemon/abort.h"
#include "daemon/doorway.h"
#include "daemon/engine.h"
#include "daemon/host-offer.h"
#include "daemon/job-watch.h"
#include "daemon/keeper.h"
#include "daemon/lessons.h"
#include "daemon/link-service.h"
#include "daemon/negotiation.h"
#include "daemon/one-sided.h"
#include "daemon/pilot.h"
#include "daemon/planning.h"
#include "daemon/precheck.h"
#include "daemon/preempt.h"
#include "daemon/pump-process.h"
#include "daemon/socket-path.h"
#include "daemon/switchover.h"

#define VMF_FINISH_TIMEOUT 15000  /* ms */
#define VMF_FAILED_TIMEOUT 1000   /* ms: likewise, when all is over anyhow */
#define VMF_PUMP_PATIENCE 5000    /* ms: from libvirt's word to the pump's end */
#define VMF_FIGURES_PATIENCE 1000 /* ms: from its word to its figures */
#define VMF_STILL_MORE 5000       /* ms: for a broken link, beyond the downtime that is allowed */

const char *
vmf_outgoing_id(VmfOutgoing *self)
{
    return vmf_migration_get_id(self->migration);
}

static void
vmf_outgoing_free(gpointer data)
{
    VmfOutgoing *self = data;

    g_clear_object(&self->link);
    g_clear_object(&self->remote);
    g_clear_object(&self->pump);
    g_clear_pointer(&self->one_sided, vmf_one_sided_free);
    g_clear_pointer(&self->agreement, vmf_agreement_unref);
    g_clear_error(&self->pump_error);
    g_object_unref(self->cancellable);
    g_object_unref(self->migration);
    g_object_unref(self->peer);
    g_clear_pointer(&self->loadable, g_variant_unref);
    g_free(self->path);
    g_ptr_array_unref(self->doorways);
    vmf_options_free(self->options);
    g_clear_pointer(&self->follow, vmf_follow_unref);
    g_clear_pointer(&self->unattended, vmf_follow_unref);
    g_clear_pointer(&self->taken, vmf_follow_unref);
    g_mutex_clear(&self->lock);
    explicit_bzero(self->secret, sizeof self->secret);
    g_free(self);
}

/* ---- cancelling (main loop) ---- */

/* With the lock held. FALSE: libvirt is not at it. */
static gboolean
vmf_outgoing_abort(VmfOutgoing *self, const GError *why)
{
    const VmfAbortSetup setup = {
        .migration = self->migration,
        .pump = self->pump,
        .domain = self->domain,
        .workers = vmf_daemon_get_workers(self->daemon),
        .libvirt_uri = vmf_daemon_get_config(self->daemon)->libvirt_uri,
        .why = why,
    };

    if (!self->domain)
        return FALSE;
    vmf_abort_start(&setup);
    return TRUE;
}

static void
vmf_outgoing_on_cancel(VmfMigration *migration, VmfOutgoing *self)
{
    g_autoptr(GMutexLocker) locker = NULL;

    vmf_info(vmf_outgoing_id(self), "asked to cancel");
    g_cancellable_cancel(self->cancellable);
    locker = g_mutex_locker_new(&self->lock);
    vmf_outgoing_abort(self, NULL);
}

static void
vmf_outgoing_on_bandwidth(VmfMigration *migration, VmfOutgoing *self)
{
    guint64 rate = vmf_migration_get_bandwidth(migration);
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    vmf_info(vmf_outgoing_id(self), "bandwidth is %" G_GUINT64_FORMAT " bytes/s now", rate);
    if (self->pump) /* else it is told when there is one */
        vmf_pump_set_bandwidth(self->pump, rate);
}

void
vmf_outgoing_give_delta(VmfOutgoing *self)
{
    VmfDelta delta;
    gboolean cut;

    vmf_migration_get_delta(self->migration, &delta);
    cut = vmf_budget_fit(vmf_daemon_get_budget(self->daemon), vmf_outgoing_id(self), &delta);
    vmf_migration_grant_delta(self->migration, &delta);
    vmf_info(vmf_outgoing_id(self),
             "deltas are %s, a cache of %" G_GUINT64_FORMAT " bytes, compression %d%s",
             delta.on ? "on" : "off", delta.cache, delta.compression,
             cut ? "; MemoryBudget of vmferryd.conf leaves no room for more" : "");
    vmf_pump_set_delta(self->pump, &delta);
}

static void
vmf_outgoing_on_delta(VmfMigration *migration, VmfOutgoing *self)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    if (self->pump) /* else it is told when there is one */
        vmf_outgoing_give_delta(self);
}

/* ---- what the pump says (main loop) ---- */

/* A destination that takes nothing any more is as good as gone. */
static void
vmf_outgoing_watch_uptake(VmfOutgoing *self, VmfPump *pump, GVariant *statistics, gint64 now)
{
    guint patience = vmf_daemon_get_config(self->daemon)->pump_patience;
    g_autoptr(GError) error =
        vmf_uptake_note(&self->uptake, vmf_migration_get_state(self->migration), patience,
                        vmf_migration_get_peer(self->migration), statistics, now);
    g_autoptr(GMutexLocker) locker = error ? g_mutex_locker_new(&self->lock) : NULL;

    if (!error || vmf_pump_has_ended(pump))
        return;
    if (!self->pump_error)
        self->pump_error = g_error_copy(error);
    if (!vmf_outgoing_abort(self, error))
        vmf_pump_stop(pump, error);
}

void
vmf_outgoing_on_statistics(VmfPump *pump, GVariant *statistics, VmfOutgoing *self)
{
    gint64 now = g_get_monotonic_time();

    vmf_migration_note_statistics(self->migration, statistics, now);
    vmf_switchover_note_statistics(self->switchover, statistics);
    vmf_outgoing_watch_uptake(self, pump, statistics, now);
}

void
vmf_outgoing_on_lost_links(VmfPump *pump, GVariant *lost, VmfOutgoing *self)
{
    const VmfReconnectSetup setup = {
        .migration = self->migration,
        .peer = self->peer,
        .pump = pump,
        .workers = vmf_daemon_get_workers(self->daemon),
    };

    if (!self->reconnect)
        self->reconnect = vmf_reconnect_new(&setup);
    vmf_reconnect_note(self->reconnect, lost);
}

/* While the guest stands still a link that broke is not waited for as long as before. */
static void
vmf_outgoing_on_state(VmfMigration *migration, VmfOutgoing *self)
{
    VmfState state = vmf_migration_get_state(migration);
    guint patience = 1000 * vmf_daemon_get_config(self->daemon)->pump_patience;
    guint downtime = self->options->downtime ? self->options->downtime : VMF_DOWNTIME_DEFAULT;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    if (!self->pump || (state != VMF_STATE_SWITCHING && state != VMF_STATE_POSTCOPY))
        return;
    if (state == VMF_STATE_SWITCHING)
        patience = MIN(patience, downtime + VMF_STILL_MORE);
    vmf_pump_set_patience(self->pump, patience);
}

void
vmf_outgoing_warn_peer(VmfOutgoing *self, GDBusConnection *link, const GError *error)
{
    g_autofree char *fate = vmf_outgoing_torn_fate(self);
    g_autofree char *message = g_strdup_printf("%s; %s", error->message, fate);

    if (!self->prepared || vmf_migration_get_state(self->migration) != VMF_STATE_POSTCOPY)
        return;
    g_dbus_connection_call(link, NULL, VMF_LINK_OBJECT, "org.vmferry1.Link", "Finish",
                           g_variant_new("(sss)", vmf_outgoing_id(self),
                                         vmf_error_name((VmfError)error->code), message),
                           NULL, G_DBUS_CALL_FLAGS_NONE, VMF_FINISH_TIMEOUT, NULL, NULL, NULL);
}

void
vmf_outgoing_on_pump_ended(VmfPump *pump, const GError *error, VmfOutgoing *self)
{
    g_autoptr(GDBusConnection) link = error ? vmf_peer_peek_link(self->peer, NULL) : NULL;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    if (link)
        vmf_outgoing_warn_peer(self, link, error);
    if (error && !self->pump_error)
        self->pump_error = g_error_copy(error);
}

/* ---- the end (worker) ---- */

/* It may be lost on the way, or have been that of an earlier vmferryd. */
static void
vmf_outgoing_renew_link(VmfOutgoing *self, gboolean dial)
{
    g_autoptr(GSocketAddress) remote = NULL;
    GDBusConnection *link;

    if (self->link && !g_dbus_connection_is_closed(self->link))
        return;
    link = dial ? vmf_peer_get_link(self->peer, NULL, &remote, NULL)
                : vmf_peer_peek_link(self->peer, NULL);
    if (link)
        g_set_object(&self->link, link);
    g_clear_object(&link);
}

/*
 * The destination cleans up while we wait; when it cannot hear us it finds out by itself. An error:
 * the guest that has left here has not come there. Only after a takeover: else libvirt would say
 * so.
 */
static GError *
vmf_outgoing_tell_peer(VmfOutgoing *self, const GError *error)
{
    g_autoptr(GVariant) answer = NULL;
    g_autoptr(GError) problem = NULL;
    VmfError code = error && error->domain == VMF_ERROR ? (VmfError)error->code : VMF_ERROR_FAILED;

    vmf_outgoing_renew_link(self, error == NULL || self->taken);
    if (!self->link)
        return NULL;
    answer = g_dbus_connection_call_sync(
        self->link, NULL, VMF_LINK_OBJECT, "org.vmferry1.Link", "Finish",
        g_variant_new("(sss)", vmf_outgoing_id(self), error ? vmf_error_name(code) : "",
                      error ? error->message : ""),
        NULL, G_DBUS_CALL_FLAGS_NONE, error ? VMF_FAILED_TIMEOUT : VMF_FINISH_TIMEOUT, NULL,
        &problem);
    if (!answer)
        vmf_debug(vmf_outgoing_id(self), "telling the peer: %s", problem->message);
    if (answer || error || !self->taken)
        return NULL;
    problem = vmf_error_normalize(g_steal_pointer(&problem));
    if (!g_error_matches(problem, VMF_ERROR, VMF_ERROR_LINK_BROKEN) ||
        g_dbus_connection_is_closed(self->link))
        return NULL;
    return g_error_new(VMF_ERROR, VMF_ERROR_LIBVIRT_FAILED,
                       "the guest ended on this host while no vmferryd was there to see it; it has "
                       "not come to %s",
                       vmf_migration_get_peer(self->migration));
}

static GError *
vmf_outgoing_clean_up(VmfOutgoing *self, const GError *error)
{
    GError *denial = NULL;

    g_ptr_array_set_size(self->doorways, 0); /* closes them */
    if (self->follow)
        vmf_follow_close(self->follow);
    if (self->pump && error)
        vmf_pump_stop(self->pump, error);
    if (self->prepared)
        denial = vmf_outgoing_tell_peer(self, error);
    if (self->pump)
        vmf_pump_end(self->pump, VMF_PUMP_PATIENCE, error);
    if (self->one_sided)
        vmf_pump_end(vmf_one_sided_get_onward(self->one_sided), VMF_PUMP_PATIENCE, error);
    return denial;
}

/* What GDBus says of a link that broke does not say which, nor what that means. */
static void
vmf_outgoing_explain(VmfOutgoing *self, GError **error)
{
    *error = vmf_error_normalize(*error);
    if (self->link && g_dbus_connection_is_closed(self->link) &&
        g_error_matches(*error, VMF_ERROR, VMF_ERROR_LINK_BROKEN))
        g_prefix_error(error,
                       "the control link with %s broke before the guest was touched; it runs on "
                       "at the source, try again: ",
                       vmf_migration_get_peer(self->migration));
}

static gpointer
vmf_outgoing_thread(gpointer data)
{
    g_autoptr(GTask) task = data;
    VmfOutgoing *self = g_task_get_task_data(task);
    GError *error = NULL;
    GError *denial;

    if (self->taken)
        vmf_outgoing_take_up(self, &error);
    else if (vmf_outgoing_prepare(self, &error))
        vmf_outgoing_migrate(self, &error);
    else
        vmf_outgoing_explain(self, &error);
    if (error && g_cancellable_is_cancelled(self->cancellable)) { /* whatever came of it */
        g_autofree char *fate = vmf_outgoing_fate(self);

        g_clear_error(&error);
        g_set_error(&error, VMF_ERROR, VMF_ERROR_CANCELLED, "cancelled; %s", fate);
    } else if (error) {
        error = vmf_error_normalize(error);
    }
    denial = vmf_outgoing_clean_up(self, error);
    if (denial)
        error = denial;
    if (!error && (self->pump || !self->taken)) /* else they came before us */
        vmf_migration_wait_figures(self->migration, VMF_FIGURES_PATIENCE);
    if (error)
        g_task_return_error(task, error);
    else
        g_task_return_boolean(task, TRUE);
    return NULL;
}

static void
vmf_outgoing_done(GObject *source, GAsyncResult *result, gpointer data)
{
    VmfOutgoing *self = data;
    g_autoptr(GError) error = NULL;

    if (self->pump)
        g_signal_handlers_disconnect_by_data(self->pump, self);
    g_signal_handlers_disconnect_by_data(self->migration, self);
    g_clear_pointer(&self->reconnect, vmf_reconnect_free);
    if (self->taken)
        vmf_one_sided_remove_leftovers(vmf_daemon_get_config(self->daemon), vmf_outgoing_id(self));
    g_clear_pointer(&self->one_sided, vmf_one_sided_free);
    vmf_job_watch_stop(self->watch);
    vmf_pilot_stop(self->pilot);
    vmf_switchover_stop(self->switchover);
    g_task_propagate_boolean(G_TASK(result), &error);
    vmf_migration_finish(self->migration, error);
    vmf_outgoing_free(self);
}

VmfOutgoing *
vmf_outgoing_new(VmfDaemon *daemon, VmfMigration *migration, VmfPeer *peer, VmfOptions *options,
                 VmfFollow *follow)
{
    VmfOutgoing *self = g_new0(VmfOutgoing, 1);

    self->daemon = daemon;
    self->migration = g_object_ref(migration);
    self->peer = g_object_ref(peer);
    self->options = options;
    self->follow = follow;
    self->torn = options->postcopy_resume;
    if (options->postcopy && !follow)
        self->unattended = vmf_follow_new(vmf_daemon_get_libvirt(daemon),
                                          vmf_migration_get_uuid(migration), "vmferry");
    self->doorways = g_ptr_array_new_with_free_func((GDestroyNotify)vmf_doorway_close);
    self->cancellable = g_cancellable_new();
    self->path =
        vmf_socket_path(vmf_daemon_get_config(daemon)->run_directory,
                        vmf_peer_get_config(peer)->name, vmf_migration_get_domain(migration));
    g_mutex_init(&self->lock);
    g_signal_connect(migration, "cancel", G_CALLBACK(vmf_outgoing_on_cancel), self);
    g_signal_connect(migration, "bandwidth", G_CALLBACK(vmf_outgoing_on_bandwidth), self);
    g_signal_connect(migration, "delta", G_CALLBACK(vmf_outgoing_on_delta), self);
    g_signal_connect(migration, "state", G_CALLBACK(vmf_outgoing_on_state), self);
    self->watch = vmf_job_watch_start(migration, vmf_daemon_get_libvirt(daemon),
                                      vmf_daemon_get_config(daemon)->libvirt_uri);
    self->pilot = vmf_pilot_start(migration, vmf_daemon_get_libvirt(daemon),
                                  vmf_daemon_get_config(daemon)->libvirt_uri, options);
    self->switchover = vmf_switchover_start(migration, vmf_daemon_get_libvirt(daemon),
                                            vmf_daemon_get_config(daemon)->libvirt_uri);
    vmf_lessons_watch(vmf_daemon_get_lessons(daemon), migration);
    return self;
}

void
vmf_outgoing_run(VmfOutgoing *self)
{
    g_autoptr(GTask) task = g_task_new(NULL, NULL, vmf_outgoing_done, self);

    g_task_set_task_data(task, self, NULL);
    /* A thread of its own: it waits for hours, and GTask's pool is small and everybody's. */
    vmf_workers_add(vmf_daemon_get_workers(self->daemon), task);
    g_thread_unref(g_thread_new("migration", vmf_outgoing_thread, g_object_ref(task)));
}

static void
vmf_outgoing_begin(VmfDaemon *daemon, VmfMigration *migration, VmfPeer *peer, VmfOptions *options,
                   VmfFollow *follow)
{
    vmf_info(vmf_migration_get_id(migration), "guest '%s' goes to %s",
             vmf_migration_get_domain(migration), vmf_migration_get_peer(migration));
    vmf_keeper_start(migration, vmf_daemon_get_config(daemon)->run_directory);
    vmf_outgoing_run(vmf_outgoing_new(daemon, migration, peer, options, follow));
}

void
vmf_outgoing_start(VmfDaemon *daemon, VmfMigration *migration, VmfPeer *peer, VmfOptions *options)
{
    vmf_outgoing_begin(daemon, migration, peer, options, NULL);
}

void
vmf_outgoing_start_following(VmfDaemon *daemon, VmfMigration *migration, VmfPeer *peer,
                             VmfFollow *follow)
{
    vmf_outgoing_begin(daemon, migration, peer, vmf_options_new(), vmf_follow_ref(follow));
    vmf_planning_adopt(daemon, migration);
}
