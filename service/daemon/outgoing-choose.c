/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/outgoing-private.h"

#include "base/error.h"
#include "base/log.h"
#include "daemon/engine.h"
#include "daemon/host-offer.h"
#include "daemon/kept.h"
#include "daemon/native-method.h"
#include "daemon/negotiation.h"
#include "link/control.h"
#include "xml/domain.h"

/* ---- the talk ---- */

/* What the guest would run on at the destination; NULL: not known. The caller's. */
static char *
vmf_outgoing_find_emulator(VmfOutgoing *self)
{
    const char *xml = self->options->xml;
    g_autofree char *path = NULL;
    g_autoptr(VmfDomainXml) other = xml ? vmf_domain_xml_parse(xml, NULL) : NULL;

    self->native_is_known =
        vmf_natives_ask(vmf_daemon_get_natives(self->daemon),
                        vmf_migration_get_uuid(self->migration), &self->native, &path) != NULL;
    return other && other->emulator ? g_strdup(other->emulator) : g_steal_pointer(&path);
}

static const VmfNative *
vmf_outgoing_get_native(VmfOutgoing *self)
{
    return self->native_is_known ? &self->native : NULL;
}

/* A link that is kept may be dead without our knowing: then another is dialled, once. */
static gboolean
vmf_outgoing_talk(VmfOutgoing *self, const VmfTalk *talk, GError **error)
{
    for (int attempt = 0; attempt < 2 && !self->agreement; attempt++) {
        g_clear_error(error);
        g_clear_object(&self->link);
        g_clear_object(&self->remote);
        self->link = vmf_peer_get_link(self->peer, self->cancellable, &self->remote, error);
        if (!self->link)
            return FALSE;
        self->agreement = vmf_negotiation_ask(self->daemon, self->peer, self->link, talk,
                                              self->cancellable, error);
        if (!self->agreement && !g_dbus_connection_is_closed(self->link))
            return FALSE;
    }
    return self->agreement != NULL;
}

/* The link may be older than what is wrong with the certificate that was shown over it. */
static gboolean
vmf_outgoing_check_peer(VmfOutgoing *self, const char *name, GError **error)
{
    g_autoptr(VmfIdentity) identity =
        vmf_identity_load(vmf_daemon_get_config(self->daemon)->tls_directory, error);

    return identity && vmf_control_check_certificate(self->link, name, error) &&
           vmf_identity_check_peer(identity, self->link, name, error);
}

/* Memory of this host for its pump, and what of it the other host is told. */
static gboolean
vmf_outgoing_open_account(VmfOutgoing *self, VmfOffer *offer, GError **error)
{
    guint64 ram = self->options->memory;
    const VmfBudgetWish wish = {
        .ram = ram,
        .window = ram ? MIN(ram, VMF_WINDOW_MOST) : VMF_WINDOW_MOST,
        .kept = VMF_KEPT_MOST,
    };
    VmfBudgetShare share;

    if (!vmf_budget_open(vmf_daemon_get_budget(self->daemon), vmf_outgoing_id(self), &wish, &share,
                         error))
        return FALSE;
    vmf_host_offer_bound(offer, &share,
                         self->options->packers ? self->options->packers : g_get_num_processors());
    return TRUE;
}

static void
vmf_outgoing_settle_account(VmfOutgoing *self)
{
    VmfBudget *budget = vmf_daemon_get_budget(self->daemon);
    VmfBudgetShare share;

    vmf_pump_get_share(self->agreement, &share);
    vmf_budget_settle(budget, vmf_outgoing_id(self), &share);
    vmf_kept_set_account(self->migration, budget);
}

static gboolean
vmf_outgoing_agree(VmfOutgoing *self, GError **error)
{
    const VmfPeerConfig *peer = vmf_peer_get_config(self->peer);
    gint64 begin = g_get_monotonic_time();
    g_autofree char *emulator = vmf_outgoing_find_emulator(self);
    g_autoptr(VmfOffer) offer = vmf_host_offer_new_outgoing(
        vmf_daemon_get_config(self->daemon), peer, self->follow ? NULL : self->options,
        vmf_outgoing_get_native(self));
    const VmfTalk talk = {
        .migration = vmf_outgoing_id(self),
        .offer = offer,
        .emulator = emulator,
        .only_asked = self->options->engine == VMF_ENGINE_NATIVE,
    };

    if (!self->path) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED,
                    "RunDirectory and the name %s leave no room for a socket path", peer->name);
        return FALSE;
    }
    if (!talk.only_asked && !vmf_outgoing_open_account(self, offer, error))
        return FALSE;
    if (!vmf_outgoing_talk(self, &talk, error))
        return FALSE;
    if (!talk.only_asked)
        vmf_outgoing_settle_account(self);
    vmf_info(vmf_outgoing_id(self), "agreed with %s within %.1f ms", peer->name,
             (double)(g_get_monotonic_time() - begin) / 1000);
    return vmf_outgoing_check_peer(self, peer->name, error);
}

/* ---- the choice ---- */

static gboolean
vmf_outgoing_choose_method(VmfOutgoing *self, char **reason, GError **error)
{
    const VmfMethodFacts facts = {
        .options = self->options,
        .here = vmf_outgoing_get_native(self),
        .agreement = self->agreement,
        .peer = vmf_migration_get_peer(self->migration),
    };
    g_autofree char *why = *reason;
    g_autofree char *how = NULL;

    *reason = NULL;
    if (!vmf_native_method_choose(&facts, &self->method, &how, error))
        return FALSE;
    *reason = g_strdup_printf("%s; %s", why, how);
    return TRUE;
}

static void
vmf_outgoing_tell_choice(VmfOutgoing *self, const char *reason)
{
    gboolean encrypted = self->engine == VMF_ENGINE_PUMP && self->agreement &&
                         vmf_agreement_has(self->agreement, VMF_FEATURE_TLS);

    vmf_info(vmf_outgoing_id(self), "engine %s: %s", vmf_engine_name(self->engine), reason);
    vmf_migration_set_engine(self->migration, vmf_engine_name(self->engine), reason, encrypted);
}

/* The native engine goes without the peer's word as well, but does better with it. */
static gboolean
vmf_outgoing_wants_talk(VmfOutgoing *self)
{
    return vmf_engine_needs_peer(self->options->engine) ||
           self->options->engine == VMF_ENGINE_NATIVE;
}

gboolean
vmf_outgoing_choose(VmfOutgoing *self, GError **error)
{
    const VmfConfig *config = vmf_daemon_get_config(self->daemon);
    g_autoptr(GError) talk = NULL;
    g_autofree char *reason = NULL;

    if (self->follow && vmf_follow_get_onward(self->follow)) {
        self->engine = VMF_ENGINE_ONE_SIDED;
        vmf_outgoing_tell_choice(self, vmf_follow_get_why_onward(self->follow));
        return TRUE;
    }
    if (vmf_outgoing_wants_talk(self) && !vmf_outgoing_agree(self, &talk))
        talk = vmf_error_normalize(g_steal_pointer(&talk));
    if (!vmf_engine_choose(config, vmf_peer_get_config(self->peer), self->options, talk,
                           &self->engine, &reason, error) ||
        (self->engine == VMF_ENGINE_NATIVE && !vmf_outgoing_choose_method(self, &reason, error)))
        return FALSE;
    vmf_outgoing_tell_choice(self, reason);
    return TRUE;
}
