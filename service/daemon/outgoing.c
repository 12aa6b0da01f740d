/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/outgoing.h"

#include <libvirt/virterror.h>

#include "base/error.h"
#include "base/log.h"
#include "daemon/abort.h"
#include "daemon/doorway.h"
#include "daemon/engine.h"
#include "daemon/host-offer.h"
#include "daemon/job-watch.h"
#include "daemon/link-answer.h"
#include "daemon/link-service.h"
#include "daemon/negotiation.h"
#include "daemon/one-sided.h"
#include "daemon/pilot.h"
#include "daemon/precheck.h"
#include "daemon/preempt.h"
#include "daemon/pump-process.h"
#include "daemon/socket-path.h"
#include "daemon/switchover.h"
#include "link/control.h"
#include "probe/concern.h"

#define VMF_PREPARE_TIMEOUT 30000 /* ms */
#define VMF_FINISH_TIMEOUT 15000  /* ms */
#define VMF_FAILED_TIMEOUT 1000   /* ms: likewise, when all is over anyhow */
#define VMF_PUMP_PATIENCE 5000    /* ms: from libvirt's word to the pump's end */
#define VMF_FIGURES_PATIENCE 1000 /* ms: from its word to its figures */

typedef struct {
    VmfDaemon *daemon; /* outlives it: it waits for its migrations */
    VmfMigration *migration;
    VmfPeer *peer;
    VmfOptions *options;
    VmfFollow *follow;         /* libvirt was asked by somebody else; NULL: by us */
    GCancellable *cancellable; /* for every step but libvirt's */
    VmfJobWatch *watch;
    VmfPilot *pilot;
    VmfSwitchover *switchover;

    /* the worker's, set once and in order */
    GDBusConnection *link;
    GSocketAddress *remote;
    VmfAgreement *agreement;
    GVariant *loadable; /* what the stream is held against; NULL: nothing */
    gboolean prepared;
    char *path;
    uint8_t ticket[VMF_TICKET_ID_SIZE];
    uint8_t secret[VMF_TICKET_SECRET_SIZE];
    GPtrArray *doorways;
    VmfEngine engine;
    VmfOneSided *one_sided; /* of that engine; freed on the main loop */

    GMutex lock; /* for the following, which both threads touch */
    VmfPump *pump;
    virDomainPtr domain; /* while libvirt migrates it */
    GError *pump_error;
    gboolean torn;         /* the guest's memory is on both hosts */
    VmfFollow *unattended; /* post-copy: what QEMU does when libvirt has given up; or NULL */
} VmfOutgoing;

static const char *
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
    g_mutex_clear(&self->lock);
    explicit_bzero(self->secret, sizeof self->secret);
    g_free(self);
}

/* ---- cancelling (main loop) ---- */

static void
vmf_outgoing_on_cancel(VmfMigration *migration, VmfOutgoing *self)
{
    VmfAbortSetup setup = {
        .migration = migration,
        .workers = vmf_daemon_get_workers(self->daemon),
        .libvirt_uri = vmf_daemon_get_config(self->daemon)->libvirt_uri,
    };
    g_autoptr(GMutexLocker) locker = NULL;

    vmf_info(vmf_outgoing_id(self), "asked to cancel");
    g_cancellable_cancel(self->cancellable);
    locker = g_mutex_locker_new(&self->lock);
    setup.domain = self->domain;
    setup.pump = self->pump;
    if (setup.domain)
        vmf_abort_start(&setup);
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

static void
vmf_outgoing_on_delta(VmfMigration *migration, VmfOutgoing *self)
{
    VmfDelta delta;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    vmf_migration_get_delta(migration, &delta);
    vmf_info(vmf_outgoing_id(self),
             "deltas are %s, a cache of %" G_GUINT64_FORMAT " bytes, compression %d",
             delta.on ? "on" : "off", delta.cache, delta.compression);
    if (self->pump)
        vmf_pump_set_delta(self->pump, &delta);
}

/* ---- what the pump says (main loop) ---- */

static void
vmf_outgoing_on_statistics(VmfPump *pump, GVariant *statistics, VmfOutgoing *self)
{
    vmf_migration_note_statistics(self->migration, statistics, g_get_monotonic_time());
    vmf_switchover_note_statistics(self->switchover, statistics);
}

static void
vmf_outgoing_on_pump_ended(VmfPump *pump, const GError *error, VmfOutgoing *self)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    if (error && !self->pump_error)
        self->pump_error = g_error_copy(error);
}

/* ---- the steps (worker) ---- */

static gboolean
vmf_outgoing_read_answer(VmfOutgoing *self, GVariant *answer, GError **error)
{
    g_autoptr(GVariant) dict = g_variant_get_child_value(answer, 0);
    g_autofree char *path = NULL;

    if (!vmf_link_answer_get(dict, "ticket", self->ticket, sizeof self->ticket, error) ||
        !vmf_link_answer_get(dict, "secret", self->secret, sizeof self->secret, error))
        return FALSE;
    /* One string for both QEMUs, so a peer that sees another path could only be refused later. */
    g_variant_lookup(dict, "path", "s", &path);
    if (g_strcmp0(path, self->path) == 0)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED,
                "%s would use %s, this host %s; make RunDirectory the same on both",
                vmf_migration_get_peer(self->migration), path ? path : "nothing", self->path);
    return FALSE;
}

/* The source's libvirtd reaches the destination's over the data link. */
static gboolean
vmf_outgoing_carries_libvirt(VmfOutgoing *self)
{
    return !self->follow &&
           g_str_equal(vmf_peer_get_config(self->peer)->libvirt_uri, VMF_LIBVIRT_THROUGH_PUMP);
}

/* A link that is kept may be dead without our knowing: then another is dialled, once. */
static gboolean
vmf_outgoing_talk(VmfOutgoing *self, const VmfOffer *offer, GError **error)
{
    for (int attempt = 0; attempt < 2 && !self->agreement; attempt++) {
        g_clear_error(error);
        g_clear_object(&self->link);
        g_clear_object(&self->remote);
        self->link = vmf_peer_get_link(self->peer, self->cancellable, &self->remote, error);
        if (!self->link)
            return FALSE;
        self->agreement =
            vmf_negotiation_ask(self->daemon, self->peer, self->link, vmf_outgoing_id(self), offer,
                                self->cancellable, error);
        if (!self->agreement && !g_dbus_connection_is_closed(self->link))
            return FALSE;
    }
    return self->agreement != NULL;
}

static gboolean
vmf_outgoing_agree(VmfOutgoing *self, GError **error)
{
    const VmfPeerConfig *peer = vmf_peer_get_config(self->peer);
    g_autoptr(VmfOffer) offer = vmf_host_offer_new_outgoing(
        vmf_daemon_get_config(self->daemon), peer, self->follow ? NULL : self->options);
    gint64 begin = g_get_monotonic_time();

    if (!self->path) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED,
                    "RunDirectory and the name %s leave no room for a socket path", peer->name);
        return FALSE;
    }
    if (!vmf_outgoing_talk(self, offer, error))
        return FALSE;
    vmf_info(vmf_outgoing_id(self), "agreed with %s within %.1f ms", peer->name,
             (double)(g_get_monotonic_time() - begin) / 1000);
    return vmf_control_check_certificate(self->link, peer->name, error);
}

static gboolean
vmf_outgoing_forces(VmfOutgoing *self, const char *name)
{
    return self->options->force && g_strv_contains((const char *const *)self->options->force, name);
}

static gboolean
vmf_outgoing_prepare_peer(VmfOutgoing *self, GError **error)
{
    g_autoptr(GVariant) answer = NULL;
    GVariantDict guest;

    g_variant_dict_init(&guest, NULL);
    g_variant_dict_insert(&guest, "name", "s", vmf_migration_get_domain(self->migration));
    g_variant_dict_insert(&guest, "uuid", "s", vmf_migration_get_uuid(self->migration));
    g_variant_dict_insert_value(&guest, "agreement", vmf_negotiation_digest(self->agreement));
    if (self->options->dname)
        g_variant_dict_insert(&guest, "dname", "s", self->options->dname);
    if (self->options->postcopy_resume)
        g_variant_dict_insert(&guest, "postcopy-resume", "b", TRUE);
    if (vmf_outgoing_forces(self, "maintenance"))
        g_variant_dict_insert(&guest, "maintenance", "b", TRUE);
    if (self->follow)
        vmf_follow_describe(self->follow, &guest);
    self->prepared = TRUE; /* or may be, if no answer comes */
    answer = g_dbus_connection_call_sync(
        self->link, NULL, VMF_LINK_OBJECT, "org.vmferry1.Link", "Prepare",
        g_variant_new("(s@a{sv})", vmf_outgoing_id(self), g_variant_dict_end(&guest)),
        G_VARIANT_TYPE("(a{sv})"), G_DBUS_CALL_FLAGS_NONE, VMF_PREPARE_TIMEOUT, self->cancellable,
        error);
    if (!answer) {
        self->prepared = error && !g_dbus_error_is_remote_error(*error);
        return FALSE;
    }
    return vmf_outgoing_read_answer(self, answer, error);
}

/* From here on it is heard, and told; takes the reference. */
static void
vmf_outgoing_take_pump(VmfOutgoing *self, VmfPump *pump)
{
    VmfDelta delta;

    g_signal_connect(pump, "ended", G_CALLBACK(vmf_outgoing_on_pump_ended), self);
    g_signal_connect(pump, "statistics", G_CALLBACK(vmf_outgoing_on_statistics), self);
    g_mutex_lock(&self->lock);
    self->pump = pump;
    vmf_pump_set_bandwidth(pump, vmf_migration_get_bandwidth(self->migration));
    vmf_migration_get_delta(self->migration, &delta);
    vmf_pump_set_delta(pump, &delta);
    g_mutex_unlock(&self->lock);
}

static gboolean
vmf_outgoing_start_pump(VmfOutgoing *self, GError **error)
{
    const VmfConfig *config = vmf_daemon_get_config(self->daemon);
    g_autoptr(GSocket) data = NULL;
    VmfPump *pump = vmf_pump_spawn(config, vmf_outgoing_id(self), VMF_PUMP_SOURCE, self->secret,
                                   self->agreement, self->loadable, self->cancellable, error);

    if (!pump)
        return FALSE;
    vmf_outgoing_take_pump(self, pump);
    data = vmf_data_dial(self->remote, self->ticket, self->cancellable, error);
    return data && vmf_pump_attach_link(pump, data, 0, self->secret, self->cancellable, error);
}

static void
vmf_outgoing_on_taken(gpointer pump, const char *kind, GSocket *connection)
{
    vmf_pump_attach_channel(pump, kind, 0, connection);
}

static void
vmf_outgoing_on_taken_for_postcopy(gpointer preempt, const char *kind, GSocket *connection)
{
    vmf_preempt_take(preempt, connection);
}

/* Who brings connections of that kind to the pump. */
static void
vmf_outgoing_set_taker(VmfOutgoing *self, VmfDoorwaySetup *setup)
{
    const VmfPreemptSetup preempt = {
        .id = vmf_outgoing_id(self),
        .link = self->link,
        .remote = self->remote,
        .pump = self->pump,
        .workers = vmf_daemon_get_workers(self->daemon),
        .cancellable = self->cancellable,
    };

    if (self->options->postcopy && g_str_equal(setup->kind, "qemu")) {
        setup->taken = vmf_outgoing_on_taken_for_postcopy;
        setup->data = vmf_preempt_new(&preempt);
        setup->release = (GDestroyNotify)vmf_preempt_unref;
    } else {
        setup->taken = vmf_outgoing_on_taken;
        setup->data = g_object_ref(self->pump);
        setup->release = g_object_unref;
    }
}

static gboolean
vmf_outgoing_open_doorway(VmfOutgoing *self, const char *path, const char *kind, GError **error)
{
    VmfDoorwaySetup setup = {.path = path, .kind = kind, .id = vmf_outgoing_id(self)};
    VmfDoorway *doorway;

    if (!vmf_owner_get(vmf_daemon_get_owner(self->daemon), &setup.uid, &setup.gid, error))
        return FALSE;
    vmf_outgoing_set_taker(self, &setup);
    doorway = vmf_doorway_open(&setup, error);
    if (doorway)
        g_ptr_array_add(self->doorways, doorway);
    return doorway != NULL;
}

static gboolean
vmf_outgoing_open_doorways(VmfOutgoing *self, GError **error)
{
    g_autofree char *nbd = vmf_socket_path_for_nbd(self->path);
    g_autofree char *virt = vmf_socket_path_for_libvirt(self->path);

    if (self->follow)
        return TRUE; /* connections came by others, and bring more */
    return vmf_outgoing_open_doorway(self, self->path, "qemu", error) &&
           (!self->options->copy_storage || vmf_outgoing_open_doorway(self, nbd, "nbd", error)) &&
           (!vmf_outgoing_carries_libvirt(self) ||
            vmf_outgoing_open_doorway(self, virt, "libvirt", error));
}

/* Our paths hold nothing that a URI would have to escape. */
static char *
vmf_outgoing_destination_uri(VmfOutgoing *self)
{
    g_autofree char *virt = vmf_socket_path_for_libvirt(self->path);

    if (!vmf_outgoing_carries_libvirt(self))
        return g_strdup(vmf_peer_get_config(self->peer)->libvirt_uri);
    return g_strdup_printf("qemu+unix:///system?socket=%s", virt);
}

/* What was asked of libvirt, by us or by somebody else. */
static gboolean
vmf_outgoing_call_libvirt(VmfOutgoing *self, virDomainPtr domain, GError **error)
{
    g_autofree char *destination = vmf_outgoing_destination_uri(self);
    g_autofree char *nbd = vmf_socket_path_for_nbd(self->path);
    g_autofree char *uri = g_strdup_printf("unix://%s", self->path);
    g_autofree char *disks_uri = g_strdup_printf("unix://%s", nbd);
    VmfUris uris = {NULL, NULL, NULL};
    virTypedParameterPtr params = NULL;
    int n = 0;
    int result = -1;

    if (self->follow)
        return vmf_follow_run(self->follow, self->pump,
                              vmf_daemon_get_config(self->daemon)->libvirt_uri, error);
    if (self->engine == VMF_ENGINE_PUMP)
        uris = (VmfUris){uri, disks_uri, NULL};
    else if (self->one_sided)
        uris = (VmfUris){vmf_one_sided_get_uri(self->one_sided), NULL,
                         vmf_one_sided_get_listen_address(self->one_sided)};
    if (vmf_options_get_params(self->options, self->engine, &uris, &params, &n))
        result = virDomainMigrateToURI3(domain, destination, params, (unsigned int)n,
                                        vmf_options_get_flags(self->options, self->engine));
    if (result < 0)
        vmf_libvirt_set_error(error, VMF_ERROR_LIBVIRT_FAILED, "libvirt");
    virTypedParamsFree(params, n);
    return result == 0;
}

/* Where the guest is when the migration did not complete, and what is to be done. */
static char *
vmf_outgoing_fate(VmfOutgoing *self)
{
    const char *guest = vmf_migration_get_domain(self->migration);
    const char *peer = vmf_migration_get_peer(self->migration);

    if (!self->torn)
        return g_strdup("the guest runs on at the source");
    return g_strdup_printf("the guest runs at %s, and stands still where it needs memory that was "
                           "not sent yet; go on with: vmferry migrate --postcopy-resume %s %s",
                           peer, guest, peer);
}

/* Which of the two reasons to tell: the pump's, when it came to grief by itself. */
static void
vmf_outgoing_set_failure(VmfOutgoing *self, const GError *libvirt_error, GError **error)
{
    g_autofree char *fate = vmf_outgoing_fate(self);
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    if (self->pump_error && self->follow) /* which came first, only the one who started it heard */
        g_set_error(error, VMF_ERROR, libvirt_error->code, "%s; the stream: %s",
                    libvirt_error->message, self->pump_error->message);
    else if (self->pump_error)
        g_set_error(error, VMF_ERROR, self->pump_error->code, "%s; %s", self->pump_error->message,
                    fate);
    else if (self->torn)
        g_set_error(error, VMF_ERROR, libvirt_error->code, "%s; %s", libvirt_error->message, fate);
    else
        g_propagate_error(error, g_error_copy(libvirt_error));
}

/* From here on a cancel aborts libvirt's job; one that came before is an error now. */
static gboolean
vmf_outgoing_set_domain(VmfOutgoing *self, virDomainPtr domain, GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    self->domain = NULL;
    if (g_cancellable_set_error_if_cancelled(self->cancellable, error))
        return FALSE;
    self->domain = domain;
    return TRUE;
}

/*
 * In post-copy QEMU goes on by itself when libvirt has given up (its connection broke, or it was
 * hasty), and libvirt takes note of the end. TRUE: the guest has left this host.
 */
static gboolean
vmf_outgoing_goes_on(VmfOutgoing *self, const GError *problem)
{
    if (!self->torn || !self->unattended || vmf_pump_has_ended(self->pump))
        return FALSE;
    vmf_warn(vmf_outgoing_id(self), "%s; QEMU goes on by itself", problem->message);
    return vmf_follow_run(self->unattended, self->pump,
                          vmf_daemon_get_config(self->daemon)->libvirt_uri, NULL);
}

static gboolean
vmf_outgoing_migrate(VmfOutgoing *self, GError **error)
{
    const VmfConfig *config = vmf_daemon_get_config(self->daemon);
    g_autoptr(virConnect) connection = vmf_libvirt_open(config->libvirt_uri, error);
    g_autoptr(virDomain) domain = NULL;
    g_autoptr(GError) problem = NULL;
    gboolean result;

    if (connection)
        domain = vmf_guest_lookup(connection, vmf_migration_get_uuid(self->migration), error);
    if (!domain || !vmf_outgoing_set_domain(self, domain, error))
        return FALSE;
    vmf_migration_set_state(self->migration, self->options->postcopy_resume ? VMF_STATE_POSTCOPY
                                                                            : VMF_STATE_RUNNING);
    result = vmf_outgoing_call_libvirt(self, domain, &problem);
    vmf_outgoing_set_domain(self, NULL, NULL);
    self->torn = !result && (vmf_guest_is_torn(domain) ||
                             vmf_migration_get_state(self->migration) == VMF_STATE_POSTCOPY);
    if (problem && vmf_outgoing_goes_on(self, problem))
        return TRUE;
    if (problem)
        vmf_outgoing_set_failure(self, problem, error);
    return result;
}

/* The destination cleans up while we wait; when it cannot hear us it finds out by itself. */
static void
vmf_outgoing_tell_peer(VmfOutgoing *self, const GError *error)
{
    g_autoptr(GVariant) answer = NULL;
    g_autoptr(GError) problem = NULL;
    VmfError code = error && error->domain == VMF_ERROR ? (VmfError)error->code : VMF_ERROR_FAILED;

    answer = g_dbus_connection_call_sync(
        self->link, NULL, VMF_LINK_OBJECT, "org.vmferry1.Link", "Finish",
        g_variant_new("(sss)", vmf_outgoing_id(self), error ? vmf_error_name(code) : "",
                      error ? error->message : ""),
        NULL, G_DBUS_CALL_FLAGS_NONE, error ? VMF_FAILED_TIMEOUT : VMF_FINISH_TIMEOUT, NULL,
        &problem);
    if (!answer)
        vmf_debug(vmf_outgoing_id(self), "telling the peer: %s", problem->message);
}

static void
vmf_outgoing_clean_up(VmfOutgoing *self, const GError *error)
{
    g_ptr_array_set_size(self->doorways, 0); /* closes them */
    if (self->follow)
        vmf_follow_close(self->follow);
    if (self->pump && error)
        vmf_pump_stop(self->pump, error);
    if (self->prepared)
        vmf_outgoing_tell_peer(self, error);
    if (self->pump && !vmf_pump_wait_ended(self->pump, VMF_PUMP_PATIENCE))
        vmf_pump_stop(self->pump, error);
}

/* Before anything is touched. Where libvirt is at it, or half of the guest there, there is no
 * before. */
static gboolean
vmf_outgoing_check(VmfOutgoing *self, GError **error)
{
    const VmfPrecheckInit init = {
        .domain = vmf_migration_get_uuid(self->migration),
        .dname = self->options->dname,
        .xml = self->options->xml,
        .force = (const char *const *)self->options->force,
    };
    g_autoptr(GPtrArray) concerns = NULL;
    const VmfConcern *block;
    gint64 begin = g_get_monotonic_time();

    if (self->follow || self->options->postcopy_resume)
        return TRUE;
    concerns = vmf_precheck_run(self->daemon, self->peer, &init, self->cancellable, &self->loadable,
                                error);
    if (!concerns)
        return FALSE;
    vmf_info(vmf_outgoing_id(self), "checked the guest within %.1f ms",
             (double)(g_get_monotonic_time() - begin) / 1000);
    vmf_migration_set_findings(self->migration, vmf_concerns_to_variant(concerns));
    block = vmf_concerns_find_block(concerns);
    if (!block)
        return TRUE;
    if (vmf_concern_can_be_forced(block))
        g_set_error(error, VMF_ERROR, block->code, "%s (--force %s overrides this)", block->message,
                    block->name);
    else
        g_set_error_literal(error, VMF_ERROR, block->code, block->message);
    return FALSE;
}

/* Which one carries it; a talk with the peer is part of that, where it matters. */
static gboolean
vmf_outgoing_choose_engine(VmfOutgoing *self, GError **error)
{
    const VmfConfig *config = vmf_daemon_get_config(self->daemon);
    g_autoptr(GError) talk = NULL;
    g_autofree char *reason = NULL;

    if (vmf_engine_needs_peer(self->options->engine) && !vmf_outgoing_agree(self, &talk))
        talk = vmf_error_normalize(g_steal_pointer(&talk));
    if (!vmf_engine_choose(config, vmf_peer_get_config(self->peer), self->options, talk,
                           &self->engine, &reason, error))
        return FALSE;
    vmf_info(vmf_outgoing_id(self), "engine %s: %s", vmf_engine_name(self->engine), reason);
    vmf_migration_set_engine(self->migration, vmf_engine_name(self->engine), reason,
                             self->agreement &&
                                 vmf_agreement_has(self->agreement, VMF_FEATURE_TLS));
    return TRUE;
}

/* What lies between the choice and libvirt's call. */
static gboolean
vmf_outgoing_lay_way(VmfOutgoing *self, GError **error)
{
    const VmfOneSidedSetup setup = {
        .daemon = self->daemon,
        .peer = vmf_peer_get_config(self->peer),
        .options = self->options,
        .id = vmf_outgoing_id(self),
        .cancellable = self->cancellable,
    };

    if (self->engine == VMF_ENGINE_PUMP)
        return vmf_outgoing_check(self, error) && vmf_outgoing_prepare_peer(self, error) &&
               vmf_outgoing_start_pump(self, error) && vmf_outgoing_open_doorways(self, error);
    if (self->engine != VMF_ENGINE_ONE_SIDED)
        return TRUE;
    self->one_sided = vmf_one_sided_new(&setup, error);
    if (self->one_sided)
        vmf_outgoing_take_pump(self, g_object_ref(vmf_one_sided_get_pump(self->one_sided)));
    return self->one_sided != NULL;
}

static gpointer
vmf_outgoing_thread(gpointer data)
{
    g_autoptr(GTask) task = data;
    VmfOutgoing *self = g_task_get_task_data(task);
    GError *error = NULL;

    if (vmf_outgoing_choose_engine(self, &error) && vmf_outgoing_lay_way(self, &error))
        vmf_outgoing_migrate(self, &error);
    if (error && g_cancellable_is_cancelled(self->cancellable)) { /* whatever came of it */
        g_autofree char *fate = vmf_outgoing_fate(self);

        g_clear_error(&error);
        g_set_error(&error, VMF_ERROR, VMF_ERROR_CANCELLED, "cancelled; %s", fate);
    } else if (error) {
        error = vmf_error_normalize(error);
    }
    vmf_outgoing_clean_up(self, error);
    if (!error)
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
    vmf_job_watch_stop(self->watch);
    vmf_pilot_stop(self->pilot);
    vmf_switchover_stop(self->switchover);
    g_task_propagate_boolean(G_TASK(result), &error);
    vmf_migration_finish(self->migration, error);
    vmf_outgoing_free(self);
}

static void
vmf_outgoing_begin(VmfDaemon *daemon, VmfMigration *migration, VmfPeer *peer, VmfOptions *options,
                   VmfFollow *follow)
{
    VmfOutgoing *self = g_new0(VmfOutgoing, 1);
    g_autoptr(GTask) task = g_task_new(NULL, NULL, vmf_outgoing_done, self);

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
    vmf_info(vmf_outgoing_id(self), "guest '%s' goes to %s", vmf_migration_get_domain(migration),
             vmf_migration_get_peer(migration));
    self->watch = vmf_job_watch_start(migration, vmf_daemon_get_libvirt(daemon),
                                      vmf_daemon_get_config(daemon)->libvirt_uri);
    self->pilot = vmf_pilot_start(migration, vmf_daemon_get_libvirt(daemon),
                                  vmf_daemon_get_config(daemon)->libvirt_uri, options);
    self->switchover = vmf_switchover_start(
        migration, vmf_daemon_get_libvirt(daemon), vmf_daemon_get_config(daemon)->libvirt_uri,
        options->downtime ? options->downtime : VMF_DOWNTIME_DEFAULT);
    g_task_set_task_data(task, self, NULL);
    /* A thread of its own: it waits for hours, and GTask's pool is small and everybody's. */
    vmf_workers_add(vmf_daemon_get_workers(daemon), task);
    g_thread_unref(g_thread_new("migration", vmf_outgoing_thread, g_object_ref(task)));
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
}
