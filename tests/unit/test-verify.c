/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Proofs between the two pumps: what went in is what came out, and what if it is not. */
#include "cmocka-all.h"

#include <string.h>

#include "base/error.h"
#include "pump/prover.h"
#include "pump/unpack.h"

#define WINDOW_LOG 17
#define PIECE 5000
#define PIECES 60

typedef struct {
    VmfUnpack *unpack;
    guint parcels;
    guint damage; /* which of them; 0: none */
    gsize out;
    GError *error;
} Run;

static void
take_all(Run *run)
{
    VmfUnpackAnswer answer;
    VmfSlice bytes;
    gsize used;

    while (!run->error && (answer = vmf_unpack_take(run->unpack, &bytes, &used, &run->error)) ==
                              VMF_UNPACK_BYTES) {
        run->out += bytes.length;
        vmf_chunk_unref(bytes.chunk);
    }
}

static void
on_packed(gpointer owner, const VmfParcel *parcel, gsize taken)
{
    Run *run = owner;

    if (++run->parcels == run->damage)
        parcel->bytes.data[parcel->bytes.length - 1] ^= 1;
    vmf_unpack_put(run->unpack, &parcel->bytes, parcel->packed);
    vmf_chunk_unref(parcel->bytes.chunk);
    take_all(run);
}

static VmfSlice
piece(VmfChunkPool *pool, guint seed)
{
    VmfChunk *chunk = vmf_chunk_new(pool, PIECE);

    for (gsize i = 0; i < PIECE; i++)
        chunk->data[i] = (uint8_t)(i / 7 + seed);
    return (VmfSlice){chunk, chunk->data, PIECE};
}

/* Pieces, packed and not in turns, with a proof after every tenth. */
static void
carry(Run *run, guint every_raw, gboolean proves)
{
    VmfChunkPool *pool = vmf_chunk_pool_new();
    const VmfUnpackSetup setup = {.window_log = WINDOW_LOG, .proves = proves};
    VmfPack *pack = vmf_pack_new(WINDOW_LOG, 0, pool, on_packed, run);
    VmfProver *prover = vmf_prover_new();

    run->unpack = vmf_unpack_new(&setup, pool);
    for (guint i = 0; i < PIECES && !run->error; i++) {
        const VmfPackWay way = {.raw = i % every_raw == 0, .level = 1};
        VmfSlice slice = piece(pool, i);
        VmfParcel proof;

        if (i % 10 == 9) {
            proof = vmf_prover_make_parcel(prover, pool);
            on_packed(run, &proof, 0);
        }
        vmf_prover_add(prover, slice.data, slice.length);
        vmf_pack_set_way(pack, &way);
        vmf_pack_put(pack, &slice);
        vmf_pack_flush(pack);
        vmf_chunk_unref(slice.chunk);
    }
    vmf_pack_free(pack);
    vmf_prover_free(prover);
    vmf_unpack_free(run->unpack);
    vmf_chunk_pool_free(pool);
}

static void
test_right(void **state)
{
    for (guint every_raw = 1; every_raw < 4; every_raw++) {
        Run run = {0};

        carry(&run, every_raw, TRUE);
        assert_null(run.error);
        assert_int_equal(run.out, PIECE * PIECES);
    }
}

/* A byte that was not packed, and was changed: the next proof finds it. */
static void
test_wrong(void **state)
{
    Run run = {.damage = 13};

    carry(&run, 1, TRUE);
    assert_true(g_error_matches(run.error, VMF_ERROR, VMF_ERROR_FAILED));
    assert_non_null(strstr(run.error->message, "is not what went in at the source"));
    assert_int_equal(run.out, 19 * PIECE);
    g_error_free(run.error);
}

static void
test_not_agreed_on(void **state)
{
    Run run = {0};

    carry(&run, 2, FALSE);
    assert_true(g_error_matches(run.error, VMF_ERROR, VMF_ERROR_PROTOCOL));
    assert_non_null(strstr(run.error->message, "none was agreed on"));
    assert_int_equal(run.out, 9 * PIECE);
    g_error_free(run.error);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_not_agreed_on),
    };

    return cmocka_run_group_tests_name("verify", tests, NULL, NULL);
}
