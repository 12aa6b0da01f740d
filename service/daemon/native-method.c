/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/native-method.h"

#include "base/error.h"

static const char *const vmf_native_method_names[] = {
    [VMF_METHOD_AUTO] = "auto", [VMF_METHOD_NONE] = "none", [VMF_METHOD_XBZRLE] = "xbzrle",
    [VMF_METHOD_ZLIB] = "zlib", [VMF_METHOD_ZSTD] = "zstd",
};

const char *
vmf_native_method_name(VmfNativeMethod method)
{
    return vmf_native_method_names[method];
}

gboolean
vmf_native_method_from_name(const char *name, VmfNativeMethod *ret)
{
    for (guint i = 0; i < G_N_ELEMENTS(vmf_native_method_names); i++) {
        if (!g_str_equal(name, vmf_native_method_names[i]))
            continue;
        *ret = (VmfNativeMethod)i;
        return TRUE;
    }
    return FALSE;
}

static gboolean
vmf_native_method_is_here(VmfNativeMethod method, const VmfNative *here)
{
    g_auto(GStrv) names = here ? vmf_native_get_compressions(here) : NULL;

    if (!here || method == VMF_METHOD_NONE)
        return TRUE;
    if (method == VMF_METHOD_XBZRLE)
        return here->xbzrle;
    return g_strv_contains((const char *const *)names, vmf_native_method_name(method));
}

static gboolean
vmf_native_method_is_agreed(VmfNativeMethod method, const VmfAgreement *agreement)
{
    g_auto(GStrv) names = NULL;

    if (method == VMF_METHOD_NONE)
        return TRUE;
    if (method == VMF_METHOD_XBZRLE)
        return vmf_agreement_has(agreement, VMF_FEATURE_NATIVE_XBZRLE);
    names = vmf_agreement_get_strings(agreement, VMF_FEATURE_NATIVE_MULTIFD, "compressions");
    return names && g_strv_contains((const char *const *)names, vmf_native_method_name(method));
}

/* What nobody spoke against, or was asked for by name. */
static gboolean
vmf_native_method_is_possible(const VmfMethodFacts *facts, VmfNativeMethod method)
{
    if (!vmf_native_method_is_here(method, facts->here))
        return FALSE;
    if (facts->agreement)
        return vmf_native_method_is_agreed(method, facts->agreement);
    return facts->options->method == method || method <= VMF_METHOD_XBZRLE;
}

/* The best for what is asked for, if it is possible. */
static VmfNativeMethod
vmf_native_method_wish(const VmfOptions *options)
{
    if (options->method != VMF_METHOD_AUTO)
        return options->method;
    if (options->parallel)
        return options->delta.compression == 0 ? VMF_METHOD_NONE : VMF_METHOD_ZSTD;
    return options->delta.on && options->delta.cache > 0 ? VMF_METHOD_XBZRLE : VMF_METHOD_NONE;
}

/* By whom it is missing, and what to do. */
static void
vmf_native_method_refuse(const VmfMethodFacts *facts, VmfNativeMethod method, GError **error)
{
    const char *name = vmf_native_method_name(method);
    gboolean here = vmf_native_method_is_here(method, facts->here);

    g_set_error(error, VMF_ERROR, VMF_ERROR_FEATURE_MISSING,
                method == VMF_METHOD_XBZRLE
                    ? "%s: QEMU of %s cannot do it; leave native-compression out, or use a pump"
                    : "%s over parallel connections: QEMU and libvirt of %s do not both take it "
                      "(libvirt does from 9.4 on); leave native-compression out, or use a pump",
                name, here ? facts->peer : "this host");
}

gboolean
vmf_native_method_choose(const VmfMethodFacts *facts, VmfNativeMethod *ret_method,
                         char **ret_reason, GError **error)
{
    const VmfOptions *options = facts->options;
    VmfNativeMethod wish = vmf_native_method_wish(options);
    const char *way = options->parallel ? "over parallel connections" : "in one stream";
    gboolean possible = vmf_native_method_is_possible(facts, wish);

    if (options->parallel && facts->agreement &&
        !vmf_agreement_has(facts->agreement, VMF_FEATURE_NATIVE_MULTIFD)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_FEATURE_MISSING,
                    "QEMU's parallel connections (native-multifd) are off: %s; leave parallel out",
                    vmf_agreement_why_off(facts->agreement, VMF_FEATURE_NATIVE_MULTIFD));
        return FALSE;
    }
    if (!possible && options->method != VMF_METHOD_AUTO) {
        vmf_native_method_refuse(facts, wish, error);
        return FALSE;
    }
    *ret_method = possible ? wish : VMF_METHOD_NONE;
    if (!possible)
        *ret_reason =
            g_strdup_printf("%s without compression, as %s", way,
                            facts->agreement ? "the hosts have none in common"
                                             : "the other host did not say what it takes");
    else if (wish == VMF_METHOD_NONE)
        *ret_reason = g_strdup_printf("%s without compression", way);
    else
        *ret_reason = g_strdup_printf("%s with %s%s", way, vmf_native_method_name(wish),
                                      facts->agreement ? ", as both hosts agreed" : "");
    return TRUE;
}
