/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rewrite IN OUT CHUNK CACHE [SEED]: puts a captured main connection through the pump's delta
 * stage, in pieces of CHUNK bytes, with a cache of CACHE bytes. With SEED the cache is resized and
 * the stage switched off and on at random all the time. Prints what became of the pages.
 * tests/captures/verify rebuilds the memory from OUT.
 */
#include <stdio.h>
#include <stdlib.h>

#include "pump/rewrite.h"

static void
take(gpointer owner, VmfSlice bytes)
{
    if (fwrite(bytes.data, 1, bytes.length, owner) != bytes.length) {
        perror("write");
        exit(1);
    }
    vmf_chunk_unref(bytes.chunk);
}

static void
disturb(VmfRewrite *rewrite, GRand *rand, guint64 cache)
{
    switch (g_rand_int_range(rand, 0, 16)) {
    case 0:
        vmf_rewrite_set_cache(rewrite, cache * (guint64)g_rand_int_range(rand, 0, 5) / 4);
        break;
    case 1:
        vmf_rewrite_set_on(rewrite, FALSE);
        break;
    case 2:
    case 3:
        vmf_rewrite_set_on(rewrite, TRUE);
        break;
    case 4:
        vmf_rewrite_flush(rewrite);
        break;
    default:
        break;
    }
}

int
main(int argc, char **argv)
{
    g_autoptr(VmfChunkPool) pool = vmf_chunk_pool_new();
    g_autoptr(GRand) rand = NULL;
    VmfRewriteSetup setup = {.unchanged = TRUE, .xbzrle = TRUE};
    g_autoptr(VmfRewrite) rewrite = NULL;
    VmfRewriteFigures figures;
    size_t size, n;
    FILE *in, *out;

    if (argc < 5 || !(in = fopen(argv[1], "rb")) || !(out = fopen(argv[2], "wb"))) {
        fprintf(stderr, "usage: rewrite IN OUT CHUNK CACHE [SEED]\n");
        return 2;
    }
    size = CLAMP(strtoul(argv[3], NULL, 0), 1, VMF_CHUNK_SIZE - VMF_CHUNK_HEADROOM);
    setup.cache = strtoull(argv[4], NULL, 0);
    rand = g_rand_new_with_seed(argc > 5 ? (guint32)atoi(argv[5]) : 0);
    rewrite = vmf_rewrite_new(&setup, pool, take, out);
    do {
        g_autoptr(VmfChunk) chunk = vmf_chunk_new(pool, VMF_CHUNK_SIZE);
        VmfSlice slice = {chunk, chunk->data + VMF_CHUNK_HEADROOM, 0};

        slice.length = n = fread(slice.data, 1, size, in);
        if (n > 0)
            vmf_rewrite_put(rewrite, &slice);
        if (argc > 5)
            disturb(rewrite, rand, setup.cache);
    } while (n == size);
    vmf_rewrite_get_figures(rewrite, &figures);
    if (vmf_rewrite_why(rewrite))
        printf("why %s\n", vmf_rewrite_why(rewrite));
    vmf_rewrite_end(rewrite);
    printf("zero %" G_GUINT64_FORMAT "\nunchanged %" G_GUINT64_FORMAT "\ndelta %" G_GUINT64_FORMAT
           "\nwhole %" G_GUINT64_FORMAT "\n",
           figures.zero, figures.unchanged, figures.delta, figures.whole);
    return fclose(in) == 0 && fclose(out) == 0 ? 0 : 1;
}
