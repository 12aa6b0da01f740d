/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/outgoing-private.h"

#include "base/error.h"
#include "base/log.h"
#include "daemon/abort.h"
#include "daemon/doorway.h"
#include "daemon/kept.h"
#include "daemon/link-answer.h"
#include "daemon/link-service.h"
#include "daemon/negotiation.h"
#include "daemon/one-sided.h"
#include "daemon/precheck.h"
#include "daemon/preempt.h"
#include "daemon/pump-process.h"
#include "daemon/socket-path.h"
#include "link/control.h"
#include "probe/concern.h"

#define VMF_PREPARE_TIMEOUT 30000 /* ms */

/* A ticket lives for 30 s, and an attempt takes 10 at most. */
#define VMF_DIAL_PATIENCE (10 * G_USEC_PER_SEC) /* µs */
#define VMF_DIAL_PAUSE 500                      /* ms */

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
gboolean
vmf_outgoing_carries_libvirt(VmfOutgoing *self)
{
    return !self->follow &&
           g_str_equal(vmf_peer_get_config(self->peer)->libvirt_uri, VMF_LIBVIRT_THROUGH_PUMP);
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

/*
 * Of how much memory a guest is that somebody else began to migrate, may have become known before
 * there was an account.
 */
static void
vmf_outgoing_count_memory(VmfOutgoing *self)
{
    VmfBudget *budget = vmf_daemon_get_budget(self->daemon);

    vmf_budget_note_guest(budget, vmf_outgoing_id(self), vmf_migration_get_memory(self->migration));
    vmf_kept_set_account(self->migration, budget);
}

void
vmf_outgoing_take_pump(VmfOutgoing *self, VmfPump *pump)
{
    vmf_outgoing_count_memory(self);
    g_signal_connect(pump, "ended", G_CALLBACK(vmf_outgoing_on_pump_ended), self);
    g_signal_connect(pump, "statistics", G_CALLBACK(vmf_outgoing_on_statistics), self);
    g_signal_connect(pump, "lost-links", G_CALLBACK(vmf_outgoing_on_lost_links), self);
    g_mutex_lock(&self->lock);
    self->pump = pump;
    vmf_pump_set_bandwidth(pump, vmf_migration_get_bandwidth(self->migration));
    vmf_outgoing_give_delta(self);
    g_mutex_unlock(&self->lock);
    vmf_kept_set_pump(self->migration, pump);
}

/* FALSE: cancelled meanwhile. */
static gboolean
vmf_outgoing_pause(VmfOutgoing *self, gint milliseconds)
{
    GPollFD cancelled;

    if (g_cancellable_make_pollfd(self->cancellable, &cancelled)) {
        (void)g_poll(&cancelled, 1, milliseconds);
        g_cancellable_release_fd(self->cancellable);
    }
    return !g_cancellable_is_cancelled(self->cancellable);
}

/*
 * Where strangers crowd the port, one of ours may be told that it is busy, or not be accepted in
 * time. The ticket is not spent by that.
 */
static GSocket *
vmf_outgoing_dial(VmfOutgoing *self, GError **error)
{
    gint64 until = g_get_monotonic_time() + VMF_DIAL_PATIENCE;
    GSocket *data;

    for (;;) {
        g_autoptr(GError) problem = NULL;

        data = vmf_data_dial(self->remote, self->ticket, self->cancellable, &problem);
        if (data)
            return data;
        if ((!g_error_matches(problem, VMF_ERROR, VMF_ERROR_LIMIT_REACHED) &&
             !g_error_matches(problem, VMF_ERROR, VMF_ERROR_TIMED_OUT)) ||
            g_get_monotonic_time() > until || !vmf_outgoing_pause(self, VMF_DIAL_PAUSE)) {
            g_propagate_error(error, g_steal_pointer(&problem));
            return NULL;
        }
        vmf_info(vmf_outgoing_id(self), "%s; it is dialled again", problem->message);
    }
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
    data = vmf_outgoing_dial(self, error);
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

    if (self->options->postcopy && self->link && g_str_equal(setup->kind, "qemu")) {
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

gboolean
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

/* Before anything is touched. Where libvirt is at it, or half of the guest there, there is no
 * before. */
static gboolean
vmf_outgoing_check(VmfOutgoing *self, GError **error)
{
    const VmfPrecheckInit init = {
        .domain = vmf_migration_get_uuid(self->migration),
        .dname = self->options->dname,
        .xml = self->options->xml,
        .postcopy = self->options->postcopy,
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

/* What lies between the choice and libvirt's call. */
static gboolean
vmf_outgoing_lay_way(VmfOutgoing *self, GError **error)
{
    const VmfOneSidedSetup setup = {
        .daemon = self->daemon,
        .peer = vmf_peer_get_config(self->peer),
        .options = self->options,
        .id = vmf_outgoing_id(self),
        .onward = self->follow ? vmf_follow_get_onward(self->follow) : NULL,
        .memory = self->options->memory,
        .cancellable = self->cancellable,
    };

    if (self->engine != VMF_ENGINE_PUMP) { /* what the talk was held with */
        vmf_budget_close(vmf_daemon_get_budget(self->daemon), vmf_outgoing_id(self));
        vmf_kept_set_account(self->migration, vmf_daemon_get_budget(self->daemon));
    }
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

gboolean
vmf_outgoing_prepare(VmfOutgoing *self, GError **error)
{
    if (!vmf_outgoing_choose(self, error) || !vmf_outgoing_lay_way(self, error))
        return FALSE;
    vmf_kept_set_options(self->migration, self->options);
    return TRUE;
}
