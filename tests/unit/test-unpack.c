/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Packed bytes that are not what they say: bombs, and such as want more memory than was agreed on.
 */
#include "cmocka-all.h"

#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "pump/batch.h"
#include "pump/unpack.h"

#define WINDOW VMF_WINDOW_LOG_MIN
#define HEAD 12
#define LANES 3

/* A zstd frame with a window of 2^17, without its end. */
static const uint8_t frame_begin[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38};
static const uint8_t large_window[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88};

typedef struct {
    VmfChunkPool *pool;
    VmfUnpack *unpack;
    guint8 kind, lane; /* of what is put; kind 0: a new frame */
} Fixture;

static int
set_up(void **state)
{
    Fixture *f = g_new0(Fixture, 1);

    f->pool = vmf_chunk_pool_new();
    f->unpack = vmf_unpack_new(&(VmfUnpackSetup){.window_log = WINDOW, .lanes = LANES}, f->pool);
    *state = f;
    return 0;
}

static int
tear_down(void **state)
{
    Fixture *f = *state;

    vmf_unpack_free(f->unpack);
    assert_int_equal(vmf_chunk_pool_held(f->pool), 0);
    vmf_chunk_pool_free(f->pool);
    g_free(f);
    return 0;
}

/* A batch that says it unpacks to `says` bytes, and is one byte `unpacks` times. */
static void
put_batch(Fixture *f, const uint8_t begin[6], guint32 says, guint32 unpacks)
{
    gsize length = HEAD + sizeof frame_begin + 4;
    VmfChunk *chunk = vmf_chunk_new(f->pool, length);
    VmfSlice slice = {chunk, chunk->data, length};
    uint8_t *body = chunk->data + HEAD;
    guint32 block = unpacks << 3 | 1 << 1; /* little-endian: the size, and "one byte repeated" */

    memset(chunk->data, 0, length);
    chunk->data[0] = f->kind ? f->kind : VMF_BATCH_BEGINS;
    chunk->data[1] = f->lane;
    vmf_put_u32(chunk->data + 4, says);
    vmf_put_u32(chunk->data + 8, (guint32)(length - HEAD));
    memcpy(body, begin, sizeof frame_begin);
    for (guint i = 0; i < 3; i++)
        body[sizeof frame_begin + i] = (uint8_t)(block >> (8 * i));
    body[sizeof frame_begin + 3] = 'x';
    vmf_unpack_put(f->unpack, &slice, TRUE);
    vmf_chunk_unref(chunk);
}

/* Takes all there is; the number of bytes, and in `error` why it was refused. */
static gsize
take_all(Fixture *f, GError **error)
{
    VmfUnpackAnswer answer;
    VmfSlice bytes;
    gsize total = 0, used;

    while ((answer = vmf_unpack_take(f->unpack, &bytes, &used, error)) == VMF_UNPACK_BYTES) {
        total += bytes.length;
        vmf_chunk_unref(bytes.chunk);
    }
    assert_true((answer == VMF_UNPACK_ERROR) == (*error != NULL));
    return total;
}

static void
assert_refused(Fixture *f, const char *why)
{
    g_autoptr(GError) error = NULL;

    assert_int_equal(take_all(f, &error), 0);
    assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_PROTOCOL));
    if (!strstr(error->message, why))
        fail_msg("\"%s\" does not say \"%s\"", error->message, why);
}

static void
test_what_it_says(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    put_batch(f, frame_begin, 100000, 100000);
    assert_int_equal(take_all(f, &error), 100000);
    assert_null(error);
}

static void
test_a_bomb(void **state)
{
    put_batch(*state, frame_begin, 10, 100000);
    assert_refused(*state, "a bomb");
}

static void
test_fewer_than_it_says(void **state)
{
    put_batch(*state, frame_begin, 1000, 100);
    assert_refused(*state, "fewer bytes than it said");
}

static void
test_a_window_that_was_not_agreed_on(void **state)
{
    put_batch(*state, large_window, 100, 100);
    assert_refused(*state, "memory");
}

/* Each lane has a frame of its own, which begins before it goes on. */
static void
test_lanes(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    for (f->lane = 0; f->lane < LANES; f->lane++)
        put_batch(f, frame_begin, 1000, 1000);
    assert_int_equal(take_all(f, &error), LANES * 1000);
    assert_null(error);
}

static void
test_a_lane_that_was_not_agreed_on(void **state)
{
    Fixture *f = *state;

    f->lane = LANES;
    put_batch(f, frame_begin, 1000, 1000);
    assert_refused(f, "in a lane below 3");
}

static void
test_a_lane_that_goes_on_with_nothing(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    put_batch(f, frame_begin, 1000, 1000);
    assert_int_equal(take_all(f, &error), 1000);
    f->lane = 1;
    f->kind = VMF_BATCH_GOES_ON;
    put_batch(f, frame_begin, 1000, 1000);
    assert_refused(f, "nothing begun");
}

/* However large the window agreed on is, that of a further lane is small. */
static void
test_a_large_window_in_a_further_lane(void **state)
{
    static const uint8_t window_22[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x60};
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    vmf_unpack_free(f->unpack);
    f->unpack = vmf_unpack_new(&(VmfUnpackSetup){.window_log = 27, .lanes = LANES}, f->pool);
    put_batch(f, window_22, 1000, 1000);
    assert_int_equal(take_all(f, &error), 1000);
    f->lane = 1;
    put_batch(f, window_22, 1000, 1000);
    assert_refused(f, "memory");
}

/* 20 bytes each; only what was asked for is unpacked, so that they stay 20 bytes each. */
static void
test_many_wait_packed(void **state)
{
    Fixture *f = *state;
    g_autoptr(GError) error = NULL;

    put_batch(f, frame_begin, 100000, 100000);
    for (guint i = 0; i < 1000; i++)
        put_batch(f, frame_begin, 100000, 100000);
    assert_in_range(vmf_chunk_pool_held(f->pool), 1, 1024 * 1024);
    assert_int_equal(take_all(f, &error), 1001 * 100000);
    assert_null(error);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_what_it_says),
        CASE(test_a_bomb),
        CASE(test_fewer_than_it_says),
        CASE(test_a_window_that_was_not_agreed_on),
        CASE(test_many_wait_packed),
        CASE(test_lanes),
        CASE(test_a_lane_that_was_not_agreed_on),
        CASE(test_a_lane_that_goes_on_with_nothing),
        CASE(test_a_large_window_in_a_further_lane),
    };

    return cmocka_run_group_tests_name("unpack", tests, NULL, NULL);
}
