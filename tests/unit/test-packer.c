/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes that are packed in several lanes side by side come out as they went in, and in order. */
#include "cmocka-all.h"

#include <string.h>

#include "pump/packer.h"
#include "pump/unpack.h"
#include "valgrind.h"

#define WINDOW_LOG 22
#define MIB (1024 * 1024)
#define ALL (12 * MIB)

/* The test is the stage before; a thread of its own is the one behind, and the other side. */
typedef struct {
    VmfChunkPool *pool;
    VmfDuct *in, *out;
    VmfPacker *packer;
    VmfUnpack *unpack;
    GThread *taker;
    gint slow; /* µs that it takes over each parcel */

    GByteArray *got; /* until the taker has ended, its */
    guint raw, packed;
    gint handed_on; /* atomic */
} Run;

static gpointer
take_all(gpointer data)
{
    Run *run = data;
    VmfParcel parcel;
    VmfSlice bytes;
    gsize used;

    while (vmf_duct_pop(run->out, TRUE, &parcel) == VMF_DUCT_PARCEL) {
        vmf_unpack_put(run->unpack, &parcel.bytes, parcel.packed);
        vmf_chunk_unref(parcel.bytes.chunk);
        *(parcel.packed ? &run->packed : &run->raw) += 1;
        while (vmf_unpack_take(run->unpack, &bytes, &used, NULL) == VMF_UNPACK_BYTES) {
            g_byte_array_append(run->got, bytes.data, (guint)bytes.length);
            vmf_chunk_unref(bytes.chunk);
        }
        if (run->slow)
            g_usleep((gulong)run->slow);
    }
    return NULL;
}

static void
on_handed_on(gpointer owner)
{
    Run *run = owner;

    g_atomic_int_inc(&run->handed_on);
}

static void
begin(Run *run, guint lanes, int zstd)
{
    const VmfPackerSetup setup = {.window_log = WINDOW_LOG, .lanes = lanes, .proves = TRUE};
    const VmfUnpackSetup unpack = {.window_log = WINDOW_LOG, .lanes = lanes, .proves = TRUE};

    run->pool = vmf_chunk_pool_new();
    run->in = vmf_duct_new(2 * MIB, NULL, NULL);
    run->out = vmf_duct_new(run->slow ? 1 : MIB, NULL, NULL);
    run->unpack = vmf_unpack_new(&unpack, run->pool);
    run->got = g_byte_array_new();
    run->packer = vmf_packer_new(&setup, 0, run->in, run->out, run->pool, on_handed_on, run);
    vmf_packer_set(run->packer, zstd);
    run->taker = g_thread_new("taker", take_all, run);
}

/* The beginnings of words, so that they pack. */
static void
fill(uint8_t *data, gsize length, GRand *rand)
{
    for (gsize i = 0; i < length; i++)
        data[i] = (uint8_t)(i % 8 < 5 ? i / 64 : g_rand_int(rand));
}

static void
put(Run *run, const uint8_t *data, gsize length, gboolean tail)
{
    VmfChunk *chunk = vmf_chunk_new(run->pool, length);
    const VmfParcel parcel = {.bytes = {chunk, chunk->data, length}, .tail = tail};

    memcpy(chunk->data, data, length);
    (void)vmf_duct_push(run->in, &parcel);
}

static GByteArray *
make_bytes(GRand *rand, gsize length)
{
    GByteArray *bytes = g_byte_array_sized_new((guint)length);

    g_byte_array_set_size(bytes, (guint)length);
    fill(bytes->data, length, rand);
    return bytes;
}

static void
put_all(Run *run, const GByteArray *bytes, GRand *rand)
{
    for (gsize at = 0, n; at < bytes->len; at += n) {
        n = (gsize)g_rand_int_range(rand, 1, VMF_CHUNK_SIZE);
        n = MIN(n, bytes->len - at);
        put(run, bytes->data + at, n, FALSE);
    }
}

static void
end(Run *run, VmfPackerFigures *ret)
{
    vmf_packer_get_figures(run->packer, ret);
    vmf_packer_free(run->packer);
    vmf_unpack_free(run->unpack);
    g_byte_array_unref(run->got);
    vmf_duct_free(run->in);
    vmf_duct_free(run->out);
    assert_int_equal(vmf_chunk_pool_held(run->pool), 0);
    vmf_chunk_pool_free(run->pool);
}

static void
finish(Run *run, const GByteArray *bytes, VmfPackerFigures *ret)
{
    vmf_duct_end(run->in);
    g_thread_join(run->taker);
    assert_true(vmf_unpack_end(run->unpack, NULL));
    assert_int_equal(run->got->len, bytes->len);
    assert_memory_equal(run->got->data, bytes->data, bytes->len);
    end(run, ret);
}

/* All of it at once, at one level. */
static void
carry(Run *run, guint lanes, int zstd, VmfPackerFigures *ret)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(lanes);
    g_autoptr(GByteArray) bytes = make_bytes(rand, ALL);

    begin(run, lanes, zstd);
    put_all(run, bytes, rand);
    finish(run, bytes, ret);
    assert_int_equal(ret->in + ret->raw, ALL);
}

static void
test_in_order(void **state)
{
    guint64 further = 0; /* on a busy machine one lane may be through before another begins */

    for (guint lanes = 1; lanes <= VMF_LANES_MAX; lanes++) {
        VmfPackerFigures figures;
        Run run = {0};

        carry(&run, lanes, 1, &figures);
        assert_true(figures.out < figures.in * 2 / 3);
        assert_true(figures.cpu > 0);
        further += figures.further;
        assert_true(lanes > 1 || further == 0);
    }
    assert_true(further > 0);
}

static void
test_high_levels_take_one(void **state)
{
    VmfPackerFigures figures;
    Run run = {0};

    carry(&run, 4, VMF_PACK_SHARED + 1, &figures);
    assert_int_equal(figures.further, 0);
}

/* Where the link is what is waited for, others would only know less of what came before. */
static void
test_a_full_link_takes_one(void **state)
{
    VmfPackerFigures figures;
    Run run = {.slow = 30000};

    carry(&run, 4, 1, &figures);
    assert_true(figures.further < figures.in / 4);
}

/* The level, and whether anything is packed, changes all the time. */
static void
test_changing(void **state)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(3);
    g_autoptr(GByteArray) bytes = make_bytes(rand, ALL);
    VmfPackerFigures figures;
    Run run = {0};

    begin(&run, 3, 1);
    for (gsize at = 0; at < ALL; at += MIB / 8) {
        vmf_packer_set(run.packer, g_rand_int_range(rand, VMF_PACK_AUTO, VMF_PACK_SHARED + 2));
        put(&run, bytes->data + at, MIB / 8, FALSE);
    }
    finish(&run, bytes, &figures);
}

/* A proof stands where the tail begins, and is right, whoever packed what was before. */
static void
test_proof(void **state)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(4);
    g_autoptr(GByteArray) bytes = make_bytes(rand, ALL);
    VmfPackerFigures figures;
    Run run = {0};

    begin(&run, 4, 1);
    for (gsize at = 0; at < ALL; at += MIB / 8)
        put(&run, bytes->data + at, MIB / 8, at == ALL - MIB);
    finish(&run, bytes, &figures);
    assert_int_equal(figures.proofs, 1);
}

/* In post-copy nothing is packed, and it is told when all was handed on. */
static void
test_urgent(void **state)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(5);
    g_autoptr(GByteArray) bytes = make_bytes(rand, ALL);
    VmfPackerFigures figures;
    Run run = {0};

    begin(&run, 4, 1);
    put(&run, bytes->data, MIB / 8, FALSE);
    while (!vmf_packer_is_idle(run.packer))
        g_usleep(1000);
    assert_int_equal(g_atomic_int_get(&run.handed_on), 0);
    vmf_packer_set_urgent(run.packer);
    for (gsize at = MIB / 8; at < ALL; at += MIB / 8)
        put(&run, bytes->data + at, MIB / 8, FALSE);
    finish(&run, bytes, &figures);
    assert_int_equal(figures.in, MIB / 8);
    assert_int_equal(run.raw, ALL / (MIB / 8) - 1);
    assert_true(g_atomic_int_get(&run.handed_on) >= (gint)run.raw);
}

/* Ended in the middle of everything. */
static void
test_stopped(void **state)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(6);
    g_autoptr(GByteArray) bytes = make_bytes(rand, ALL);

    for (guint i = 0; i < 20; i++) {
        VmfPackerFigures figures;
        Run run = {.slow = i % 2 ? 1000 : 0};

        begin(&run, 1 + i % 4, 1);
        for (gsize at = 0; at < MIB * i / 4; at += MIB / 8)
            put(&run, bytes->data + at, MIB / 8, FALSE);
        vmf_duct_close(run.in);
        vmf_duct_close(run.out);
        g_thread_join(run.taker);
        end(&run, &figures);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order), cmocka_unit_test(test_high_levels_take_one),
        cmocka_unit_test(test_changing), cmocka_unit_test(test_a_full_link_takes_one),
        cmocka_unit_test(test_proof),    cmocka_unit_test(test_urgent),
        cmocka_unit_test(test_stopped),
    };

    vmf_leave_out_under_valgrind("test_a_full_link_takes_one", "it packs slower than any link");
    return cmocka_run_group_tests_name("packer", tests, NULL, NULL);
}
