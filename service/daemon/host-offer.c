/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/host-offer.h"

static void
vmf_offer_cut_native(VmfOffer *offer, const VmfNative *native)
{
    g_auto(GStrv) compressions = vmf_native_get_compressions(native);

    if (!native->xbzrle)
        vmf_offer_refuse(offer, VMF_FEATURE_NATIVE_XBZRLE, "its QEMU cannot, or does not answer");
    if (!native->multifd)
        vmf_offer_refuse(offer, VMF_FEATURE_NATIVE_MULTIFD, "its QEMU cannot, or does not answer");
    if (*compressions)
        vmf_offer_set_strings(offer, VMF_FEATURE_NATIVE_MULTIFD, "compressions",
                              (const char *const *)compressions);
}

VmfOffer *
vmf_host_offer_new(const VmfConfig *config, const VmfNative *native)
{
    VmfOffer *offer = vmf_offer_new(vmf_features());

    vmf_offer_require(offer, VMF_FEATURE_FRAMES, "nothing is carried without");
    if (!config->allow_unencrypted)
        vmf_offer_require(offer, VMF_FEATURE_TLS,
                          "its configuration allows no unencrypted data links: AllowUnencrypted in "
                          "vmferryd.conf");
    if (config->pump_patience > 0)
        vmf_offer_set_number(offer, VMF_FEATURE_RESUME, "patience", config->pump_patience);
    else
        vmf_offer_refuse(offer, VMF_FEATURE_RESUME,
                         "its configuration waits for no link: Patience in vmferryd.conf");
    if (native)
        vmf_offer_cut_native(offer, native);
    return offer;
}

/* What a migration asks for it must get, and it gets no more than it asks for. */
static void
vmf_offer_follow(VmfOffer *offer, const char *feature, gboolean wanted, const char *option)
{
    g_autofree char *why = g_strdup_printf(
        wanted ? "the migration asks for it: %s" : "the migration does not ask for it: %s", option);

    if (wanted)
        vmf_offer_require(offer, feature, why);
    else
        vmf_offer_refuse(offer, feature, why);
}

static void
vmf_offer_set_connections(VmfOffer *offer, const char *feature, const VmfOptions *options)
{
    if (options->parallel > 0)
        vmf_offer_set_number(offer, feature, "connections", options->parallel);
}

VmfOffer *
vmf_host_offer_new_outgoing(const VmfConfig *config, const VmfPeerConfig *peer,
                            const VmfOptions *options, const VmfNative *native)
{
    VmfOffer *offer = vmf_host_offer_new(config, native);

    if (options) {
        vmf_offer_set_connections(offer, VMF_FEATURE_NATIVE_MULTIFD, options);
        vmf_offer_set_number(offer, VMF_FEATURE_NATIVE_XBZRLE, "memory",
                             options->qemu_cache ? options->qemu_cache : VMF_NATIVE_CACHE);
    }
    if (options && options->engine == VMF_ENGINE_NATIVE)
        return offer; /* no data link is asked for */
    if (options && options->unencrypted)
        vmf_offer_refuse(offer, VMF_FEATURE_TLS, "the migration asks for none: unencrypted");
    else
        vmf_offer_require(offer, VMF_FEATURE_TLS, "the migration does not ask to go unencrypted");
    if (!options) {
        vmf_offer_refuse(offer, VMF_FEATURE_LIBVIRT_CHANNEL, "libvirt was asked by somebody else");
        vmf_offer_refuse(offer, VMF_FEATURE_VERIFY, "nobody asks for it: verify");
        return offer;
    }
    vmf_offer_follow(offer, VMF_FEATURE_LIBVIRT_CHANNEL,
                     g_str_equal(peer->libvirt_uri, VMF_LIBVIRT_THROUGH_PUMP),
                     "LibvirtUri in its peers.d");
    vmf_offer_follow(offer, VMF_FEATURE_VERIFY, options->verify, "verify");
    vmf_offer_follow(offer, VMF_FEATURE_NBD, options->copy_storage != NULL, "copy-storage");
    vmf_offer_follow(offer, VMF_FEATURE_POSTCOPY, options->postcopy, "postcopy");
    if (options->parallel > 0) {
        vmf_offer_require(offer, VMF_FEATURE_CHANNELS, "the migration asks for it: parallel");
        vmf_offer_set_connections(offer, VMF_FEATURE_CHANNELS, options);
    }
    return offer;
}

VmfOffer *
vmf_host_offer_new_incoming(const VmfConfig *config, const VmfPeerConfig *peer,
                            const VmfHostFacts *facts, const VmfNative *native)
{
    VmfOffer *offer = vmf_host_offer_new(config, native);

    if (!peer->may_use_libvirt)
        vmf_offer_refuse(offer, VMF_FEATURE_LIBVIRT_CHANNEL,
                         "its configuration lets that host not reach its libvirtd: MayUseLibvirt "
                         "in its peers.d");
    if (facts && !facts->userfaultfd)
        vmf_offer_refuse(offer, VMF_FEATURE_POSTCOPY,
                         "its kernel does not let QEMU's user do post-copy: "
                         "vm.unprivileged_userfaultfd");
    return offer;
}

void
vmf_host_offer_bound(VmfOffer *offer, const VmfBudgetShare *share, guint lanes)
{
    vmf_offer_set_number(offer, VMF_FEATURE_ZSTD, "window", share->window);
    vmf_offer_set_number(offer, VMF_FEATURE_ZSTD, "lanes",
                         MIN(lanes, vmf_budget_get_lanes(share->window)));
    vmf_offer_set_number(offer, VMF_FEATURE_RESUME, "memory", share->kept);
}
