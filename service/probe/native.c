/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe/native.h"

/* In order of preference: zstd compresses as well as zlib in a fraction of its time. */
static const struct {
    VmfNativeCompression bit;
    const char *name;      /* to QEMU and to libvirt */
    const char *parameter; /* of libvirt's API, which came with it */
} compressions[] = {
    {VMF_NATIVE_ZSTD, "zstd", "compression.zstd.level"},
    {VMF_NATIVE_ZLIB, "zlib", "compression.zlib.level"},
};

void
vmf_native_find(const VmfEmulator *emulator, const char *const *migrate_parameters, VmfNative *ret)
{
    const char *const *capabilities = (const char *const *)emulator->capabilities;
    const char *const *built = (const char *const *)emulator->compressions;

    *ret = (VmfNative){FALSE, FALSE, 0};
    if (emulator->problem)
        return;
    ret->xbzrle = g_strv_contains(capabilities, "xbzrle");
    ret->multifd = g_strv_contains(capabilities, "multifd");
    for (guint i = 0; ret->multifd && i < G_N_ELEMENTS(compressions); i++)
        if (g_strv_contains(built, compressions[i].name) &&
            g_strv_contains(migrate_parameters, compressions[i].parameter))
            ret->compressions |= compressions[i].bit;
}

void
vmf_native_narrow(VmfNative *self, const VmfNative *other)
{
    self->xbzrle = self->xbzrle && other->xbzrle;
    self->multifd = self->multifd && other->multifd;
    self->compressions &= other->compressions;
}

char **
vmf_native_get_compressions(const VmfNative *self)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

    for (guint i = 0; i < G_N_ELEMENTS(compressions); i++)
        if (self->compressions & compressions[i].bit)
            g_strv_builder_add(builder, compressions[i].name);
    return g_strv_builder_end(builder);
}

char *
vmf_native_format(const VmfNative *self)
{
    g_auto(GStrv) names = vmf_native_get_compressions(self);
    g_autofree char *list = g_strjoinv(" or ", names);
    g_autofree char *how =
        *list ? g_strdup_printf("with %s", list) : g_strdup("without compression");

    if (self->xbzrle && self->multifd)
        return g_strdup_printf("with XBZRLE, or over parallel connections %s", how);
    if (self->multifd)
        return g_strdup_printf("over parallel connections %s", how);
    return self->xbzrle ? g_strdup("with XBZRLE") : NULL;
}
