/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/options.h"

#include <string.h>

#include "base/error.h"
#include "daemon/engine.h"
#include "daemon/native-method.h"

#define VMF_PARALLEL_MAX 32
#define VMF_NAME_MAX 255
#define VMF_XML_MAX (4 * 1024 * 1024)

static void
vmf_option_take(const VmfOption *option, GVariant *value)
{
    if (*option->type == 'b')
        *(gboolean *)option->value = g_variant_get_boolean(value);
    else if (*option->type == 'u')
        *(guint *)option->value = g_variant_get_uint32(value);
    else if (*option->type == 'a')
        *(char ***)option->value = g_variant_dup_strv(value, NULL);
    else if (*option->type == 't')
        *(guint64 *)option->value = g_variant_get_uint64(value);
    else if (*option->type == 'i')
        *(gint32 *)option->value = g_variant_get_int32(value);
    else
        *(char **)option->value = g_variant_dup_string(value, NULL);
}

gboolean
vmf_options_read(GVariant *dict, const VmfOption *known, gsize n, GError **error)
{
    GVariantIter iter;
    const char *key;
    GVariant *value;

    g_variant_iter_init(&iter, dict);
    while (g_variant_iter_next(&iter, "{&sv}", &key, &value)) {
        const VmfOption *found = NULL;

        for (gsize i = 0; i < n && !found; i++)
            if (g_str_equal(known[i].name, key) &&
                g_variant_is_of_type(value, G_VARIANT_TYPE(known[i].type)))
                found = &known[i];
        if (found)
            vmf_option_take(found, value);
        g_variant_unref(value);
        if (found)
            continue;
        g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                    "option '%s' is not known, or of another type", key);
        return FALSE;
    }
    return TRUE;
}

/* What the guest is to be there. */
static gboolean
vmf_options_check_guest(const char *dname, const char *xml, GError **error)
{
    const char *problem = NULL;

    if (dname && (!*dname || strchr(dname, '/') || strlen(dname) > VMF_NAME_MAX))
        problem = "dname: not a guest's name";
    else if (xml && strlen(xml) > VMF_XML_MAX)
        problem = "xml: larger than 4 MiB";
    if (problem)
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT, problem);
    return problem == NULL;
}

static gboolean
vmf_options_check_values(const VmfOptions *options, const char *on_timeout, GError **error)
{
    const char *problem = NULL;

    if (!vmf_options_check_guest(options->dname, options->xml, error))
        return FALSE;
    if (options->parallel > VMF_PARALLEL_MAX)
        problem = "parallel: at most 32 connections";
    else if (options->copy_storage && !g_str_equal(options->copy_storage, "all") &&
             !g_str_equal(options->copy_storage, "inc"))
        problem = "copy-storage: expected 'all' or 'inc'";
    else if (on_timeout && options->timeout == 0)
        problem = "on-timeout: needs a timeout";
    else if (options->downtime == 0)
        problem = "downtime: at least 1 ms";
    if (problem)
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT, problem);
    return problem == NULL && vmf_delta_check_compression(options->delta.compression, error);
}

static gboolean
vmf_options_check_combination(const VmfOptions *options, GError **error)
{
    const char *problem = NULL;

    if (options->postcopy_resume &&
        (options->parallel || options->copy_storage || options->timeout || options->xml ||
         options->postcopy_after_precopy))
        problem = "resuming a post-copy goes on with what was begun: leave out parallel, "
                  "copy-storage, timeout, xml and postcopy-after-precopy";
    else if (options->parallel && options->postcopy)
        problem = "QEMU cannot combine parallel connections with post-copy; leave one out";
    else if (options->parallel && options->verify)
        problem = "what goes over parallel connections is not verified; leave one out";
    else if (options->method != VMF_METHOD_AUTO && options->engine != VMF_ENGINE_NATIVE)
        problem = "native-compression is for engine native; what a pump compresses is said by "
                  "compression";
    else if (options->method == VMF_METHOD_XBZRLE && options->parallel)
        problem = "QEMU cannot combine XBZRLE with parallel connections; leave one out";
    else if (options->method > VMF_METHOD_XBZRLE && !options->parallel)
        problem = "QEMU has zlib and zstd for parallel connections only; ask for parallel, too";
    else if (options->copy_storage && options->postcopy)
        problem = "libvirt cannot combine copying storage with post-copy; leave one out";
    else if (options->timeout && options->on_timeout == VMF_ON_TIMEOUT_POSTCOPY &&
             !options->postcopy)
        problem = "switching to post-copy at the timeout needs postcopy to be asked for, too";
    if (problem)
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_NOT_SUPPORTED, problem);
    return problem == NULL;
}

static gboolean
vmf_on_timeout_parse(const char *text, VmfOnTimeout *ret, GError **error)
{
    static const char *const names[] = {"suspend", "postcopy", "abort"};

    if (!text)
        return TRUE;
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        if (!g_str_equal(text, names[i]))
            continue;
        *ret = (VmfOnTimeout)i;
        return TRUE;
    }
    g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                "on-timeout: expected 'suspend', 'postcopy' or 'abort', not '%s'", text);
    return FALSE;
}

static gboolean
vmf_engine_parse(const char *text, VmfEngine *ret, GError **error)
{
    if (!text || vmf_engine_from_name(text, ret))
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                "engine: expected 'auto', 'pump', 'one-sided', 'native' or 'plain', not '%s'",
                text);
    return FALSE;
}

static gboolean
vmf_method_parse(const char *text, VmfNativeMethod *ret, GError **error)
{
    if (!text || vmf_native_method_from_name(text, ret))
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                "native-compression: expected 'auto', 'none', 'xbzrle', 'zlib' or 'zstd', not '%s'",
                text);
    return FALSE;
}

VmfOptions *
vmf_options_new(void)
{
    VmfOptions *options = g_new0(VmfOptions, 1);

    options->downtime = VMF_DOWNTIME_BY_POLICY;
    options->delta = (VmfDelta){TRUE, VMF_CACHE_DEFAULT, VMF_COMPRESSION_AUTO, 0};
    return options;
}

VmfOptions *
vmf_options_parse(GVariant *dict, GError **error)
{
    g_autoptr(VmfOptions) options = vmf_options_new();
    g_autofree char *on_timeout = NULL;
    g_autofree char *engine = NULL;
    g_autofree char *method = NULL;
    const VmfOption known[] = {
        {"engine", "s", &engine},
        {"native-compression", "s", &method},
        {"unencrypted", "b", &options->unencrypted},
        {"verify", "b", &options->verify},
        {"parallel", "u", &options->parallel},
        {"postcopy", "b", &options->postcopy},
        {"postcopy-after-precopy", "b", &options->postcopy_after_precopy},
        {"postcopy-resume", "b", &options->postcopy_resume},
        {"persistent", "b", &options->persistent},
        {"undefine-source", "b", &options->undefine_source},
        {"copy-storage", "s", &options->copy_storage},
        {"bandwidth", "u", &options->bandwidth},
        {"downtime", "u", &options->downtime},
        {"delta", "b", &options->delta.on},
        {"cache", "t", &options->delta.cache},
        {"compression", "i", &options->delta.compression},
        {"timeout", "u", &options->timeout},
        {"on-timeout", "s", &on_timeout},
        {"dname", "s", &options->dname},
        {"xml", "s", &options->xml},
        {"force", "as", &options->force},
    };

    if (!vmf_options_read(dict, known, G_N_ELEMENTS(known), error) ||
        !vmf_engine_parse(engine, &options->engine, error) ||
        !vmf_method_parse(method, &options->method, error) ||
        !vmf_on_timeout_parse(on_timeout, &options->on_timeout, error) ||
        !vmf_options_check_values(options, on_timeout, error))
        return NULL;
    options->postcopy |= options->postcopy_after_precopy || options->postcopy_resume;
    if (!vmf_options_check_combination(options, error))
        return NULL;
    return g_steal_pointer(&options);
}

void
vmf_options_free(VmfOptions *options)
{
    g_free(options->copy_storage);
    g_free(options->dname);
    g_free(options->xml);
    g_strfreev(options->force);
    g_free(options);
}

static gboolean
vmf_route_compresses(const VmfRoute *route)
{
    return route->engine == VMF_ENGINE_NATIVE && route->method != VMF_METHOD_NONE;
}

guint
vmf_options_get_flags(const VmfOptions *options, const VmfRoute *route)
{
    guint flags = VIR_MIGRATE_LIVE | VIR_MIGRATE_PEER2PEER;

    if (options->parallel)
        flags |= VIR_MIGRATE_PARALLEL;
    if (vmf_route_compresses(route))
        flags |= VIR_MIGRATE_COMPRESSED;
    if (options->postcopy)
        flags |= VIR_MIGRATE_POSTCOPY;
    if (options->throttle)
        flags |= VIR_MIGRATE_AUTO_CONVERGE;
    if (options->postcopy_resume)
        flags |= VIR_MIGRATE_POSTCOPY_RESUME;
    if (options->persistent)
        flags |= VIR_MIGRATE_PERSIST_DEST;
    if (options->undefine_source)
        flags |= VIR_MIGRATE_UNDEFINE_SOURCE;
    if (options->copy_storage)
        flags |= g_str_equal(options->copy_storage, "all") ? VIR_MIGRATE_NON_SHARED_DISK
                                                           : VIR_MIGRATE_NON_SHARED_INC;
    return flags;
}

/* How hard, where somebody said; libvirt's names for it are younger than its oldest release here.
 */
static gboolean
vmf_options_add_level(const VmfOptions *options, const VmfRoute *route,
                      virTypedParameterPtr *params, int *n, int *max)
{
    int level = options->delta.compression;

    if (level <= 0 || !vmf_route_compresses(route))
        return TRUE;
    if (route->method == VMF_METHOD_ZLIB)
        return virTypedParamsAddInt(params, n, max, "compression.zlib.level", MIN(level, 9)) == 0;
    return route->method != VMF_METHOD_ZSTD ||
           virTypedParamsAddInt(params, n, max, "compression.zstd.level", level) == 0;
}

gboolean
vmf_options_get_params(const VmfOptions *options, const VmfRoute *route,
                       virTypedParameterPtr *ret_params, int *ret_n)
{
    const gboolean compresses = vmf_route_compresses(route);
    const gboolean pumped =
        route->engine == VMF_ENGINE_PUMP || route->engine == VMF_ENGINE_ONE_SIDED;
    const struct {
        const char *name;
        const char *value;
    } strings[] = {
        {VIR_MIGRATE_PARAM_URI, route->uri},
        {VIR_MIGRATE_PARAM_DISKS_URI, options->copy_storage ? route->disks_uri : NULL},
        {VIR_MIGRATE_PARAM_LISTEN_ADDRESS, route->listen_address},
        {VIR_MIGRATE_PARAM_COMPRESSION, compresses ? vmf_native_method_name(route->method) : NULL},
        {VIR_MIGRATE_PARAM_DEST_NAME, options->dname},
        {VIR_MIGRATE_PARAM_DEST_XML, options->xml},
        {VIR_MIGRATE_PARAM_PERSIST_XML, options->persistent ? options->xml : NULL},
    };
    virTypedParameterPtr params = NULL;
    int n = 0;
    int max = 0;
    int result = 0;

    for (gsize i = 0; i < G_N_ELEMENTS(strings) && result == 0; i++)
        if (strings[i].value)
            result = virTypedParamsAddString(&params, &n, &max, strings[i].name, strings[i].value);
    if (options->parallel && result == 0)
        result = virTypedParamsAddInt(
            &params, &n, &max, VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS,
            (int)(route->connections ? route->connections : options->parallel));
    if (options->bandwidth && !pumped &&
        result == 0) /* a pump keeps to it by itself, on the wire */
        result = virTypedParamsAddULLong(&params, &n, &max, VIR_MIGRATE_PARAM_BANDWIDTH,
                                         options->bandwidth);
    if (compresses && route->method == VMF_METHOD_XBZRLE && result == 0)
        result =
            virTypedParamsAddULLong(&params, &n, &max, VIR_MIGRATE_PARAM_COMPRESSION_XBZRLE_CACHE,
                                    options->qemu_cache ? options->qemu_cache : VMF_NATIVE_CACHE);
    if (result != 0 || !vmf_options_add_level(options, route, &params, &n, &max)) {
        virTypedParamsFree(params, n);
        return FALSE;
    }
    *ret_params = params;
    *ret_n = n;
    return TRUE;
}

VmfCheckOptions *
vmf_check_options_parse(GVariant *dict, GError **error)
{
    g_autoptr(VmfCheckOptions) options = g_new0(VmfCheckOptions, 1);
    const VmfOption known[] = {
        {"dname", "s", &options->dname},  {"xml", "s", &options->xml},
        {"tls", "b", &options->tls},      {"postcopy", "b", &options->postcopy},
        {"force", "as", &options->force},
    };

    if (!vmf_options_read(dict, known, G_N_ELEMENTS(known), error) ||
        !vmf_options_check_guest(options->dname, options->xml, error))
        return NULL;
    return g_steal_pointer(&options);
}

void
vmf_check_options_free(VmfCheckOptions *options)
{
    g_free(options->dname);
    g_free(options->xml);
    g_strfreev(options->force);
    g_free(options);
}
