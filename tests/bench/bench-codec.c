/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Speed of the XBZRLE codec and of the page cache: what tests/bench/codec runs, one figure a line.
 *
 * --pairs FILE: real pages, before and after (tests/bench/record-pages). Each variant of the codec,
 * and the word-wise encoder and the decoder below, which are what one writes first, go over all
 * pages in turn; figures are medians of the rounds.
 * --table: made-up pages, by what changed and in which order they come; GB of pages a second.
 * --cache: pages that are all in a page cache of 256 MiB; ns a page for finding, encoding and
 * bringing the cache up to date.
 */
#include <string.h>
#include <sys/mman.h>

#include "delta/page-cache.h"
#include "measure.h"

#define PAGE 4096u
#define ROUNDS 9u

typedef struct {
    guint count;
    gsize size; /* of all pages */
    uint8_t *old, *page, *deltas;
    int *lengths;
} Pairs;

/* The straightforward encoder: words while they are equal, or while no byte of them is. */
static uint64_t
word_at(const uint8_t *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof word);
    return word;
}

static gboolean
has_equal_byte(const uint8_t *old, const uint8_t *page)
{
    uint64_t ones = G_GUINT64_CONSTANT(0x0101010101010101), differ = word_at(old) ^ word_at(page);

    return ((differ - ones) & ~differ & ones << 7) != 0;
}

static size_t
put_number(uint8_t *to, size_t number)
{
    to[0] = (uint8_t)(number & 0x7f);
    if (number < 0x80)
        return 1;
    to[0] |= 0x80;
    to[1] = (uint8_t)(number >> 7);
    return 2;
}

static int
encode_by_words(const uint8_t *old, const uint8_t *page, size_t size, uint8_t *out, size_t out_size)
{
    size_t at = 0, length = 0;

    while (at < size) {
        size_t start = at;

        if (length + 2 > out_size)
            return -1;
        while (at + 8 <= size && word_at(old + at) == word_at(page + at))
            at += 8;
        while (at < size && old[at] == page[at])
            at++;
        if (at == size)
            break;
        length += put_number(out + length, at - start);
        if (length + 2 > out_size)
            return -1;
        start = at;
        while (at + 8 <= size && !has_equal_byte(old + at, page + at))
            at += 8;
        while (at < size && old[at] != page[at])
            at++;
        length += put_number(out + length, at - start);
        if (length + at - start > out_size)
            return -1;
        memcpy(out + length, page + start, at - start);
        length += at - start;
    }
    return (int)length;
}

/* The straightforward decoder. */
static gboolean
take_number(const uint8_t *data, size_t length, size_t *at, size_t *ret_number)
{
    if (*at >= length)
        return FALSE;
    *ret_number = data[(*at)++];
    if (*ret_number & 0x80) {
        if (*at >= length || data[*at] & 0x80)
            return FALSE;
        *ret_number = (*ret_number & 0x7f) | (size_t)data[(*at)++] << 7;
    }
    return TRUE;
}

static gboolean
decode_by_bytes(const uint8_t *data, size_t length, uint8_t *page, size_t size)
{
    size_t from = 0, to = 0, skip, store;

    while (from < length) {
        gboolean first = from == 0;

        if (!take_number(data, length, &from, &skip) || (skip == 0 && !first) || skip > size - to)
            return FALSE;
        to += skip;
        if (!take_number(data, length, &from, &store) || store == 0 || store > size - to ||
            store > length - from)
            return FALSE;
        memcpy(page + to, data + from, store);
        from += store;
        to += store;
    }
    return TRUE;
}

/* As a page cache has it: in huge pages, if the kernel has them. */
static uint8_t *
allocate(gsize size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        g_error("no memory");
    madvise(memory, size, MADV_HUGEPAGE);
    memset(memory, 0, size);
    return memory;
}

static void
load_pairs(Pairs *pairs, const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GMappedFile) file = g_mapped_file_new(path, FALSE, &error);
    const uint8_t *from;

    if (!file)
        g_error("%s", error->message);
    from = (const uint8_t *)g_mapped_file_get_contents(file);
    pairs->count = (guint)(g_mapped_file_get_length(file) / (2 * PAGE));
    pairs->size = (gsize)pairs->count * PAGE;
    pairs->old = allocate(pairs->size);
    pairs->page = allocate(pairs->size);
    pairs->deltas = allocate(pairs->size + PAGE);
    pairs->lengths = g_new0(int, pairs->count);
    for (guint i = 0; i < pairs->count; i++) {
        memcpy(pairs->old + (gsize)i * PAGE, from + (gsize)i * 2 * PAGE, PAGE);
        memcpy(pairs->page + (gsize)i * PAGE, from + (gsize)i * 2 * PAGE + PAGE, PAGE);
    }
}

static void
free_pairs(Pairs *pairs)
{
    munmap(pairs->old, pairs->size);
    munmap(pairs->page, pairs->size);
    munmap(pairs->deltas, pairs->size + PAGE);
    g_free(pairs->lengths);
}

/* One delta behind the other, as they go out. NULL: the straightforward encoder. ns a page. */
static double
time_encoding(Pairs *pairs, const VmfXbzrle *codec)
{
    double start = measure_seconds();
    uint8_t *out = pairs->deltas;

    for (guint i = 0; i < pairs->count; i++) {
        const uint8_t *old = pairs->old + (gsize)i * PAGE, *page = pairs->page + (gsize)i * PAGE;
        int length = codec ? vmf_xbzrle_encode(codec, old, page, PAGE, out, PAGE)
                           : encode_by_words(old, page, PAGE, out, PAGE);

        pairs->lengths[i] = length;
        out += MAX(length, 0);
    }
    return (measure_seconds() - start) * 1e9 / pairs->count;
}

static double
time_decoding(Pairs *pairs, uint8_t *pages, gboolean ours)
{
    double start = measure_seconds();
    const uint8_t *delta = pairs->deltas;

    for (guint i = 0; i < pairs->count; i++) {
        uint8_t *page = pages + (gsize)i * PAGE;
        size_t length = (size_t)MAX(pairs->lengths[i], 0);

        if (!(ours ? vmf_xbzrle_apply(delta, length, page, PAGE)
                   : decode_by_bytes(delta, length, page, PAGE)))
            g_error("page %u cannot be decoded", i);
        delta += length;
    }
    return (measure_seconds() - start) * 1e9 / pairs->count;
}

/* What has no delta is left out of decoding: lengths are those of the last encoding. */
static void
bench_decoding(Pairs *pairs)
{
    uint8_t *pages = allocate(pairs->size);
    double plain[ROUNDS], ours[ROUNDS], speedup[ROUNDS];

    memcpy(pages, pairs->old, pairs->size);
    for (guint round = 0; round < ROUNDS; round++) {
        plain[round] = time_decoding(pairs, pages, FALSE);
        ours[round] = time_decoding(pairs, pages, TRUE);
        speedup[round] = plain[round] / ours[round];
    }
    for (guint i = 0; i < pairs->count; i++)
        if (pairs->lengths[i] >= 0 &&
            memcmp(pages + (gsize)i * PAGE, pairs->page + (gsize)i * PAGE, PAGE) != 0)
            g_error("page %u is not what was encoded", i);
    munmap(pages, pairs->size);
    measure_report("codec.decode_ns.plain", measure_median(plain, ROUNDS), "ns/page", ROUNDS);
    measure_report("codec.decode_ns", measure_median(ours, ROUNDS), "ns/page", ROUNDS);
    measure_report("codec.decode_speedup", measure_median(speedup, ROUNDS), "ratio", ROUNDS);
}

static void
bench_encoding(Pairs *pairs)
{
    const VmfXbzrle *codecs[8];
    double plain[ROUNDS], ns[8][ROUNDS], speedup[8][ROUNDS];
    guint variants = 0;

    while ((codecs[variants] = vmf_xbzrle_usable(variants)))
        variants++;
    time_encoding(pairs, NULL);
    for (guint round = 0; round < ROUNDS; round++) {
        plain[round] = time_encoding(pairs, NULL);
        for (guint i = 0; i < variants; i++) {
            ns[i][round] = time_encoding(pairs, codecs[i]);
            speedup[i][round] = plain[round] / ns[i][round];
        }
    }
    measure_report("codec.encode_ns.plain", measure_median(plain, ROUNDS), "ns/page", ROUNDS);
    for (guint i = 0; i < variants; i++) {
        const char *name = vmf_xbzrle_name(codecs[i]);
        g_autofree char *time = g_strdup_printf("codec.encode_ns.%s", name);
        g_autofree char *ratio = g_strdup_printf("codec.encode_speedup.%s", name);

        measure_report(time, measure_median(ns[i], ROUNDS), "ns/page", ROUNDS);
        measure_report(ratio, measure_median(speedup[i], ROUNDS), "ratio", ROUNDS);
    }
}

static void
bench_pairs(const char *path)
{
    double bytes = 0;
    Pairs pairs;

    load_pairs(&pairs, path);
    bench_encoding(&pairs);
    bench_decoding(&pairs);
    for (guint i = 0; i < pairs.count; i++)
        bytes += pairs.lengths[i] > 0 ? pairs.lengths[i] : (int)PAGE;
    measure_report("codec.pages", pairs.count, "pages", 1);
    measure_report("codec.delta_bytes", bytes / pairs.count, "bytes", 1);
    free_pairs(&pairs);
}

int
main(int argc, char **argv)
{
    g_autofree char *pairs = NULL;
    const GOptionEntry entries[] = {
        {"pairs", 0, 0, G_OPTION_ARG_FILENAME, &pairs, "Recorded pages", "FILE"},
        G_OPTION_ENTRY_NULL};
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return 2;
    }
    if (pairs)
        bench_pairs(pairs);
    return EXIT_SUCCESS;
}
