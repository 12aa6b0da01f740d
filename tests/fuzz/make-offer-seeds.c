/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* make-offer-seeds FOLDER: writes the inputs that fuzz-offer begins with. */
#include <stdio.h>

#include "link/offer.h"

static gboolean
write_seed(const char *folder, const char *name, GVariant *features)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autoptr(GVariant) said = NULL;
    GVariantDict dict;

    g_variant_dict_init(&dict, NULL);
    g_variant_dict_insert(&dict, "host", "s", "hostb");
    g_variant_dict_insert_value(&dict, "features", features);
    said = g_variant_ref_sink(g_variant_dict_end(&dict));
    return g_file_set_contents(path, g_variant_get_data(said), (gssize)g_variant_get_size(said),
                               NULL);
}

/* The same, more from the future, and such as are refused. */
static const struct {
    const char *name;
    const char *text;
} seeds[] = {
    {"future",
     "@a(suussasa{sv}) [('frames', 1, 9, 'required', 'always', [], {'speed': <uint64 7>}),"
     " ('beam', 1, 1, 'offered', '', ['frames'], {'colours': <['red', 'green']>})]"},
    {"required", "@a(suussasa{sv}) [('beam', 2, 3, 'required', 'Beam=yes', [], {})]"},
    {"parameters", "@a(suussasa{sv}) [('native-multifd', 1, 1, 'offered', '', [], {'connections':"
                   " <uint64 3>, 'compressions': <['zstd', 'zlib']>})]"},
    {"type", "@a(suussasa{sv}) [('channels', 1, 1, 'offered', '', [], {'connections': <'many'>})]"},
    {"circle", "@a(suussasa{sv}) [('nbd', 1, 1, 'offered', '', ['tls'], {}), ('tls', 1, 1,"
               " 'offered', '', ['nbd'], {})]"},
    {"twice",
     "@a(suussasa{sv}) [('a', 1, 1, 'off', 'no', [], {}), ('a', 1, 1, 'off', '', [], {})]"},
    {"none", "'features'"},
};

int
main(int argc, char **argv)
{
    g_autoptr(VmfOffer) offer = vmf_offer_new(vmf_features());
    g_autoptr(GVariant) ours = vmf_offer_encode(offer);

    if (argc != 2 || !write_seed(argv[1], "ours", ours)) {
        fputs("usage: make-offer-seeds FOLDER\n", stderr);
        return 1;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(seeds); i++) {
        g_autoptr(GVariant) features = g_variant_parse(NULL, seeds[i].text, NULL, NULL, NULL);

        if (!features || !write_seed(argv[1], seeds[i].name, features))
            return 1;
    }
    return 0;
}
