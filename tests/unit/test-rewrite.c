/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream-guest.h"

#include "pump/rewrite.h"

typedef struct {
    VmfChunkPool *pool;
    VmfRewrite *rewrite;
    GByteArray *out;
} Fixture;

static void
take(gpointer owner, VmfSlice bytes)
{
    Fixture *fixture = owner;

    assert_true(bytes.data >= bytes.chunk->data + VMF_CHUNK_HEADROOM);
    memset(bytes.data - VMF_CHUNK_HEADROOM, 0xee, VMF_CHUNK_HEADROOM); /* it is free to be used */
    g_byte_array_append(fixture->out, bytes.data, (guint)bytes.length);
    vmf_chunk_unref(bytes.chunk);
}

static void
begin(Fixture *fixture, guint64 cache)
{
    const VmfRewriteSetup setup = {.unchanged = TRUE, .xbzrle = TRUE, .cache = cache};

    fixture->pool = vmf_chunk_pool_new();
    fixture->out = g_byte_array_new();
    fixture->rewrite = vmf_rewrite_new(&setup, fixture->pool, take, fixture);
}

static void
clear(Fixture *fixture)
{
    vmf_rewrite_free(fixture->rewrite);
    assert_int_equal(vmf_chunk_pool_held(fixture->pool), 0);
    vmf_chunk_pool_free(fixture->pool);
    g_byte_array_unref(fixture->out);
}

static void
put(Fixture *fixture, const uint8_t *data, gsize length)
{
    while (length > 0) {
        g_autoptr(VmfChunk) chunk = vmf_chunk_new(fixture->pool, VMF_CHUNK_SIZE);
        VmfSlice slice = {chunk, chunk->data + VMF_CHUNK_HEADROOM,
                          MIN(length, VMF_CHUNK_SIZE - VMF_CHUNK_HEADROOM)};

        memcpy(slice.data, data, slice.length);
        vmf_rewrite_put(fixture->rewrite, &slice);
        data += slice.length;
        length -= slice.length;
    }
}

static VmfRewriteFigures
figures(Fixture *fixture)
{
    VmfRewriteFigures now;

    vmf_rewrite_get_figures(fixture->rewrite, &now);
    return now;
}

/* Puts all of it; the output is whole. */
static void
run(Fixture *fixture, const GByteArray *stream)
{
    put(fixture, stream->data, stream->len);
    vmf_rewrite_end(fixture->rewrite);
}

static void
test_kinds(void **state)
{
    g_autofree Guest *guest = g_new(Guest, 1);
    Fixture fixture;
    VmfRewriteFigures got;

    begin(&fixture, 1 << 20);
    guest_begin(guest, 1);
    kit_section(guest->stream, VMF_SECTION_PART, 2, NULL, 0);
    for (guint page = 0; page < 4; page++) {
        memset(guest->memory[0][page], (int)page, KIT_PAGE);
        guest_send(guest, 0, page); /* 0 is zero, the others whole */
    }
    guest_send(guest, 0, 1); /* unchanged */
    guest->memory[0][2][100] = 77;
    guest_send(guest, 0, 2); /* a delta of one byte */
    for (guint i = 0; i < KIT_PAGE; i++)
        guest->memory[0][3][i] = (uint8_t)g_rand_int(guest->rand);
    guest_send(guest, 0, 3);                  /* too different */
    memset(guest->memory[0][1], 0, KIT_PAGE); /* to zero */
    guest_send(guest, 0, 1);                  /* (a record is never left out) */
    memset(guest->memory[0][1], 1, KIT_PAGE); /* and back: not unchanged */
    guest_send(guest, 0, 1);
    guest_send(guest, 0, 0); /* zero again */
    kit_ram_end(guest->stream);
    guest_end(guest);
    run(&fixture, guest->stream);
    got = figures(&fixture);
    assert_int_equal(got.zero, 3);
    assert_int_equal(got.unchanged, 1);
    assert_int_equal(got.delta, 1);
    assert_int_equal(got.delta_bytes, 3);
    assert_int_equal(got.whole, 5);
    assert_int_equal(got.in, guest->stream->len);
    assert_int_equal(got.out, fixture.out->len);
    assert_null(vmf_rewrite_why(fixture.rewrite));
    guest_verify(guest, fixture.out->data, fixture.out->len);
    guest_clear(guest);
    clear(&fixture);
}

/* A record that names its block goes in any case, or the next one would continue another. */
static void
test_named(void **state)
{
    g_autofree Guest *guest = g_new(Guest, 1);
    Fixture fixture;

    begin(&fixture, 0);
    guest_begin(guest, 1);
    kit_section(guest->stream, VMF_SECTION_PART, 2, NULL, 0);
    memset(guest->memory, 1, sizeof guest->memory);
    for (guint i = 0; i < 3; i++)
        for (guint block = 0; block < GUEST_BLOCKS; block++)
            for (guint page = 0; page < GUEST_PAGES; page++)
                guest_send(guest, block, page);
    kit_ram_end(guest->stream);
    guest_end(guest);
    run(&fixture, guest->stream);
    assert_int_equal(figures(&fixture).whole, 2 * GUEST_PAGES + 4);
    assert_int_equal(figures(&fixture).unchanged, 4 * (GUEST_PAGES - 1));
    guest_verify(guest, fixture.out->data, fixture.out->len);
    guest_clear(guest);
    clear(&fixture);
}

/* Whatever is resized and switched meanwhile, and however the input is cut. */
static void
test_disturbed(void **state)
{
    for (guint32 seed = 1; seed <= 60; seed++) {
        g_autofree Guest *guest = g_new(Guest, 1);
        Fixture fixture;
        guint at = 0;

        begin(&fixture, seed % 3 * 100 * 1024);
        guest_begin(guest, seed);
        for (guint i = 0; i < 8; i++)
            guest_pass(guest, 60);
        guest_end(guest);
        while (at < guest->stream->len) {
            guint n = (guint)g_rand_int_range(guest->rand, 1, 20000);

            n = MIN(n, guest->stream->len - at);
            put(&fixture, guest->stream->data + at, n);
            at += n;
            switch (g_rand_int_range(guest->rand, 0, 8)) {
            case 0:
                vmf_rewrite_set_cache(fixture.rewrite,
                                      (guint64)g_rand_int_range(guest->rand, 0, 300) * 1024);
                break;
            case 1:
                vmf_rewrite_set_on(fixture.rewrite, g_rand_boolean(guest->rand));
                break;
            case 2:
                vmf_rewrite_flush(fixture.rewrite);
                break;
            case 3:
                if (g_rand_int_range(guest->rand, 0, 40) == 0)
                    vmf_rewrite_give_up(fixture.rewrite, "test");
                break;
            default:
                break;
            }
        }
        vmf_rewrite_end(fixture.rewrite);
        guest_verify(guest, fixture.out->data, fixture.out->len);
        guest_clear(guest);
        clear(&fixture);
    }
}

/* Behind `extra`, in the middle of RAM, nothing is changed any more; and `why` says so. */
static void
expect_untouched_behind(const GByteArray *extra, const char *why)
{
    g_autofree Guest *guest = g_new(Guest, 1);
    Fixture fixture;
    guint before, left;

    begin(&fixture, 1 << 20);
    guest_begin(guest, 3);
    guest_pass(guest, 100);
    guest_pass(guest, 100);
    before = guest->stream->len;
    kit_bytes(guest->stream, extra->data, extra->len);
    guest->last = -1;
    for (guint i = 0; i < 3; i++)
        guest_pass(guest, 100);
    guest_end(guest);
    for (guint at = 0; at < guest->stream->len; at += 5000)
        put(&fixture, guest->stream->data + at, MIN(5000, guest->stream->len - at));
    vmf_rewrite_end(fixture.rewrite);
    assert_non_null(strstr(vmf_rewrite_why(fixture.rewrite), why));
    left = guest->stream->len - before;
    assert_true(figures(&fixture).delta > 20);
    assert_true(fixture.out->len >= left);
    assert_memory_equal(fixture.out->data + fixture.out->len - left, guest->stream->data + before,
                        left);
    guest_clear(guest);
    clear(&fixture);
}

static void
test_untouched(void **state)
{
    static const uint8_t discard[] = "\0\6pc.ram\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\x10\0";
    g_autoptr(GByteArray) listen = g_byte_array_new();
    g_autoptr(GByteArray) discards = g_byte_array_new();
    g_autoptr(GByteArray) colo = g_byte_array_new();
    g_autoptr(GByteArray) unknown = g_byte_array_new();

    kit_command(listen, VMF_COMMAND_POSTCOPY_LISTEN, NULL, 0);
    expect_untouched_behind(listen, "post-copy");
    kit_command(discards, VMF_COMMAND_POSTCOPY_RAM_DISCARD, discard, sizeof discard - 1);
    expect_untouched_behind(discards, "post-copy");
    kit_command(colo, VMF_COMMAND_ENABLE_COLO, NULL, 0);
    expect_untouched_behind(colo, "COLO");
    kit_number(unknown, 0x77, 1);
    expect_untouched_behind(unknown, "0x77");
}

/* QEMU's own XBZRLE and compressed records leave no base. */
static void
test_packed_by_qemu(void **state)
{
    g_autofree Guest *guest = g_new(Guest, 1);
    Fixture fixture;
    uint8_t *page = guest->memory[0][0];

    begin(&fixture, 1 << 20);
    guest_begin(guest, 1);
    kit_section(guest->stream, VMF_SECTION_PART, 2, NULL, 0);
    memset(page, 1, KIT_PAGE);
    guest_send(guest, 0, 0);
    kit_number(guest->stream, 0x60, 8); /* XBZRLE, continued: skip 5, store 1 */
    kit_bytes(guest->stream, "\1\0\3\5\1\x9", 6);
    guest_send(guest, 0, 0); /* as it was first: neither unchanged nor a delta */
    page[5] = 9;
    guest_send(guest, 0, 0);
    kit_ram_end(guest->stream);
    guest_end(guest);
    run(&fixture, guest->stream);
    assert_int_equal(figures(&fixture).unchanged, 0);
    assert_int_equal(figures(&fixture).delta, 2); /* QEMU's, and the last one */
    guest_verify(guest, fixture.out->data, fixture.out->len);
    guest_clear(guest);
    clear(&fixture);
}

/* The end inside a record passes on what there is. */
static void
test_cut(void **state)
{
    g_autofree Guest *guest = g_new(Guest, 1);
    Fixture fixture;

    begin(&fixture, 0);
    guest_begin(guest, 5);
    guest_pass(guest, 100);
    g_byte_array_set_size(guest->stream, guest->stream->len - 3000);
    run(&fixture, guest->stream);
    assert_int_equal(fixture.out->len, guest->stream->len);
    assert_memory_equal(fixture.out->data, guest->stream->data, guest->stream->len);
    guest_clear(guest);
    clear(&fixture);
}

/* All pages come again and again, in the same order: no smaller cache would have them. */
static void
test_curve(void **state)
{
    g_autofree Guest *guest = g_new(Guest, 1);
    VmfSamplerPoint points[8];
    Fixture fixture;
    guint64 repeats;
    guint n;

    begin(&fixture, 0);
    guest_begin(guest, 5);
    memset(guest->memory, 1, sizeof guest->memory);
    for (guint pass = 0; pass < 40; pass++) {
        kit_section(guest->stream, VMF_SECTION_PART, 2, NULL, 0);
        for (guint page = 0; page < GUEST_BLOCKS * GUEST_PAGES; page++)
            guest_send(guest, page / GUEST_PAGES, page % GUEST_PAGES);
        kit_ram_end(guest->stream);
    }
    assert_int_equal(vmf_rewrite_get_curve(fixture.rewrite, points, 8, &repeats), 0);
    put(&fixture, guest->stream->data, guest->stream->len);
    n = vmf_rewrite_get_curve(fixture.rewrite, points, 8, &repeats);
    assert_in_range(n, 2, 8);
    assert_in_range(repeats, 20 * GUEST_BLOCKS * GUEST_PAGES, 60 * GUEST_BLOCKS * GUEST_PAGES);
    assert_int_equal(points[0].bytes, 0);
    assert_true(points[0].miss_ratio == 1 && points[n - 1].miss_ratio == 0);
    assert_in_range(points[n - 1].bytes, sizeof guest->memory / 2, sizeof guest->memory * 2);
    guest_clear(guest);
    clear(&fixture);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),          cmocka_unit_test(test_named),
        cmocka_unit_test(test_disturbed),      cmocka_unit_test(test_untouched),
        cmocka_unit_test(test_packed_by_qemu), cmocka_unit_test(test_cut),
        cmocka_unit_test(test_curve),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
