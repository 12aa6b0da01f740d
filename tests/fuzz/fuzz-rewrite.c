/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The delta stage. The first byte chooses between a stream as it is in the input and one that is
 * put together from it, operation by operation, so that pages come again and again; the second the
 * size of the pieces and what is changed on the way. The memory rebuilt from what comes out must be
 * that of what went in.
 */
#include "fuzz.h"

#include <string.h>

#include "base/bytes.h"
#include "pump/rewrite.h"
#include "stream/page.h"
#include "stream/stream.h"

#define PAGE 4096u
#define PAGES 16u
#define STREAM_MAX (1u << 20)
#define PIECES_MAX 500u
#define MEMORY_MAX (4u << 20)

typedef struct {
    GByteArray *out;
    VmfChunkPool *pool;
    VmfRewrite *rewrite;
} Stage;

static void
take(gpointer owner, VmfSlice bytes)
{
    g_byte_array_append(owner, bytes.data, (guint)bytes.length);
    vmf_chunk_unref(bytes.chunk);
}

/* ---- memory of a stream ---- */

static void
free_page(gpointer page)
{
    g_free(page);
}

static void
apply(GHashTable *memory, const VmfPage *page, guint page_size)
{
    g_autofree char *name =
        g_strdup_printf("%u:%" G_GINT64_MODIFIER "x", page->block->index, page->address);
    uint8_t *bytes = g_hash_table_lookup(memory, name);

    if (!bytes && g_hash_table_size(memory) * (gsize)page_size < MEMORY_MAX) {
        bytes = g_malloc0(page_size);
        g_hash_table_insert(memory, g_steal_pointer(&name), bytes);
    }
    if (bytes && !vmf_page_apply(page, bytes, page_size, NULL))
        memset(bytes, 0, page_size);
}

static GHashTable *
rebuild(const GByteArray *stream)
{
    const VmfReaderOptions options = {.connection = VMF_CONNECTION_MAIN,
                                      .devices = VMF_DEVICES_OPAQUE};
    g_autoptr(VmfReader) reader = vmf_reader_new(&options);
    GHashTable *memory = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_page);
    VmfEvent event;

    vmf_reader_feed(reader, stream->data, stream->len);
    while (vmf_reader_next(reader, &event, NULL) == VMF_READ_EVENT)
        if (event.type == VMF_EVENT_PAGE)
            apply(memory, &event.page, vmf_reader_page_size(reader));
    g_hash_table_insert(memory, g_strdup("page size"),
                        g_memdup2(&(guint){vmf_reader_page_size(reader)}, sizeof(guint)));
    return memory;
}

static void
compare(GHashTable *one, GHashTable *other)
{
    guint size = *(const guint *)g_hash_table_lookup(one, "page size");
    GHashTableIter iter;
    gpointer name, page;

    g_assert_cmpuint(g_hash_table_size(one), ==, g_hash_table_size(other));
    g_hash_table_iter_init(&iter, one);
    while (g_hash_table_iter_next(&iter, &name, &page)) {
        const void *theirs = g_hash_table_lookup(other, name);
        gsize n = g_str_equal(name, "page size") ? sizeof(guint) : size;

        g_assert_nonnull(theirs);
        g_assert_cmpmem(page, n, theirs, n);
    }
}

/* ---- a stream of operations ---- */

static void
put_number(GByteArray *to, uint64_t number, guint size)
{
    uint8_t bytes[8];

    vmf_put_u64(bytes, number);
    g_byte_array_append(to, bytes + 8 - size, size);
}

static void
put_text(GByteArray *to, const char *text, guint length)
{
    g_byte_array_append(to, (const uint8_t *)text, length);
}

static GByteArray *
begin_stream(void)
{
    GByteArray *to = g_byte_array_new();

    put_text(to, "QEVM\0\0\0\3\7\0\0\0\2pc", 15);
    put_text(to, "\1\0\0\0\2\3ram\0\0\0\0\0\0\0\4", 17);
    put_number(to, PAGES * PAGE | 4, 8);
    put_text(to, "\1r", 2);
    put_number(to, PAGES * PAGE, 8);
    put_text(to, "\0\0\0\0\0\0\0\x10\x7e\0\0\0\2\2\0\0\0\2", 18);
    return to;
}

static void
put_head(GByteArray *to, guint page, guint flags, gboolean *named)
{
    put_number(to, page * PAGE | flags | (*named ? 0x20 : 0), 8);
    if (!*named)
        put_text(to, "\1r", 2);
    *named = TRUE;
}

static void
put_operation(GByteArray *to, uint8_t memory[PAGES][PAGE], uint8_t what, uint8_t how,
              gboolean *named)
{
    guint page = what % PAGES;
    uint8_t *bytes = memory[page];

    switch (what / PAGES) {
    case 8:
        put_head(to, page, 0x02, named);
        put_number(to, how & 1 ? how : 0, 1);
        return;
    case 9:
        put_text(to, "\0\0\0\0\0\0\0\x10\x7e\0\0\0\2\2\0\0\0\2", 18);
        return;
    case 10: /* as QEMU with XBZRLE: one byte */
        put_head(to, page, 0x40, named);
        put_text(to, "\1\0\3", 3);
        put_number(to, how & 0x7f, 1);
        put_number(to, 1, 1);
        put_number(to, how, 1);
        bytes[how & 0x7f] = how;
        return;
    case 11:
        put_text(to, "\0\0\0\0\0\0\0\x10\x7e\0\0\0\2\x8\0\4\0\0\2\0\0\0\2", 23); /* LISTEN */
        return;
    case 12:
        put_number(to, how, 1);
        return;
    case 13:
        memset(bytes, how, PAGE);
        break;
    case 14:
        for (guint i = 0; i < PAGE; i++)
            bytes[i] = (uint8_t)(i * how ^ i >> 3);
        break;
    case 15:
        break;
    default:
        bytes[what / PAGES * 500u + how] ^= how;
        break;
    }
    put_head(to, page, 0x08, named);
    g_byte_array_append(to, bytes, PAGE);
}

static GByteArray *
make_stream(const uint8_t *data, size_t length)
{
    static uint8_t memory[PAGES][PAGE];
    GByteArray *to = begin_stream();
    gboolean named = FALSE;

    memset(memory, 0, sizeof memory);
    for (size_t i = 0; i + 1 < length && to->len < STREAM_MAX; i += 2)
        put_operation(to, memory, data[i], data[i + 1], &named);
    return to;
}

/* ---- */

static void
disturb(VmfRewrite *rewrite, guint number)
{
    switch (number % 5) {
    case 0:
        vmf_rewrite_set_cache(rewrite, number * 1000 % 80000);
        break;
    case 1:
        vmf_rewrite_set_on(rewrite, FALSE);
        break;
    case 2:
    case 3:
        vmf_rewrite_set_on(rewrite, TRUE);
        break;
    default:
        vmf_rewrite_flush(rewrite);
        break;
    }
}

static GByteArray *
rewrite_stream(const GByteArray *stream, uint8_t how)
{
    const VmfRewriteSetup setup = {.unchanged = TRUE, .xbzrle = TRUE, .cache = 1 << 16};
    gsize piece = how & 0x80 ? STREAM_MAX : 1 + (how & 0x7fu) * 77;
    GByteArray *out = g_byte_array_new();
    VmfChunkPool *pool = vmf_chunk_pool_new();
    VmfRewrite *rewrite = vmf_rewrite_new(&setup, pool, take, out);

    /* a long stream in single bytes would only be slow */
    piece = CLAMP(piece, 1 + stream->len / PIECES_MAX, VMF_CHUNK_SIZE - VMF_CHUNK_HEADROOM);
    for (gsize at = 0, number = how; at < stream->len; at += piece, number = number * 7 + 3) {
        g_autoptr(VmfChunk) chunk = vmf_chunk_new(pool, VMF_CHUNK_HEADROOM + piece);
        VmfSlice slice = {chunk, chunk->data + VMF_CHUNK_HEADROOM, MIN(piece, stream->len - at)};

        memcpy(slice.data, stream->data + at, slice.length);
        vmf_rewrite_put(rewrite, &slice);
        if (how & 0x40)
            disturb(rewrite, (guint)(number % 1000));
    }
    vmf_rewrite_end(rewrite);
    vmf_rewrite_free(rewrite);
    g_assert_cmpuint(vmf_chunk_pool_held(pool), ==, 0);
    vmf_chunk_pool_free(pool);
    return out;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    g_autoptr(GByteArray) stream = NULL;
    g_autoptr(GByteArray) out = NULL;
    g_autoptr(GHashTable) wanted = NULL;
    g_autoptr(GHashTable) got = NULL;

    if (length < 2)
        return 0;
    if (data[0] & 1) {
        stream = make_stream(data + 2, length - 2);
    } else {
        stream = g_byte_array_new();
        g_byte_array_append(stream, data + 2, (guint)(length - 2));
    }
    out = rewrite_stream(stream, data[1]);
    wanted = rebuild(stream);
    got = rebuild(out);
    compare(wanted, got);
    return 0;
}
