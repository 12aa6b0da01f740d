/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/pack.h"

#include <gio/gio.h>

#include "base/error.h"

#define STEP 65536u

/* All of `data` through a converter; NULL if that gives more than `max`, or cannot be done. */
static GByteArray *
convert(GConverter *converter, const guint8 *data, gsize length, gsize max)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    GConverterResult result = G_CONVERTER_CONVERTED;

    while (result != G_CONVERTER_FINISHED) {
        guint had = out->len;
        gsize taken = 0;
        gsize made = 0;

        g_byte_array_set_size(out, had + STEP);
        result = g_converter_convert(converter, data, length, out->data + had, STEP,
                                     G_CONVERTER_INPUT_AT_END, &taken, &made, NULL);
        if (result == G_CONVERTER_ERROR)
            return NULL;
        g_byte_array_set_size(out, had + (guint)made);
        data += taken;
        length -= taken;
        if (out->len > max)
            return NULL;
    }
    return g_steal_pointer(&out);
}

GBytes *
vmf_pack(GBytes *bytes)
{
    g_autoptr(GZlibCompressor) compressor = g_zlib_compressor_new(G_ZLIB_COMPRESSOR_FORMAT_GZIP, 6);
    gsize length = 0;
    const guint8 *data = g_bytes_get_data(bytes, &length);

    return g_byte_array_free_to_bytes(convert(G_CONVERTER(compressor), data, length, G_MAXSIZE));
}

GBytes *
vmf_unpack(const guint8 *data, gsize length, gsize max, GError **error)
{
    g_autoptr(GZlibDecompressor) decompressor =
        g_zlib_decompressor_new(G_ZLIB_COMPRESSOR_FORMAT_GZIP);
    GByteArray *out = convert(G_CONVERTER(decompressor), data, length, max);

    if (out)
        return g_byte_array_free_to_bytes(out);
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                "expected at most %" G_GSIZE_FORMAT " bytes that were packed with gzip", max);
    return NULL;
}
