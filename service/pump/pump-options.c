/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pump/pump-options.h"

#include "base/error.h"

/* "@" in front of a type asks for the value as it is. */
static const char *
vmf_skip_at(const char *type)
{
    return type + (*type == '@');
}

gboolean
vmf_pump_options_parse(GVariant *dict, VmfPumpOptions *ret, GError **error)
{
    VmfPumpOptions options = {.stages.packer.lanes = 1,
                              .settings = {.delta = TRUE, .zstd = VMF_PACK_AUTO}};
    VmfRewriteSetup *rewrite = &options.stages.rewrite;
    VmfPackerSetup *packer = &options.stages.packer;
    VmfStagesSettings *settings = &options.settings;
    g_autoptr(GVariant) loadable = NULL;
    const struct {
        const char *name;
        const char *type;
        gpointer value;
    } known[] = {
        {"xbzrle", "b", &rewrite->xbzrle},
        {"unchanged", "b", &rewrite->unchanged},
        {"zstd-window", "u", &packer->window_log},
        {"zstd-lanes", "u", &packer->lanes},
        {"verify", "b", &rewrite->proves},
        {"delta", "b", &settings->delta},
        {"cache", "t", &settings->cache},
        {"zstd", "i", &settings->zstd},
        {"loadable", "@" VMF_LOADABLE_FORMAT, &loadable},
        {"patience", "u", &options.patience},
        {"kept", "t", &options.kept},
        {"checksums", "b", &options.checksums},
    };
    guint log;

    for (gsize i = 0; dict && i < G_N_ELEMENTS(known); i++) {
        g_autoptr(GVariant) value = g_variant_lookup_value(dict, known[i].name, NULL);

        if (!value || g_variant_is_of_type(value, G_VARIANT_TYPE(vmf_skip_at(known[i].type)))) {
            (void)g_variant_lookup(dict, known[i].name, known[i].type, known[i].value);
            continue;
        }
        g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                    "the pump's option \"%s\" must be of type %s", known[i].name,
                    vmf_skip_at(known[i].type));
        return FALSE;
    }
    log = packer->window_log;
    rewrite->cache = settings->cache;
    rewrite->proves = rewrite->proves && log > 0; /* it goes as packed bytes do */
    packer->proves = rewrite->proves;
    if ((log == 0 || (log >= VMF_WINDOW_LOG_MIN && log <= VMF_WINDOW_LOG_MAX)) &&
        packer->lanes >= 1 && packer->lanes <= VMF_LANES_MAX && settings->zstd >= VMF_PACK_AUTO &&
        settings->zstd <= VMF_PACK_LEVEL_MAX) {
        if (loadable)
            rewrite->loadable = options.loadable = vmf_loadable_from_variant(loadable);
        *ret = options;
        return TRUE;
    }
    g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                "the pump's options: expected a window of 0 or %d to %d bits, 1 to %d lanes and a "
                "level of %d to %d, found %u, %u and %d",
                VMF_WINDOW_LOG_MIN, VMF_WINDOW_LOG_MAX, VMF_LANES_MAX, VMF_PACK_AUTO,
                VMF_PACK_LEVEL_MAX, log, packer->lanes, settings->zstd);
    return FALSE;
}
