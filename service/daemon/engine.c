/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/engine.h"

#include "base/error.h"

static const char *const vmf_engine_names[] = {
    [VMF_ENGINE_AUTO] = "auto",           [VMF_ENGINE_PUMP] = "pump",
    [VMF_ENGINE_ONE_SIDED] = "one-sided", [VMF_ENGINE_NATIVE] = "native",
    [VMF_ENGINE_PLAIN] = "plain",
};

const char *
vmf_engine_name(VmfEngine engine)
{
    return vmf_engine_names[engine];
}

gboolean
vmf_engine_from_name(const char *name, VmfEngine *ret)
{
    for (guint i = 0; i < G_N_ELEMENTS(vmf_engine_names); i++) {
        if (!g_str_equal(name, vmf_engine_names[i]))
            continue;
        *ret = (VmfEngine)i;
        return TRUE;
    }
    return FALSE;
}

gboolean
vmf_engine_needs_peer(VmfEngine engine)
{
    return engine == VMF_ENGINE_AUTO || engine == VMF_ENGINE_PUMP;
}

/* Why an engine without a peer cannot do this, or NULL. */
static const char *
vmf_engine_find_obstacle(VmfEngine engine, const VmfConfig *config, const VmfPeerConfig *peer,
                         const VmfOptions *options)
{
    if (options->postcopy_resume)
        return "what broke was carried by pumps at both hosts";
    if (options->verify)
        return "only two pumps can hold what went in against what came out (verify)";
    if (!config->allow_unencrypted)
        return "it carries the guest's memory in the clear, which this host does not allow "
               "(AllowUnencrypted in vmferryd.conf)";
    if (g_str_equal(peer->libvirt_uri, VMF_LIBVIRT_THROUGH_PUMP))
        return "libvirt reaches that host through vmferryd there (LibvirtUri in its peers.d)";
    if (engine == VMF_ENGINE_ONE_SIDED && options->copy_storage)
        return "it does not take disks along (copy-storage)";
    if (engine == VMF_ENGINE_NATIVE && options->postcopy)
        return "QEMU's XBZRLE cannot be combined with post-copy";
    return NULL;
}

/* As a bit of policies. */
static guint
vmf_engine_bit(VmfEngine engine)
{
    static const VmfEngines bits[] = {
        [VMF_ENGINE_PUMP] = VMF_ENGINES_PUMP,
        [VMF_ENGINE_ONE_SIDED] = VMF_ENGINES_ONE_SIDED,
        [VMF_ENGINE_NATIVE] = VMF_ENGINES_NATIVE,
        [VMF_ENGINE_PLAIN] = VMF_ENGINES_PLAIN,
    };

    return bits[engine];
}

VmfEngine
vmf_engine_from_bit(VmfEngines bit)
{
    for (guint engine = VMF_ENGINE_PUMP; engine <= VMF_ENGINE_PLAIN; engine++)
        if (vmf_engine_bit(engine) == bit)
            return engine;
    return VMF_ENGINE_AUTO;
}

guint
vmf_engine_get_possible(const VmfConfig *config, const VmfPeerConfig *peer,
                        const VmfOptions *options)
{
    guint possible = VMF_ENGINES_PUMP;

    if (options->engine != VMF_ENGINE_AUTO)
        return vmf_engine_bit(options->engine);
    for (guint engine = VMF_ENGINE_ONE_SIDED; engine <= VMF_ENGINE_PLAIN; engine++)
        if (options->unencrypted && !vmf_engine_find_obstacle(engine, config, peer, options))
            possible |= vmf_engine_bit(engine);
    return possible;
}

static gboolean
vmf_engine_check(VmfEngine engine, const VmfConfig *config, const VmfPeerConfig *peer,
                 const VmfOptions *options, GError **error)
{
    const char *obstacle = vmf_engine_find_obstacle(engine, config, peer, options);

    if (!obstacle)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED, "engine %s is not possible: %s",
                vmf_engine_name(engine), obstacle);
    return FALSE;
}

/* Nobody there speaks our language; what says no, or cannot be trusted, is not gone around. */
static gboolean
vmf_engine_is_alone(const GError *talk)
{
    return g_error_matches(talk, VMF_ERROR, VMF_ERROR_PEER_UNREACHABLE);
}

static gboolean
vmf_engine_choose_without_peer(const VmfConfig *config, const VmfPeerConfig *peer,
                               const VmfOptions *options, const GError *talk, VmfEngine *ret_engine,
                               char **ret_reason, GError **error)
{
    const VmfEngine engines[] = {VMF_ENGINE_ONE_SIDED, VMF_ENGINE_NATIVE, VMF_ENGINE_PLAIN};

    if (options->engine != VMF_ENGINE_AUTO || !vmf_engine_is_alone(talk)) {
        g_propagate_error(error, g_error_copy(talk));
        return FALSE;
    }
    if (!options->unencrypted && config->allow_unencrypted) {
        g_set_error(error, VMF_ERROR, talk->code,
                    "%s (without vmferryd there the guest can go in the clear: unencrypted)",
                    talk->message);
        return FALSE;
    }
    for (guint i = 0; options->unencrypted && i < G_N_ELEMENTS(engines); i++) {
        if ((options->barred & vmf_engine_bit(engines[i])) ||
            vmf_engine_find_obstacle(engines[i], config, peer, options))
            continue;
        *ret_engine = engines[i];
        *ret_reason = g_strdup_printf("%s, and the migration may go unencrypted", talk->message);
        return TRUE;
    }
    g_propagate_error(error, g_error_copy(talk));
    return FALSE;
}

gboolean
vmf_engine_choose(const VmfConfig *config, const VmfPeerConfig *peer, const VmfOptions *options,
                  const GError *talk, VmfEngine *ret_engine, char **ret_reason, GError **error)
{
    if (!vmf_engine_needs_peer(options->engine)) {
        if (!vmf_engine_check(options->engine, config, peer, options, error))
            return FALSE;
        *ret_engine = options->engine;
        *ret_reason = g_strdup("asked for");
        return TRUE;
    }
    if (talk)
        return vmf_engine_choose_without_peer(config, peer, options, talk, ret_engine, ret_reason,
                                              error);
    if (options->engine == VMF_ENGINE_AUTO && options->planned > VMF_ENGINE_PUMP) {
        *ret_engine = options->planned;
        *ret_reason = g_strdup("planned, and it may go unencrypted");
        return TRUE;
    }
    *ret_engine = VMF_ENGINE_PUMP;
    *ret_reason =
        g_strdup(options->engine == VMF_ENGINE_PUMP ? "asked for, and both hosts agreed"
                                                    : "both hosts run vmferryd and agreed");
    return TRUE;
}
