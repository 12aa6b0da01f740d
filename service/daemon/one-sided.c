/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/one-sided.h"

#include <glib/gstdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "daemon/dialler.h"
#include "daemon/host-offer.h"
#include "daemon/loopback.h"
#include "daemon/socket-path.h"

#define VMF_ONE_SIDED_ONWARD "-onward" /* behind the id: the second pump's */

struct VmfOneSided {
    char *id;
    char *listen_address; /* of the destination */
    char *uri;
    VmfLoopback *door;
    VmfPump *pump;   /* QEMU's stream comes in */
    VmfPump *onward; /* and goes out */
    VmfDialler *dialler;
    VmfAgreement *agreement;
    uint8_t secret[VMF_TICKET_SECRET_SIZE];
};

VmfPump *
vmf_one_sided_get_pump(VmfOneSided *self)
{
    return self->pump;
}

VmfPump *
vmf_one_sided_get_onward(VmfOneSided *self)
{
    return self->onward;
}

const char *
vmf_one_sided_get_uri(VmfOneSided *self)
{
    return self->uri;
}

const char *
vmf_one_sided_get_listen_address(VmfOneSided *self)
{
    return self->listen_address;
}

static void
vmf_one_sided_on_taken(gpointer pump, GSocket *connection)
{
    vmf_pump_attach_channel(pump, "qemu", 0, connection);
}

static void
vmf_one_sided_on_wanted(VmfPump *pump, guint channel, const char *kind, VmfOneSided *self)
{
    vmf_dialler_add(self->dialler, channel, kind);
}

/* One of the peer's own addresses, for its QEMU to listen on. */
static gboolean
vmf_one_sided_resolve(VmfOneSided *self, const VmfOneSidedSetup *setup, GError **error)
{
    g_autoptr(GSocketConnectable) peer =
        g_network_address_parse(setup->peer->addresses[0], VMF_DEFAULT_PORT, error);
    g_autoptr(GError) problem = NULL;
    GList *found;

    if (!peer)
        return FALSE;
    found = g_resolver_lookup_by_name(g_resolver_get_default(),
                                      g_network_address_get_hostname(G_NETWORK_ADDRESS(peer)),
                                      setup->cancellable, &problem);
    if (!found) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PEER_UNREACHABLE, "%s: %s", setup->peer->name,
                    problem->message);
        return FALSE;
    }
    self->listen_address = g_inet_address_to_string(found->data);
    g_resolver_free_addresses(found);
    return TRUE;
}

/* Both pumps are ours: what a peer would be asked is known, and what only a link needs is off. */
static gboolean
vmf_one_sided_agree(VmfOneSided *self, const VmfOneSidedSetup *setup, GError **error)
{
    const VmfAgreementTerms terms = {setup->id, "this host", "this host", g_get_real_time()};
    g_autoptr(VmfOffer) offer = vmf_host_offer_new(vmf_daemon_get_config(setup->daemon), NULL);
    const char *const off[] = {VMF_FEATURE_TLS, VMF_FEATURE_CHECKSUM, VMF_FEATURE_ZSTD,
                               VMF_FEATURE_NBD, VMF_FEATURE_RESUME,   VMF_FEATURE_LIBVIRT_CHANNEL};

    for (gsize i = 0; i < G_N_ELEMENTS(off); i++)
        vmf_offer_refuse(offer, off[i], "both pumps are on this host");
    self->agreement = vmf_agreement_new(vmf_features(), &terms, offer, offer, error);
    return self->agreement != NULL;
}

static gboolean
vmf_one_sided_open_account(const VmfOneSidedSetup *setup, GError **error)
{
    /* One keeps what the other has not taken, which holds it until QEMU takes it. */
    const VmfBudgetWish wish = {
        .pumps = 2, .ram = setup->memory, .kept_least = 2 * VMF_BUDGET_KEPT_UNAGREED};
    VmfBudgetShare share;

    return vmf_budget_open(vmf_daemon_get_budget(setup->daemon), setup->id, &wish, &share, error);
}

static gboolean
vmf_one_sided_start_pumps(VmfOneSided *self, const VmfOneSidedSetup *setup, GError **error)
{
    const VmfConfig *config = vmf_daemon_get_config(setup->daemon);
    g_autofree char *onward_id = g_strconcat(setup->id, VMF_ONE_SIDED_ONWARD, NULL);

    if (getrandom(self->secret, sizeof self->secret, 0) != sizeof self->secret) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_FAILED,
                            "the system's random generator failed");
        return FALSE;
    }
    self->onward = vmf_pump_spawn(config, onward_id, VMF_PUMP_DESTINATION, self->secret,
                                  self->agreement, NULL, setup->cancellable, error);
    if (self->onward)
        self->pump = vmf_pump_spawn(config, setup->id, VMF_PUMP_SOURCE, self->secret,
                                    self->agreement, NULL, setup->cancellable, error);
    return self->pump != NULL;
}

static void
vmf_one_sided_attached(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(VmfPump) onward = data;

    (void)vmf_pump_attach_link_finish(onward, result, NULL); /* the other end says why */
}

static gboolean
vmf_one_sided_join(VmfOneSided *self, const VmfOneSidedSetup *setup, GError **error)
{
    g_autoptr(GSocket) near = NULL;
    g_autoptr(GSocket) far = NULL;
    VmfTicket ticket = {.link = 0};
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_FAILED, "socketpair: %s", g_strerror(errno));
        return FALSE;
    }
    near = g_socket_new_from_fd(fds[0], error);
    far = g_socket_new_from_fd(fds[1], near ? error : NULL);
    if (!near || !far)
        return FALSE;
    memcpy(ticket.secret, self->secret, sizeof ticket.secret);
    vmf_pump_attach_link_async(self->onward, far, &ticket, vmf_one_sided_attached,
                               g_object_ref(self->onward));
    return vmf_pump_attach_link(self->pump, near, 0, self->secret, setup->cancellable, error);
}

static void
vmf_one_sided_go_on(VmfOneSided *self, GSocketAddress *there)
{
    self->dialler = vmf_dialler_new_onward(self->onward, self->id, there);
    g_signal_connect(self->onward, "channel-wanted", G_CALLBACK(vmf_one_sided_on_wanted), self);
}

static gboolean
vmf_one_sided_open_door(VmfOneSided *self, const VmfOneSidedSetup *setup, GError **error)
{
    g_autoptr(GSocketAddress) there = NULL;
    guint uid;
    guint gid;

    if (!vmf_owner_get(vmf_daemon_get_owner(setup->daemon), &uid, &gid, error))
        return FALSE;
    self->door = vmf_loopback_open(uid, setup->id, vmf_one_sided_on_taken, self->pump, error);
    if (!self->door)
        return FALSE;
    self->uri =
        g_strdup_printf("tcp://%s:%u", VMF_LOOPBACK_ADDRESS, vmf_loopback_get_port(self->door));
    there = g_inet_socket_address_new_from_string(self->listen_address,
                                                  vmf_loopback_get_port(self->door));
    vmf_one_sided_go_on(self, there);
    return TRUE;
}

/* How the stream comes in, and where it goes. */
static gboolean
vmf_one_sided_find_way(VmfOneSided *self, const VmfOneSidedSetup *setup, GError **error)
{
    if (!setup->onward)
        return vmf_one_sided_open_door(self, setup, error);
    vmf_one_sided_go_on(self, setup->onward);
    return TRUE;
}

/* In a thread that failed: what belongs to the main loop goes there. */
static gboolean
vmf_one_sided_free_on_main(gpointer data)
{
    vmf_one_sided_free(data);
    return G_SOURCE_REMOVE;
}

VmfOneSided *
vmf_one_sided_new(const VmfOneSidedSetup *setup, GError **error)
{
    VmfOneSided *self = g_new0(VmfOneSided, 1);

    self->id = g_strdup(setup->id);
    if ((setup->onward || vmf_one_sided_resolve(self, setup, error)) &&
        vmf_one_sided_agree(self, setup, error) && vmf_one_sided_open_account(setup, error) &&
        vmf_one_sided_start_pumps(self, setup, error) &&
        vmf_one_sided_find_way(self, setup, error) && vmf_one_sided_join(self, setup, error))
        return self;
    g_main_context_invoke(NULL, vmf_one_sided_free_on_main, self);
    return NULL;
}

static void
vmf_one_sided_drop_pump(VmfOneSided *self, VmfPump *pump)
{
    g_signal_handlers_disconnect_by_data(pump, self);
    if (!vmf_pump_has_ended(pump))
        vmf_pump_stop(pump, NULL);
    g_object_unref(pump);
}

void
vmf_one_sided_free(VmfOneSided *self)
{
    g_clear_pointer(&self->door, vmf_loopback_close);
    g_clear_pointer(&self->dialler, vmf_dialler_free);
    if (self->onward)
        vmf_one_sided_drop_pump(self, self->onward);
    if (self->pump)
        vmf_one_sided_drop_pump(self, self->pump);
    g_clear_pointer(&self->agreement, vmf_agreement_unref);
    explicit_bzero(self->secret, sizeof self->secret);
    g_free(self->listen_address);
    g_free(self->uri);
    g_free(self->id);
    g_free(self);
}

void
vmf_one_sided_remove_leftovers(const VmfConfig *config, const char *id)
{
    g_autofree char *onward_id = g_strconcat(id, VMF_ONE_SIDED_ONWARD, NULL);
    g_autofree char *path = vmf_pump_socket_path(config->run_directory, onward_id);

    (void)g_unlink(path);
}
