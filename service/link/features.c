/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/features.h"

#include <string.h>

#define MIB (G_GUINT64_CONSTANT(1) << 20)

static const VmfFeature vmf_feature_rows[] = {
    {
        .name = VMF_FEATURE_FRAMES,
        .oldest = 1,
        .newest = 1,
        .stand = VMF_STAND_OFFERED,
        .summary = "the frames of the data link",
    },
    {
        .name = VMF_FEATURE_TLS,
        .oldest = 1,
        .newest = 1,
        .stand = VMF_STAND_OFFERED,
        .needs = {VMF_FEATURE_FRAMES},
        .summary = "the data link is encrypted: TLS 1.3 with a key of the migration's own",
    },
    {
        .name = VMF_FEATURE_CHECKSUM,
        .oldest = 1,
        .newest = 1,
        .stand = VMF_STAND_OFFERED,
        .needs = {VMF_FEATURE_FRAMES},
        .summary = "frames that are not encrypted carry checksums",
    },
    {
        .name = VMF_FEATURE_CHANNELS,
        .oldest = 1,
        .newest = 1,
        .stand = VMF_STAND_OFFERED,
        .needs = {VMF_FEATURE_FRAMES},
        .parameters = {{"connections", VMF_COMBINE_SMALLER, 1, TRUE, 32}},
        .summary = "further connections of QEMU's (multifd) over the data link",
    },
    {
        .name = VMF_FEATURE_RETURN_PATH,
        .oldest = 1,
        .newest = 1,
        .stand = VMF_STAND_OFFERED,
        .needs = {VMF_FEATURE_FRAMES},
        .summary = "the destination's QEMU can answer the source's",
    },
    {
        .name = VMF_FEATURE_POSTCOPY,
        .oldest = 1,
        .newest = 1,
        .stand = VMF_STAND_OFFERED,
        .needs = {VMF_FEATURE_RETURN_PATH},
        .summary = "the guest may go on at the destination before its memory is there",
    },
    {
        .name = VMF_FEATURE_PREEMPT,
        .oldest = 1,
        .newest = 1,
        .stand = VMF_STAND_OFFERED,
        .needs = {VMF_FEATURE_POSTCOPY, VMF_FEATURE_CHANNELS},
        .summary = "pages asked for in post-copy have a connection of their own",
    },
    {
        .name = VMF_FEATURE_NBD,
        .oldest = 1,
        .newest = 1,
        .stand = VMF_STAND_OFFERED,
        .needs = {VMF_FEATURE_FRAMES},
        .summary = "disks that are not shared are copied over the data link",
    },
    {
        .name = VMF_FEATURE_LIBVIRT_CHANNEL,
        .oldest = 1,
        .newest = 1,
        .stand = VMF_STAND_OFFERED,
        .needs = {VMF_FEATURE_FRAMES},
        .summary = "the source's libvirtd reaches the destination's over the data link",
    },
    {
        .name = VMF_FEATURE_XBZRLE,
        .oldest = 1,
        .newest = 1,
        .stand = VMF_STAND_OFFERED,
        .needs = {VMF_FEATURE_FRAMES},
        /* bytes of old pages that the source keeps */
        .parameters = {{"memory", VMF_COMBINE_SOURCE, 1, TRUE, 512 * MIB}},
        .summary = "pages that changed a little go as the difference",
    },
    {
        .name = VMF_FEATURE_UNCHANGED,
        .oldest = 1,
        .newest = 1,
        .stand = VMF_STAND_OFFERED,
        .needs = {VMF_FEATURE_FRAMES},
        .summary = "pages that were rewritten with the same content do not go again",
    },
    {
        .name = VMF_FEATURE_ZSTD,
        .oldest = 1,
        .newest = 2,
        .stand = VMF_STAND_OFFERED,
        .needs = {VMF_FEATURE_FRAMES},
        /* The window is memory on both sides, in bytes. */
        .parameters = {{"level", VMF_COMBINE_SMALLER, 1, TRUE, 9},
                       {"window", VMF_COMBINE_SMALLER, 1, TRUE, 128 * MIB},
                       {"lanes", VMF_COMBINE_SMALLER, 2, TRUE, 4}},
        .summary = "what goes over the data link is compressed",
    },
    {
        .name = VMF_FEATURE_VERIFY,
        .oldest = 1,
        .newest = 1,
        .stand = VMF_STAND_OFFERED,
        .needs = {VMF_FEATURE_ZSTD}, /* whose batches carry the proof */
        .summary = "what goes in at the source is held against what comes out",
    },
    {
        .name = VMF_FEATURE_RESUME,
        .oldest = 1,
        .newest = 1,
        .stand = VMF_STAND_OFFERED,
        .needs = {VMF_FEATURE_FRAMES},
        /* bytes that a side keeps until they are acknowledged, and the other one until they are
         * delivered; seconds that it is waited for */
        .parameters = {{"memory", VMF_COMBINE_SMALLER, 1, TRUE, 64 * MIB},
                       {"patience", VMF_COMBINE_SOURCE, 1, TRUE, 120}},
        .summary = "a data link that broke is taken up again",
    },
    {
        .name = VMF_FEATURE_VMSTATE_CHECK,
        .oldest = 1,
        .newest = 1,
        .stand = VMF_STAND_OFFERED,
        .summary = "whether the destination can load the devices' state is checked before",
    },
    {
        .name = VMF_FEATURE_NATIVE_XBZRLE,
        .oldest = 1,
        .newest = 1,
        .stand = VMF_STAND_OFFERED,
        .parameters = {{"memory", VMF_COMBINE_SOURCE, 1, TRUE, 64 * MIB}},
        .summary = "QEMU's own XBZRLE, for migrations without a pump",
    },
    {
        .name = VMF_FEATURE_NATIVE_MULTIFD,
        .oldest = 1,
        .newest = 1,
        .stand = VMF_STAND_OFFERED,
        .parameters = {{"connections", VMF_COMBINE_SMALLER, 1, TRUE, 32},
                       {"compressions", VMF_COMBINE_COMMON, 1, FALSE, 0}},
        .summary = "QEMU's own parallel migration, for migrations without a pump",
    },
};

static const VmfFeatureTable vmf_feature_table = {vmf_feature_rows, G_N_ELEMENTS(vmf_feature_rows)};

static const char *const vmf_stand_names[] = {"off", "offered", "required"};

const VmfFeatureTable *
vmf_features(void)
{
    return &vmf_feature_table;
}

const VmfFeature *
vmf_feature_find(const VmfFeatureTable *table, const char *name)
{
    for (gsize i = 0; i < table->n; i++)
        if (g_str_equal(table->rows[i].name, name))
            return &table->rows[i];
    return NULL;
}

const VmfFeatureParameter *
vmf_feature_find_parameter(const VmfFeature *feature, const char *name)
{
    for (const VmfFeatureParameter *p = feature->parameters; p->name; p++)
        if (g_str_equal(p->name, name))
            return p;
    return NULL;
}

const GVariantType *
vmf_combine_get_type(VmfCombine combine)
{
    return combine == VMF_COMBINE_COMMON ? G_VARIANT_TYPE_STRING_ARRAY : G_VARIANT_TYPE_UINT64;
}

const char *
vmf_stand_name(VmfStand stand)
{
    return vmf_stand_names[stand];
}

gboolean
vmf_stand_from_name(const char *name, VmfStand *ret)
{
    for (guint i = 0; i < G_N_ELEMENTS(vmf_stand_names); i++) {
        if (g_str_equal(name, vmf_stand_names[i])) {
            *ret = (VmfStand)i;
            return TRUE;
        }
    }
    return FALSE;
}

gboolean
vmf_feature_name_is_valid(const char *name)
{
    gsize length = strlen(name);

    return length >= 1 && length <= 32 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}
