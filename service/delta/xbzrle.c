/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/xbzrle.h"

#include "delta/xbzrle-private.h"

/* The best first. */
static const VmfXbzrle *const variants[] = {
#if defined(__x86_64__)
    &vmf_xbzrle_avx512,
    &vmf_xbzrle_avx2,
    &vmf_xbzrle_sse2,
#elif defined(__aarch64__)
    &vmf_xbzrle_neon,
#endif
    &vmf_xbzrle_portable,
};

const VmfXbzrle *
vmf_xbzrle_usable(guint index)
{
    for (guint i = 0; i < G_N_ELEMENTS(variants); i++)
        if (variants[i]->usable() && index-- == 0)
            return variants[i];
    return NULL;
}

const VmfXbzrle *
vmf_xbzrle_choose(void)
{
    const char *wanted = g_getenv("VMFERRY_CODEC");
    const VmfXbzrle *codec;

    for (guint i = 0; wanted && (codec = vmf_xbzrle_usable(i)); i++)
        if (g_str_equal(codec->name, wanted))
            return codec;
    return vmf_xbzrle_usable(0);
}

const char *
vmf_xbzrle_name(const VmfXbzrle *codec)
{
    return codec->name;
}

int
vmf_xbzrle_encode(const VmfXbzrle *codec, const uint8_t *old, const uint8_t *page, size_t page_size,
                  uint8_t *out, size_t out_size)
{
    return codec->encode(old, page, page_size, out, out_size, NULL, NULL);
}
