/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The source's part in a migration that an earlier vmferryd began; see outgoing.h. */
#include "base/error.h"
#include "base/log.h"
#include "daemon/kept.h"
#include "daemon/outgoing-private.h"
#include "daemon/steering.h"

/* ---- the worker's step ---- */

/* NULL: it is gone, which libvirt will tell or has told the other way. */
static void
vmf_outgoing_adopt_pump(VmfOutgoing *self)
{
    g_autoptr(GError) error = NULL;
    VmfPump *pump = vmf_pump_adopt(vmf_daemon_get_config(self->daemon), vmf_outgoing_id(self),
                                   VMF_PUMP_SOURCE, &self->process, self->cancellable, &error);

    if (error)
        vmf_warn(vmf_outgoing_id(self), "%s", error->message);
    if (!pump)
        return;
    vmf_outgoing_take_pump(self, pump);
    vmf_pump_tell_again(pump);
}

/* Who would tell the destination did not live to see it. */
static void
vmf_outgoing_tell_of_pump(VmfOutgoing *self)
{
    g_autoptr(GError) error =
        g_error_new_literal(VMF_ERROR, VMF_ERROR_PUMP_FAILED, "vmferry-pump at the source died");
    g_autoptr(GSocketAddress) remote = NULL;
    g_autoptr(GDBusConnection) link = NULL;

    if (!self->pump && self->prepared)
        link = vmf_peer_get_link(self->peer, self->cancellable, &remote, NULL);
    if (link)
        vmf_outgoing_warn_peer(self, link, error);
}

/* QEMU may come with more connections: the one of post-copy, or all of them. */
static void
vmf_outgoing_open_again(VmfOutgoing *self)
{
    g_autoptr(GError) error = NULL;

    if (!self->pump || self->engine != VMF_ENGINE_PUMP ||
        !vmf_migration_is_led_by_us(self->migration))
        return;
    if (self->options->postcopy)
        self->link = vmf_peer_get_link(self->peer, self->cancellable, &self->remote, NULL);
    if (!vmf_outgoing_open_doorways(self, &error))
        vmf_warn(vmf_outgoing_id(self), "it takes no more connections: %s", error->message);
}

/* What was missed while there was no vmferryd. */
static void
vmf_outgoing_look(VmfOutgoing *self, virDomainPtr domain)
{
    virDomainJobInfo job;
    int state = 0;
    int reason = 0;

    if (virDomainGetJobInfo(domain, &job) < 0 || job.type == VIR_DOMAIN_JOB_NONE ||
        virDomainGetState(domain, &state, &reason, 0) < 0)
        return;
    vmf_migration_set_state(self->migration, VMF_STATE_RUNNING);
    if (state != VIR_DOMAIN_PAUSED)
        return;
    if (reason == VIR_DOMAIN_PAUSED_POSTCOPY || reason == VIR_DOMAIN_PAUSED_POSTCOPY_FAILED)
        vmf_migration_set_state(self->migration, VMF_STATE_POSTCOPY);
    else if (reason == VIR_DOMAIN_PAUSED_MIGRATION)
        vmf_migration_set_state(self->migration, VMF_STATE_SWITCHING);
}

/* libvirt is asked after the state is another: there was nothing yet but a pump. */
static gboolean
vmf_outgoing_check_begun(VmfOutgoing *self, GError **error)
{
    if (vmf_migration_get_state(self->migration) != VMF_STATE_PREPARING)
        return TRUE;
    g_set_error_literal(error, VMF_ERROR, VMF_ERROR_FAILED,
                        "vmferryd was restarted before libvirt was asked; the guest runs on at the "
                        "source");
    return FALSE;
}

gboolean
vmf_outgoing_take_up(VmfOutgoing *self, GError **error)
{
    const char *uri = vmf_daemon_get_config(self->daemon)->libvirt_uri;
    g_autoptr(virConnect) connection = NULL;
    g_autoptr(virDomain) domain = NULL;
    g_autoptr(GError) problem = NULL;

    vmf_outgoing_adopt_pump(self);
    if (!vmf_outgoing_check_begun(self, error))
        return FALSE;
    vmf_outgoing_open_again(self);
    connection = vmf_libvirt_open(uri, NULL);
    if (connection)
        domain = vmf_guest_lookup(connection, vmf_migration_get_uuid(self->migration), NULL);
    if (domain && !vmf_outgoing_set_domain(self, domain, error))
        return FALSE;
    if (domain)
        vmf_outgoing_look(self, domain);
    vmf_outgoing_tell_of_pump(self);
    vmf_follow_take_up(self->taken, self->pump, uri, &problem);
    return vmf_outgoing_conclude(self, domain, problem, error);
}

/* ---- the beginning (main loop) ---- */

/* The time that it may take began with it. */
static void
vmf_outgoing_shorten_timeout(VmfOptions *options, VmfMigration *migration)
{
    gint64 passed = (g_get_real_time() - vmf_migration_get_started(migration)) / G_USEC_PER_SEC;

    if (options->timeout)
        options->timeout = (guint)CLAMP((gint64)options->timeout - passed, 1, options->timeout);
}

gboolean
vmf_outgoing_take_over(VmfDaemon *daemon, VmfMigration *migration, VmfPeer *peer,
                       GVariant *sections, GError **error)
{
    g_autoptr(VmfOptions) options = vmf_kept_get_options(sections, error);
    g_autofree char *engine = vmf_migration_dup_engine(migration);
    const VmfSteeringSetup steering = {
        .migration = migration,
        .libvirt = vmf_daemon_get_libvirt(daemon),
        .libvirt_uri = vmf_daemon_get_config(daemon)->libvirt_uri,
        .budget = vmf_daemon_get_budget(daemon),
    };
    VmfProcessId process;
    VmfOutgoing *self;

    if (!options || !vmf_kept_get_pump(sections, &process, error) ||
        !vmf_steering_restore(&steering, sections, error))
        return FALSE;
    vmf_outgoing_shorten_timeout(options, migration);
    self = vmf_outgoing_new(daemon, migration, peer, g_steal_pointer(&options), NULL);
    self->process = process;
    (void)vmf_engine_from_name(engine, &self->engine);
    self->prepared = self->engine == VMF_ENGINE_PUMP;
    self->taken = vmf_follow_new(vmf_daemon_get_libvirt(daemon), vmf_migration_get_uuid(migration),
                                 "vmferry");
    vmf_outgoing_run(self);
    return TRUE;
}
