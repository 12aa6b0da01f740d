/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/negotiation.h"

#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "daemon/host-offer.h"
#include "daemon/link-service.h"
#include "daemon/peer.h"
#include "daemon/pump-process.h"
#include "link/control.h"

#define VMF_AGREE_TIMEOUT 10000 /* ms */

GVariant *
vmf_negotiation_digest(const VmfAgreement *agreement)
{
    return g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, vmf_agreement_get_digest(agreement),
                                     VMF_AGREEMENT_DIGEST_SIZE, 1);
}

/* ---- the destination ---- */

/* What the kernel lets QEMU do here; NULL while it is not known who QEMU is. */
static VmfHostFacts *
vmf_negotiation_gather(VmfDaemon *daemon)
{
    VmfHostSources sources = {0};

    if (!vmf_owner_peek(vmf_daemon_get_owner(daemon), &sources.qemu_uid, &sources.qemu_gid))
        return NULL;
    return vmf_host_facts_gather(&sources);
}

/* Its path comes from another host: what is not known of it is not asked. */
static VmfOffer *
vmf_negotiation_make_offer(VmfDaemon *daemon, const VmfTalkRequest *request)
{
    VmfNatives *natives = vmf_daemon_get_natives(daemon);
    g_autoptr(VmfHostFacts) facts = vmf_negotiation_gather(daemon);
    const char *emulator = NULL;
    VmfNative native;

    vmf_natives_refresh(natives); /* for the next talk */
    g_variant_lookup(request->offer, "emulator", "&s", &emulator);
    return vmf_host_offer_new_incoming(vmf_daemon_get_config(daemon),
                                       vmf_peer_get_config(request->peer), facts,
                                       vmf_natives_peek(natives, emulator, &native));
}

/* What is offered is there until the agreement is void. */
static gboolean
vmf_negotiation_open_account(VmfDaemon *daemon, const char *migration, VmfOffer *offer,
                             GError **error)
{
    const VmfBudgetWish wish = {
        .window = VMF_WINDOW_MOST,
        .kept = VMF_KEPT_MOST,
        .until = g_get_monotonic_time() + VMF_AGREEMENT_LIFETIME,
    };
    VmfBudgetShare share;

    if (!vmf_budget_open(vmf_daemon_get_budget(daemon), migration, &wish, &share, error)) {
        g_prefix_error(error, "the destination: ");
        return FALSE;
    }
    vmf_host_offer_bound(offer, &share, VMF_LANES_MOST); /* one thread unpacks them all */
    return TRUE;
}

/* For the migration that follows. */
static gboolean
vmf_negotiation_remember(VmfDaemon *daemon, VmfAgreement *agreement, GError **error)
{
    VmfBudget *budget = vmf_daemon_get_budget(daemon);
    const char *migration = vmf_agreement_get_migration(agreement);
    VmfBudgetShare share;

    if (!vmf_agreement_book_add(vmf_daemon_get_agreements(daemon), agreement,
                                g_get_monotonic_time(), error))
        return FALSE;
    vmf_pump_get_share(agreement, &share);
    vmf_budget_settle(budget, migration, &share);
    return TRUE;
}

/* `ours` is cut to what there is memory for. */
static VmfAgreement *
vmf_negotiation_agree(VmfDaemon *daemon, const VmfTalkRequest *request,
                      const VmfAgreementTerms *terms, GVariant *features, VmfOffer *ours,
                      GError **error)
{
    g_autoptr(VmfOffer) theirs = vmf_offer_decode(features, error);
    g_autoptr(VmfAgreement) agreement = NULL;
    gboolean only_asked = FALSE;

    g_variant_lookup(request->offer, "only-asked", "b", &only_asked);
    if (!theirs ||
        (!only_asked && !vmf_negotiation_open_account(daemon, terms->migration, ours, error)))
        return NULL;
    agreement = vmf_agreement_new(vmf_features(), terms, theirs, ours, error);
    if (agreement && (only_asked || vmf_negotiation_remember(daemon, agreement, error)))
        return g_steal_pointer(&agreement);
    if (!only_asked)
        vmf_budget_close(vmf_daemon_get_budget(daemon), terms->migration);
    return NULL;
}

GVariant *
vmf_negotiation_answer(VmfDaemon *daemon, const VmfTalkRequest *request, GError **error)
{
    const VmfPeerConfig *peer = vmf_peer_get_config(request->peer);
    g_autoptr(VmfOffer) ours = vmf_negotiation_make_offer(daemon, request);
    g_autoptr(GVariant) features = g_variant_lookup_value(request->offer, "features", NULL);
    g_autoptr(GVariant) encoded = NULL;
    g_autoptr(VmfAgreement) agreement = NULL;
    VmfAgreementTerms terms = {.migration = request->migration, .source = peer->name};
    GVariantDict answer;

    terms.time = g_get_real_time();
    if (!vmf_migration_id_is_valid(terms.migration) || !features ||
        !g_variant_lookup(request->offer, "host", "&s", &terms.destination) ||
        !vmf_peer_name_is_valid(terms.destination)) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                            "the migration's id, the name of the destination or the offer is "
                            "missing or not valid");
        return NULL;
    }
    agreement = vmf_negotiation_agree(daemon, request, &terms, features, ours, error);
    if (!agreement)
        return NULL;
    encoded = vmf_offer_encode(ours);
    g_variant_dict_init(&answer, NULL);
    g_variant_dict_insert(&answer, "source", "s", terms.source);
    g_variant_dict_insert(&answer, "time", "x", terms.time);
    g_variant_dict_insert_value(&answer, "features", encoded);
    g_variant_dict_insert_value(&answer, "digest", vmf_negotiation_digest(agreement));
    return g_variant_dict_end(&answer);
}

/* ---- the source ---- */

/* What it calls us must be a name of ours, or it means somebody else. */
static gboolean
vmf_negotiation_check_name(VmfDaemon *daemon, const char *name, GError **error)
{
    g_autoptr(VmfIdentity) identity =
        vmf_identity_load(vmf_daemon_get_config(daemon)->tls_directory, error);

    if (!identity)
        return FALSE;
    if (name && g_strv_contains(vmf_identity_get_names(identity), name))
        return TRUE;
    g_set_error_literal(error, VMF_ERROR, VMF_ERROR_PEER_NAME_MISMATCH,
                        "the destination calls this host by a name that is not in its certificate");
    return FALSE;
}

static gboolean
vmf_negotiation_check_digest(const VmfAgreement *agreement, GVariant *answer, GError **error)
{
    g_autoptr(GVariant) value = g_variant_lookup_value(answer, "digest", G_VARIANT_TYPE_BYTESTRING);
    gsize size = 0;
    const guint8 *digest = value ? g_variant_get_fixed_array(value, &size, 1) : NULL;

    if (size == VMF_AGREEMENT_DIGEST_SIZE &&
        memcmp(digest, vmf_agreement_get_digest(agreement), size) == 0)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                "%s comes to another agreement from the same offers; use the same release of "
                "vmferry on both hosts, and report it",
                vmf_agreement_get_destination(agreement));
    return FALSE;
}

static VmfAgreement *
vmf_negotiation_conclude(VmfDaemon *daemon, VmfAgreementTerms *terms, const VmfOffer *ours,
                         GVariant *answer, GError **error)
{
    g_autoptr(GVariant) features = g_variant_lookup_value(answer, "features", NULL);
    g_autoptr(VmfOffer) theirs = NULL;
    g_autoptr(VmfAgreement) agreement = NULL;

    g_variant_lookup(answer, "source", "&s", &terms->source);
    g_variant_lookup(answer, "time", "x", &terms->time);
    if (!features) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "%s answered without an offer",
                    terms->destination);
        return NULL;
    }
    if (!vmf_negotiation_check_name(daemon, terms->source, error))
        return NULL;
    theirs = vmf_offer_decode(features, error);
    if (theirs)
        agreement = vmf_agreement_new(vmf_features(), terms, ours, theirs, error);
    if (!agreement || !vmf_negotiation_check_digest(agreement, answer, error))
        return NULL;
    return g_steal_pointer(&agreement);
}

VmfAgreement *
vmf_negotiation_ask(VmfDaemon *daemon, VmfPeer *peer, GDBusConnection *link, const VmfTalk *talk,
                    GCancellable *cancellable, GError **error)
{
    VmfAgreementTerms terms = {.migration = talk->migration,
                               .destination = vmf_peer_get_config(peer)->name};
    g_autoptr(GVariant) features = vmf_offer_encode(talk->offer);
    g_autoptr(GVariant) answer = NULL;
    g_autoptr(GVariant) body = NULL;
    GVariantDict dict;

    g_variant_dict_init(&dict, NULL);
    g_variant_dict_insert(&dict, "host", "s", terms.destination);
    g_variant_dict_insert_value(&dict, "features", features);
    if (talk->only_asked)
        g_variant_dict_insert(&dict, "only-asked", "b", TRUE);
    if (talk->emulator)
        g_variant_dict_insert(&dict, "emulator", "s", talk->emulator);
    answer = g_dbus_connection_call_sync(
        link, NULL, VMF_LINK_OBJECT, "org.vmferry1.Link", "Agree",
        g_variant_new("(s@a{sv})", talk->migration, g_variant_dict_end(&dict)),
        G_VARIANT_TYPE("(a{sv})"), G_DBUS_CALL_FLAGS_NONE, VMF_AGREE_TIMEOUT, cancellable, error);
    if (!answer)
        return NULL;
    body = g_variant_get_child_value(answer, 0);
    return vmf_negotiation_conclude(daemon, &terms, talk->offer, body, error);
}
