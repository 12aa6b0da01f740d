/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The end of a stream goes whole, or, if the destination could not load it, not at all. */
#include "stream-kit.h"

#include "base/error.h"
#include "pump/rewrite.h"
#include "stream/loadable.h"

#define DEVICE(name, subsections)                                                                  \
    "{\"name\": \"0000:00:01.0/" name "\", \"instance_id\": 0, \"vmsd_name\": \"" name             \
    "\", \"version\": 1, \"fields\": [{\"name\": \"a\", \"type\": \"uint32\", \"size\": 4}], "     \
    "\"subsections\": [" subsections "]}"
#define SUB(name, inner)                                                                           \
    "{\"vmsd_name\": \"" name "\", \"version\": 1, \"fields\": [], \"subsections\": [" inner "]}"
#define ALL(devices) "{\"page_size\": 4096, \"devices\": [" devices "]}"
#define GOOD ALL(DEVICE("dev", SUB("dev/x", "")) ", " DEVICE("other", SUB("other/z", "")))

typedef struct {
    VmfChunkPool *pool;
    VmfLoadable *loadable;
    VmfRewrite *rewrite;
    GByteArray *out;
} Fixture;

static void
take(gpointer owner, VmfSlice bytes)
{
    Fixture *fixture = owner;

    g_byte_array_append(fixture->out, bytes.data, (guint)bytes.length);
    vmf_chunk_unref(bytes.chunk);
}

/* The destination knows dev with dev/x, and nothing of "other". */
static void
begin(Fixture *fixture, gboolean delta)
{
    VmfRewriteSetup setup = {.unchanged = delta, .xbzrle = delta, .cache = 1 << 20};

    fixture->pool = vmf_chunk_pool_new();
    fixture->out = g_byte_array_new();
    fixture->loadable = vmf_loadable_new();
    vmf_loadable_add(fixture->loadable, "dev", "dev/x");
    vmf_loadable_add(fixture->loadable, "dev/x", NULL);
    setup.loadable = fixture->loadable;
    fixture->rewrite = vmf_rewrite_new(&setup, fixture->pool, take, fixture);
}

static void
clear(Fixture *fixture)
{
    vmf_rewrite_free(fixture->rewrite);
    assert_int_equal(vmf_chunk_pool_held(fixture->pool), 0);
    vmf_chunk_pool_free(fixture->pool);
    vmf_loadable_free(fixture->loadable);
    g_byte_array_unref(fixture->out);
}

/* In pieces of `piece` bytes. */
static void
put(Fixture *fixture, const GByteArray *stream, gsize piece)
{
    for (gsize at = 0; at < stream->len; at += piece) {
        g_autoptr(VmfChunk) chunk = vmf_chunk_new(fixture->pool, VMF_CHUNK_SIZE);
        VmfSlice slice = {chunk, chunk->data + VMF_CHUNK_HEADROOM, MIN(piece, stream->len - at)};

        memcpy(slice.data, stream->data + at, slice.length);
        vmf_rewrite_put(fixture->rewrite, &slice);
    }
}

static GByteArray *
stream_with(const char *description)
{
    GByteArray *stream = kit_whole();

    kit_number(stream, 6, 1);
    kit_number(stream, strlen(description), 4);
    kit_bytes(stream, description, strlen(description));
    return stream;
}

/* Where the state of devices begins. */
static gsize
tail_of(const GByteArray *stream)
{
    for (gsize at = stream->len - 8;; at--)
        if (memcmp(stream->data + at, "\4\0\0\0\7\3dev", 9) == 0)
            return at;
}

static const gsize pieces[] = {13, 100, 4096, 30000};

static void
test_good(void **state)
{
    g_autoptr(GByteArray) stream = stream_with(GOOD);

    for (guint i = 0; i < 2 * G_N_ELEMENTS(pieces); i++) {
        Fixture fixture;

        begin(&fixture, i % 2);
        put(&fixture, stream, pieces[i / 2]);
        assert_null(vmf_rewrite_error(fixture.rewrite));
        vmf_rewrite_flush(fixture.rewrite);
        assert_int_equal(fixture.out->len, stream->len); /* nothing waits for the end */
        assert_memory_equal(fixture.out->data, stream->data, stream->len);
        vmf_rewrite_end(fixture.rewrite);
        assert_int_equal(fixture.out->len, stream->len);
        clear(&fixture);
    }
}

static void
test_bad(void **state)
{
    static const struct {
        const char *description, *subsection, *device;
    } cases[] = {
        {ALL(DEVICE("dev", SUB("dev/y", ""))), "dev/y", "0000:00:01.0/dev"},
        {ALL(DEVICE("dev", SUB("dev/x", SUB("dev/x/z", "")))), "dev/x/z", "0000:00:01.0/dev"},
        {ALL(DEVICE("other", SUB("o", "")) ", " DEVICE("dev", SUB("dev/y", ""))), "dev/y", "dev"},
    };

    for (guint i = 0; i < 2 * G_N_ELEMENTS(cases) * G_N_ELEMENTS(pieces); i++) {
        guint which = i / 2 % G_N_ELEMENTS(cases);
        g_autoptr(GByteArray) stream = stream_with(cases[which].description);
        const GError *error;
        Fixture fixture;

        begin(&fixture, i % 2);
        put(&fixture, stream, pieces[i / 2 / G_N_ELEMENTS(cases)]);
        error = vmf_rewrite_error(fixture.rewrite);
        assert_true(g_error_matches(error, VMF_ERROR, VMF_ERROR_INCOMPATIBLE));
        assert_non_null(strstr(error->message, cases[which].subsection));
        assert_non_null(strstr(error->message, cases[which].device));
        vmf_rewrite_flush(fixture.rewrite);
        put(&fixture, stream, 4096); /* comes too late */
        vmf_rewrite_end(fixture.rewrite);
        assert_true(fixture.out->len <= tail_of(stream));
        assert_memory_equal(fixture.out->data, stream->data, fixture.out->len);
        clear(&fixture);
    }
}

/* Nothing of the tail goes before all of it does. */
static void
test_held(void **state)
{
    g_autoptr(GByteArray) stream = stream_with(GOOD);
    gsize tail = tail_of(stream);
    Fixture fixture;

    begin(&fixture, TRUE);
    for (gsize end = 1; end < stream->len; end++) {
        GByteArray part = {stream->data + end - 1, 1};

        put(&fixture, &part, 1);
        vmf_rewrite_flush(fixture.rewrite);
        if (end == tail + strlen("\4....\3dev....ver.") + 4 + 5 + 1)
            break; /* here it looks like a stream without a description */
        assert_true(fixture.out->len <= tail);
    }
    clear(&fixture);
}

/* QEMU says no more, and waits for the destination: so must not we. */
static void
test_without_description(void **state)
{
    g_autoptr(GByteArray) stream = kit_whole();
    Fixture fixture;

    begin(&fixture, TRUE);
    put(&fixture, stream, 100);
    vmf_rewrite_flush(fixture.rewrite);
    assert_int_equal(fixture.out->len, stream->len);
    assert_memory_equal(fixture.out->data, stream->data, stream->len);
    clear(&fixture);
}

/* Device state that looks like the beginning of a description. */
static void
test_looks_like_one(void **state)
{
    g_autoptr(GByteArray) stream = kit_stream("pc");
    static const char trap[] = "\0\6\0\0\0\2{}\0\6\0\0\0\xff{\"\0\6\0\0\0\3{1}";
    Fixture fixture;

    kit_ram_start(stream, 2);
    kit_ram_end(stream);
    kit_section(stream, VMF_SECTION_END, 2, NULL, 0);
    kit_ram_end(stream);
    kit_section(stream, VMF_SECTION_FULL, 7, "dev", 3);
    kit_bytes(stream, trap, sizeof trap - 1);
    for (guint i = 0; i < 300; i++)
        kit_number(stream, i, 1);
    kit_footer(stream, 7);
    kit_number(stream, 0, 1);
    kit_number(stream, 6, 1);
    kit_number(stream, strlen(ALL(DEVICE("dev", SUB("dev/y", "")))), 4);
    kit_bytes(stream, ALL(DEVICE("dev", SUB("dev/y", ""))),
              strlen(ALL(DEVICE("dev", SUB("dev/y", "")))));
    begin(&fixture, TRUE);
    put(&fixture, stream, 100);
    assert_non_null(vmf_rewrite_error(fixture.rewrite));
    clear(&fixture);
}

/* With multifd nothing is rewritten; it is judged all the same. */
static void
test_not_rewritten(void **state)
{
    g_autoptr(GByteArray) stream = stream_with(ALL(DEVICE("dev", SUB("dev/y", ""))));
    g_autoptr(GByteArray) good = stream_with(GOOD);
    Fixture fixture;

    begin(&fixture, TRUE);
    vmf_rewrite_give_up(fixture.rewrite, "multifd");
    put(&fixture, stream, 100);
    assert_non_null(vmf_rewrite_error(fixture.rewrite));
    clear(&fixture);
    begin(&fixture, TRUE);
    vmf_rewrite_set_on(fixture.rewrite, FALSE);
    vmf_rewrite_give_up(fixture.rewrite, "multifd");
    put(&fixture, good, 100);
    vmf_rewrite_end(fixture.rewrite);
    assert_int_equal(fixture.out->len, good->len);
    assert_memory_equal(fixture.out->data, good->data, good->len);
    assert_string_equal(vmf_rewrite_why(fixture.rewrite), "multifd");
    clear(&fixture);
}

/* The reader cannot go on: the rest passes as it came. */
static void
test_unreadable(void **state)
{
    g_autoptr(GByteArray) stream = kit_stream("pc");
    Fixture fixture;

    kit_ram_start(stream, 2);
    for (guint i = 0; i < 20000; i++)
        kit_number(stream, 0xff, 1);
    begin(&fixture, TRUE);
    put(&fixture, stream, 1000);
    vmf_rewrite_end(fixture.rewrite);
    assert_null(vmf_rewrite_error(fixture.rewrite));
    assert_non_null(vmf_rewrite_why(fixture.rewrite));
    assert_int_equal(fixture.out->len, stream->len);
    assert_memory_equal(fixture.out->data, stream->data, stream->len);
    clear(&fixture);
}

static void
test_variant(void **state)
{
    g_autoptr(VmfLoadable) loadable = vmf_loadable_new();
    g_autoptr(VmfLoadable) back = NULL;
    g_autoptr(GVariant) variant = NULL;
    g_autoptr(VmfDescription) description = vmf_description_parse(GOOD, strlen(GOOD), NULL);
    g_autoptr(GError) error = NULL;

    vmf_loadable_add(loadable, "dev", NULL);
    variant = g_variant_ref_sink(vmf_loadable_to_variant(loadable));
    back = vmf_loadable_from_variant(variant);
    assert_false(vmf_loadable_check(back, description, &error));
    assert_non_null(strstr(error->message, "dev/x"));
    vmf_loadable_allow(back, "dev/x");
    assert_true(vmf_loadable_check(back, description, NULL));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),           cmocka_unit_test(test_bad),
        cmocka_unit_test(test_held),           cmocka_unit_test(test_without_description),
        cmocka_unit_test(test_looks_like_one), cmocka_unit_test(test_not_rewritten),
        cmocka_unit_test(test_unreadable),     cmocka_unit_test(test_variant),
    };

    return cmocka_run_group_tests_name("tail", tests, NULL, NULL);
}
