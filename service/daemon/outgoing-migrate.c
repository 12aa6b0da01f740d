/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/outgoing-private.h"

#include "base/error.h"
#include "base/log.h"
#include "daemon/engine.h"
#include "daemon/host-offer.h"
#include "daemon/one-sided.h"
#include "daemon/pump-process.h"
#include "daemon/socket-path.h"

/* Our paths hold nothing that a URI would have to escape. */
static char *
vmf_outgoing_destination_uri(VmfOutgoing *self)
{
    g_autofree char *virt = vmf_socket_path_for_libvirt(self->path);

    if (!vmf_outgoing_carries_libvirt(self))
        return g_strdup(vmf_peer_get_config(self->peer)->libvirt_uri);
    return g_strdup_printf("qemu+unix:///system?socket=%s", virt);
}

/* How many QEMU may open at most, where some were asked for; 0: nobody said. */
static guint
vmf_outgoing_agreed_connections(VmfOutgoing *self)
{
    const char *feature =
        self->engine == VMF_ENGINE_NATIVE ? VMF_FEATURE_NATIVE_MULTIFD : VMF_FEATURE_CHANNELS;

    return self->agreement
               ? (guint)vmf_agreement_get_number(self->agreement, feature, "connections")
               : 0;
}

/* What was asked of libvirt, by us or by somebody else. */
static gboolean
vmf_outgoing_call_libvirt(VmfOutgoing *self, virDomainPtr domain, GError **error)
{
    g_autofree char *destination = vmf_outgoing_destination_uri(self);
    g_autofree char *nbd = vmf_socket_path_for_nbd(self->path);
    g_autofree char *uri = g_strdup_printf("unix://%s", self->path);
    g_autofree char *disks_uri = g_strdup_printf("unix://%s", nbd);
    VmfRoute route = {.engine = self->engine,
                      .method = self->method,
                      .connections = vmf_outgoing_agreed_connections(self)};
    virTypedParameterPtr params = NULL;
    int n = 0;
    int result = -1;

    if (self->follow)
        return vmf_follow_run(self->follow, self->pump,
                              vmf_daemon_get_config(self->daemon)->libvirt_uri, error);
    if (self->engine == VMF_ENGINE_PUMP) {
        route.uri = uri;
        route.disks_uri = disks_uri;
    } else if (self->one_sided) {
        route.uri = vmf_one_sided_get_uri(self->one_sided);
        route.listen_address = vmf_one_sided_get_listen_address(self->one_sided);
    }
    if (vmf_options_get_params(self->options, &route, &params, &n))
        result = virDomainMigrateToURI3(domain, destination, params, (unsigned int)n,
                                        vmf_options_get_flags(self->options, &route));
    if (result < 0)
        vmf_libvirt_set_error(error, VMF_ERROR_LIBVIRT_FAILED, "libvirt");
    virTypedParamsFree(params, n);
    return result == 0;
}

char *
vmf_outgoing_torn_fate(VmfOutgoing *self)
{
    const char *guest = vmf_migration_get_domain(self->migration);
    const char *peer = vmf_migration_get_peer(self->migration);

    return g_strdup_printf("the guest runs at %s, and stands still where it needs memory that was "
                           "not sent yet; go on with: vmferry migrate --postcopy-resume %s %s",
                           peer, guest, peer);
}

/* QEMU at the source is no more. */
static char *
vmf_outgoing_ended_fate(VmfOutgoing *self)
{
    const char *guest = vmf_migration_get_domain(self->migration);
    const char *peer = vmf_migration_get_peer(self->migration);
    g_autofree char *why = g_strdup_printf("QEMU of guest '%s' ended at the source, as "
                                           "/var/log/libvirt/qemu/%s.log there may explain",
                                           guest, guest);

    if (!self->ended_surely)
        return g_strdup_printf("%s, unless the guest has moved: see first whether it runs at %s%s",
                               why, peer,
                               self->torn ? "; if it stands still there, destroy it and start it "
                                            "again"
                                          : ", then it can be started again");
    if (self->torn)
        return g_strdup_printf("%s, and with it memory that %s has not got: destroy what is left "
                               "of the guest there, and start it again",
                               why, peer);
    return g_strdup_printf("%s: it runs on neither host, and can be started again", why);
}

char *
vmf_outgoing_fate(VmfOutgoing *self)
{
    if (self->ended)
        return vmf_outgoing_ended_fate(self);
    return self->torn ? vmf_outgoing_torn_fate(self) : g_strdup("the guest runs on at the source");
}

/* Which of the two reasons to tell: the pump's, when it came to grief by itself. */
static void
vmf_outgoing_set_failure(VmfOutgoing *self, const GError *libvirt_error, GError **error)
{
    g_autofree char *fate = vmf_outgoing_fate(self);
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->lock);

    if (self->ended) /* and what the pump and libvirt say came of that */
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_DOMAIN_NOT_RUNNING, fate);
    else if (self->pump_error &&
             self->follow) /* which came first, only the one who started it heard */
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

gboolean
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
    if (!self->torn || !self->unattended || !self->pump || vmf_pump_has_ended(self->pump))
        return FALSE;
    vmf_warn(vmf_outgoing_id(self), "%s; QEMU goes on by itself", problem->message);
    return vmf_follow_run(self->unattended, self->pump,
                          vmf_daemon_get_config(self->daemon)->libvirt_uri, NULL);
}

gboolean
vmf_outgoing_conclude(VmfOutgoing *self, virDomainPtr domain, const GError *problem, GError **error)
{
    vmf_outgoing_set_domain(self, NULL, NULL);
    if (!problem)
        return TRUE;
    self->torn = (domain && vmf_guest_is_torn(domain)) ||
                 vmf_migration_get_state(self->migration) == VMF_STATE_POSTCOPY;
    if (vmf_outgoing_goes_on(self, problem))
        return TRUE;
    self->ended = domain && vmf_guest_has_ended(domain, &self->ended_surely);
    vmf_outgoing_set_failure(self, problem, error);
    return FALSE;
}

gboolean
vmf_outgoing_migrate(VmfOutgoing *self, GError **error)
{
    const VmfConfig *config = vmf_daemon_get_config(self->daemon);
    g_autoptr(virConnect) connection = vmf_libvirt_open(config->libvirt_uri, error);
    g_autoptr(virDomain) domain = NULL;
    g_autoptr(GError) problem = NULL;

    if (connection)
        domain = vmf_guest_lookup(connection, vmf_migration_get_uuid(self->migration), error);
    if (!domain || !vmf_outgoing_set_domain(self, domain, error))
        return FALSE;
    vmf_migration_set_state(self->migration, self->options->postcopy_resume ? VMF_STATE_POSTCOPY
                                                                            : VMF_STATE_RUNNING);
    vmf_outgoing_call_libvirt(self, domain, &problem);
    return vmf_outgoing_conclude(self, domain, problem, error);
}
