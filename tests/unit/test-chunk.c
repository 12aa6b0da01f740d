/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka-all.h"

#include <string.h>

#include "link/chunk.h"

static VmfSlice
make_slice(VmfChunkPool *pool, gsize size, gsize length, uint8_t first)
{
    VmfChunk *chunk = vmf_chunk_new(pool, size);

    for (gsize i = 0; i < length; i++)
        chunk->data[VMF_CHUNK_HEADROOM + i] = (uint8_t)(first + i);
    return (VmfSlice){chunk, chunk->data + VMF_CHUNK_HEADROOM, length};
}

static void
test_pool_counts_what_is_held(void **state)
{
    VmfChunkPool *pool = vmf_chunk_pool_new();
    VmfChunk *large = vmf_chunk_new(pool, VMF_CHUNK_SIZE);
    VmfChunk *small = vmf_chunk_new(pool, 100);

    assert_int_equal(vmf_chunk_pool_held(pool), VMF_CHUNK_SIZE + 100);
    vmf_chunk_unref(vmf_chunk_ref(large));
    assert_int_equal(vmf_chunk_pool_held(pool), VMF_CHUNK_SIZE + 100);
    vmf_chunk_unref(large);
    assert_int_equal(vmf_chunk_pool_held(pool), 100);
    /* what was used last comes first */
    assert_ptr_equal(vmf_chunk_new(pool, VMF_CHUNK_SIZE), large);
    vmf_chunk_unref(large);
    /* chunks outlive the pool's owner */
    vmf_chunk_pool_free(pool);
    memset(small->data, 1, small->size);
    vmf_chunk_unref(small);
}

static void
test_keeping_a_little_does_not_hold_much(void **state)
{
    VmfChunkPool *pool = vmf_chunk_pool_new();
    VmfSlice much = make_slice(pool, VMF_CHUNK_SIZE, VMF_CHUNK_SIZE / 4, 0);
    VmfSlice little = {much.chunk, much.data + 10, 1000};
    VmfSlice kept = vmf_slice_keep(&much), copied = vmf_slice_keep(&little);

    assert_ptr_equal(kept.data, much.data);
    assert_ptr_not_equal(copied.chunk, much.chunk);
    assert_int_equal(copied.length, 1000);
    assert_memory_equal(copied.data, little.data, 1000);
    assert_true(copied.data >= copied.chunk->data + VMF_CHUNK_HEADROOM);
    vmf_chunk_unref(much.chunk);
    vmf_chunk_unref(kept.chunk);
    assert_int_equal(vmf_chunk_pool_held(pool), copied.chunk->size);
    assert_true(copied.chunk->size <= 1000 + VMF_CHUNK_HEADROOM);
    vmf_chunk_unref(copied.chunk);
    vmf_chunk_pool_free(pool);
}

static void
test_queue_is_first_in_first_out(void **state)
{
    VmfChunkPool *pool = vmf_chunk_pool_new();
    VmfSliceQueue queue = {0};
    uint8_t next = 0;

    for (guint i = 0; i < 100; i++) {
        vmf_slice_queue_push(&queue, make_slice(pool, 64, 10, (uint8_t)(i * 10)));
        if (i % 3 == 2) { /* so that it goes round its ring, and cuts slices */
            assert_int_equal(vmf_slice_queue_peek(&queue, 0)->data[0], next);
            vmf_slice_queue_drop(&queue, 13);
            next = (uint8_t)(next + 13);
        }
    }
    assert_int_equal(queue.bytes, 1000 - 33 * 13);
    assert_int_equal(vmf_slice_queue_peek(&queue, 0)->data[0], next);
    assert_int_equal(vmf_slice_queue_peek(&queue, queue.count - 1)->data[9], (uint8_t)999);
    vmf_slice_queue_clear(&queue);
    assert_int_equal(queue.count, 0);
    assert_int_equal(vmf_chunk_pool_held(pool), 0);
    vmf_chunk_pool_free(pool);
}

static void
test_little_pieces_are_gathered(void **state)
{
    VmfChunkPool *pool = vmf_chunk_pool_new();
    VmfSlice large = make_slice(pool, VMF_CHUNK_SIZE, VMF_CHUNK_SIZE / 2, 0);
    VmfSliceQueue queue = {0};
    gsize sum = 0;

    for (guint i = 0; i < 100000; i++) {
        const VmfSlice byte = {large.chunk, large.data + i % 251, 1};

        vmf_slice_queue_add(&queue, &byte);
    }
    assert_int_equal(queue.bytes, 100000);
    vmf_slice_queue_add(&queue, &large); /* and this by reference */
    assert_ptr_equal(vmf_slice_queue_peek(&queue, queue.count - 1)->data, large.data);
    vmf_chunk_unref(large.chunk);
    assert_true(vmf_chunk_pool_held(pool) < VMF_CHUNK_SIZE + 3 * 100000);
    for (; sum < 100000; vmf_slice_queue_drop(&queue, 1), sum++)
        assert_int_equal(*vmf_slice_queue_peek(&queue, 0)->data, (uint8_t)(sum % 251));
    assert_int_equal(queue.bytes, VMF_CHUNK_SIZE / 2);
    vmf_slice_queue_clear(&queue);
    assert_int_equal(vmf_chunk_pool_held(pool), 0);
    vmf_chunk_pool_free(pool);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool_counts_what_is_held),
        cmocka_unit_test(test_keeping_a_little_does_not_hold_much),
        cmocka_unit_test(test_queue_is_first_in_first_out),
        cmocka_unit_test(test_little_pieces_are_gathered),
    };

    return cmocka_run_group_tests_name("chunk", tests, NULL, NULL);
}
