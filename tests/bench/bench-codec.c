/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Speed of the XBZRLE codec and of the page cache: what tests/bench/codec runs, one figure a line.
 *
 * --pairs FILE: real pages, before and after (tests/bench/record-pages). Each variant of the codec,
 * and the plain encoder and decoder (plain-codec.h), go over all pages in turn; figures are medians
 * of the rounds.
 * --table MIB: made-up pages, by what changed and in which order they come; GB of pages a second.
 * --cache MIB: a page cache that holds all the pages that come; ns a page for finding, encoding
 * and bringing the cache up to date.
 */
#include <string.h>
#include <sys/mman.h>

#include "delta/page-cache.h"
#include "delta/xbzrle-private.h"
#include "measure.h"
#include "plain-codec.h"

#define PAGE 4096u
#define ROUNDS 9u
#define TABLE_ROUNDS 3u
#define BATCH 64u
#define CODECS_MAX 8u

typedef struct {
    guint count;
    gsize size; /* of all pages */
    uint8_t *old, *page, *deltas;
    int *lengths;
} Pairs;

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

/* Where the pages of a batch are when it begins. */
typedef enum {
    IN_CACHE,  /* the CPU's */
    FETCHED,   /* the new ones there, as just received; the old ones in memory, and fetched ahead */
    IN_MEMORY, /* all in memory, and fetched ahead */
    PLACES
} Place;

static const char *const place_names[PLACES] = {"", ".fetched", ".memory"};

static void
touch(const uint8_t *pages, gsize size)
{
    volatile uint8_t sum = 0;

    for (gsize i = 0; i < size; i += 64)
        sum = (uint8_t)(sum + pages[i]);
}

/* NULL: the straightforward encoder. Seconds. */
static double
time_batch(const Pairs *pairs, const VmfXbzrle *codec, guint first, Place place)
{
    static uint8_t out[(BATCH + 1) * PAGE];
    const uint8_t *old = pairs->old + (gsize)first * PAGE,
                  *page = pairs->page + (gsize)first * PAGE;
    uint8_t *to = out;
    double start;

    if (place != IN_MEMORY)
        touch(page, BATCH * PAGE);
    if (place == IN_CACHE)
        touch(old, BATCH * PAGE);
    start = measure_seconds();
    for (guint i = 0; i < BATCH; i++, old += PAGE, page += PAGE) {
        VmfXbzrleAhead ahead = {old + PAGE, page + PAGE};
        int length = codec ? codec->encode(old, page, PAGE, to, PAGE, NULL,
                                           place == IN_CACHE ? NULL : &ahead)
                           : encode_by_words(old, page, PAGE, to, PAGE);

        to += MAX(length, 0);
    }
    return measure_seconds() - start;
}

/* ns a page. */
static double
time_encoding(const Pairs *pairs, const VmfXbzrle *codec, Place place)
{
    double seconds = 0;
    guint first = 0;

    for (; first + BATCH < pairs->count; first += BATCH)
        seconds += time_batch(pairs, codec, first, place);
    return seconds * 1e9 / first;
}

/* One delta behind the other, as they go out. */
static double
encode_all(Pairs *pairs)
{
    double bytes = 0;
    uint8_t *out = pairs->deltas;

    for (guint i = 0; i < pairs->count; i++) {
        int length = encode_by_words(pairs->old + (gsize)i * PAGE, pairs->page + (gsize)i * PAGE,
                                     PAGE, out, PAGE);

        pairs->lengths[i] = length;
        out += MAX(length, 0);
        bytes += length < 0 ? (int)PAGE : length;
    }
    return bytes;
}

/* Seconds for the pages from `first` on; `at`: where their deltas begin, moved on behind them. */
static double
time_decoding_batch(const Pairs *pairs, uint8_t *pages, gboolean ours, guint first, gsize *at,
                    Place place)
{
    guint end = MIN(first + BATCH, pairs->count);
    double start;

    if (place == IN_CACHE)
        touch(pages + (gsize)first * PAGE, (gsize)(end - first) * PAGE);
    start = measure_seconds();
    for (guint i = first; i < end; i++) {
        uint8_t *page = pages + (gsize)i * PAGE;
        size_t length = (size_t)MAX(pairs->lengths[i], 0);
        const uint8_t *delta = pairs->deltas + *at;

        if (!(ours ? vmf_xbzrle_apply(delta, length, page, PAGE)
                   : decode_by_bytes(delta, length, page, PAGE)))
            g_error("page %u cannot be decoded", i);
        *at += length;
    }
    return measure_seconds() - start;
}

/* ns a page. */
static double
time_decoding(const Pairs *pairs, uint8_t *pages, gboolean ours, Place place)
{
    double seconds = 0;
    gsize at = 0;

    for (guint first = 0; first < pairs->count; first += BATCH)
        seconds += time_decoding_batch(pairs, pages, ours, first, &at, place);
    return seconds * 1e9 / pairs->count;
}

static void
report_decoding(const char *figure, Place place, double *values, const char *unit)
{
    g_autofree char *name = g_strdup_printf("codec.%s%s", figure, place_names[place]);

    measure_report(name, measure_median(values, ROUNDS), unit, ROUNDS);
}

/* What has no delta is left out of decoding: lengths are those of the last encoding. */
static void
bench_decoding(const Pairs *pairs, Place place)
{
    uint8_t *pages = allocate(pairs->size);
    double plain[ROUNDS], ours[ROUNDS], speedup[ROUNDS];

    memcpy(pages, pairs->old, pairs->size);
    for (guint round = 0; round < ROUNDS; round++) {
        plain[round] = time_decoding(pairs, pages, FALSE, place);
        ours[round] = time_decoding(pairs, pages, TRUE, place);
        speedup[round] = plain[round] / ours[round];
    }
    for (guint i = 0; i < pairs->count; i++)
        if (pairs->lengths[i] >= 0 &&
            memcmp(pages + (gsize)i * PAGE, pairs->page + (gsize)i * PAGE, PAGE) != 0)
            g_error("page %u is not what was encoded", i);
    munmap(pages, pairs->size);
    report_decoding("decode_ns.plain", place, plain, "ns/page");
    report_decoding("decode_ns", place, ours, "ns/page");
    report_decoding("decode_speedup", place, speedup, "ratio");
}

static void
report_codec(const char *figure, const VmfXbzrle *codec, Place place, double *values,
             const char *unit)
{
    g_autofree char *name = g_strdup_printf(
        "codec.%s.%s%s", figure, codec ? vmf_xbzrle_name(codec) : "plain", place_names[place]);

    measure_report(name, measure_median(values, ROUNDS), unit, ROUNDS);
}

static void
bench_encoding(const Pairs *pairs, Place place)
{
    double plain[ROUNDS], ns[CODECS_MAX][ROUNDS], speedup[CODECS_MAX][ROUNDS];
    const VmfXbzrle *codec;

    for (guint round = 0; round < ROUNDS; round++) {
        plain[round] = time_encoding(pairs, NULL, place);
        for (guint i = 0; (codec = vmf_xbzrle_usable(i)); i++) {
            ns[i][round] = time_encoding(pairs, codec, place);
            speedup[i][round] = plain[round] / ns[i][round];
        }
    }
    report_codec("encode_ns", NULL, place, plain, "ns/page");
    for (guint i = 0; (codec = vmf_xbzrle_usable(i)); i++) {
        report_codec("encode_ns", codec, place, ns[i], "ns/page");
        report_codec("encode_speedup", codec, place, speedup[i], "ratio");
    }
}

/* What the machine takes to read both pages of a pair. */
static void
bench_reading(const Pairs *pairs)
{
    double ns[ROUNDS];

    for (guint round = 0; round < ROUNDS; round++) {
        double start = measure_seconds();

        touch(pairs->old, pairs->size);
        touch(pairs->page, pairs->size);
        ns[round] = (measure_seconds() - start) * 1e9 / pairs->count;
    }
    measure_report("codec.read_ns.memory", measure_median(ns, ROUNDS), "ns/page", ROUNDS);
}

static void
bench_pairs(const char *path)
{
    Pairs pairs;

    load_pairs(&pairs, path);
    if (pairs.count <= BATCH)
        g_error("%s has too few pages", path);
    measure_report("codec.pages", pairs.count, "pages", 1);
    measure_report("codec.delta_bytes", encode_all(&pairs) / pairs.count, "bytes", 1);
    for (Place place = IN_CACHE; place < PLACES; place++)
        bench_encoding(&pairs, place);
    bench_reading(&pairs);
    bench_decoding(&pairs, IN_CACHE);
    bench_decoding(&pairs, IN_MEMORY);
    free_pairs(&pairs);
}

typedef enum { SEQUENTIAL, GAPS, RANDOM, ORDERS } Order;

static const char *const order_names[ORDERS] = {"sequential", "gaps", "random"};

/* Indices below `count`: all, about every third in turn, or all in disorder. */
static guint
make_order(Order order, guint count, guint *ret_indices)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    guint n = 0;

    for (guint i = 0; i < count; i += order == GAPS ? (guint)g_rand_int_range(rand, 1, 6) : 1)
        ret_indices[n++] = i;
    for (guint i = n - 1; order == RANDOM && i > 0; i--) {
        guint other = (guint)g_rand_int_range(rand, 0, (gint)i), kept = ret_indices[i];

        ret_indices[i] = ret_indices[other];
        ret_indices[other] = kept;
    }
    return n;
}

/* What changed in the pages of the table: so many pieces of so many bytes, at random places. */
static const struct {
    const char *name;
    guint pieces, bytes;
} changes[] = {
    {"nothing", 0, 0},     {"counter", 1, 4},  {"16_words", 16, 8},
    {"256_bytes", 256, 1}, {"1_KiB", 1, 1024}, {"everything", 1, PAGE},
};

static void
make_changes(const Pairs *pairs, guint change)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(2);

    memcpy(pairs->page, pairs->old, pairs->size);
    for (guint i = 0; i < pairs->count; i++) {
        for (guint piece = 0; piece < changes[change].pieces; piece++) {
            guint at = g_rand_int(rand) % (PAGE / changes[change].bytes) * changes[change].bytes;
            uint8_t *bytes = pairs->page + (gsize)i * PAGE + at;

            for (guint j = 0; j < changes[change].bytes; j++)
                bytes[j] = (uint8_t)~bytes[j];
        }
    }
}

/* GB of pages a second; every page is fetched ahead. */
static double
rate_of(const Pairs *pairs, const VmfXbzrle *codec, const guint *order, guint count)
{
    static uint8_t out[2 * PAGE];
    double start = measure_seconds();

    for (guint i = 0; i < count; i++) {
        gsize at = (gsize)order[i] * PAGE, next = (gsize)order[MIN(i + 1, count - 1)] * PAGE;
        VmfXbzrleAhead ahead = {pairs->old + next, pairs->page + next};

        codec->encode(pairs->old + at, pairs->page + at, PAGE, out, PAGE, NULL, &ahead);
    }
    return count * (double)PAGE / 1e9 / (measure_seconds() - start);
}

static void
bench_table(guint mib)
{
    Pairs pairs = {.count = mib << 8, .size = (gsize)mib << 20};
    g_autofree guint *order = g_new(guint, pairs.count);
    const VmfXbzrle *codec;

    pairs.old = allocate(pairs.size);
    pairs.page = allocate(pairs.size);
    for (gsize i = 0; i < pairs.size; i++)
        pairs.old[i] = (uint8_t)(i * i >> 5);
    for (guint change = 0; change < G_N_ELEMENTS(changes); change++) {
        make_changes(&pairs, change);
        for (Order o = SEQUENTIAL; o < ORDERS; o++) {
            guint count = make_order(o, pairs.count, order);

            for (guint i = 0; (codec = vmf_xbzrle_usable(i)); i++) {
                g_autofree char *name =
                    g_strdup_printf("codec.gb_per_s.%s.%s.%s", vmf_xbzrle_name(codec),
                                    changes[change].name, order_names[o]);
                double rates[TABLE_ROUNDS];

                for (guint round = 0; round < TABLE_ROUNDS; round++)
                    rates[round] = rate_of(&pairs, codec, order, count);
                measure_report(name, measure_median(rates, TABLE_ROUNDS), "GB/s", TABLE_ROUNDS);
            }
        }
    }
    munmap(pairs.old, pairs.size);
    munmap(pairs.page, pairs.size);
}

/* ns a page; a counter has changed in each. */
static double
time_cache(VmfPageCache *cache, const uint8_t *pages, const guint *order, guint count)
{
    static uint8_t out[2 * PAGE];
    double start = measure_seconds();
    size_t length;

    for (guint i = 0; i < count; i++) {
        guint next = order[MIN(i + 1, count - 1)];

        vmf_page_cache_expect(cache, next, pages + (gsize)next * PAGE);
        vmf_page_cache_encode(cache, order[i], pages + (gsize)order[i] * PAGE, out, PAGE, &length);
    }
    return (measure_seconds() - start) * 1e9 / count;
}

/* Pages that come, and were not there; the cache has its memory already. */
static void
report_inserting(VmfPageCache *cache, const uint8_t *pages, guint *order, guint count)
{
    double ns[TABLE_ROUNDS];

    make_order(SEQUENTIAL, count, order);
    for (guint round = 0; round < TABLE_ROUNDS; round++) {
        vmf_page_cache_drop_range(cache, 0, count);
        ns[round] = time_cache(cache, pages, order, count);
    }
    measure_report("cache.ns_per_page.insert", measure_median(ns, TABLE_ROUNDS), "ns/page",
                   TABLE_ROUNDS);
}

static void
bench_cache(guint mib)
{
    const guint count = mib << 8;
    const gsize size = (gsize)mib << 20;
    g_autoptr(VmfPageCache) cache = vmf_page_cache_new(PAGE, size);
    uint8_t *pages = allocate(size);
    g_autofree guint *order = g_new(guint, count);
    VmfPageCacheFigures figures;

    for (gsize i = 0; i < size; i++)
        pages[i] = (uint8_t)(i * i >> 5);
    time_cache(cache, pages, order, make_order(SEQUENTIAL, count, order));
    for (Order o = SEQUENTIAL; o < ORDERS; o++) {
        g_autofree char *name = g_strdup_printf("cache.ns_per_page.%s", order_names[o]);
        guint n = make_order(o, count, order);
        double ns[TABLE_ROUNDS];

        for (guint round = 0; round < TABLE_ROUNDS; round++) {
            for (gsize at = 1024; at < size; at += PAGE)
                pages[at]++;
            ns[round] = time_cache(cache, pages, order, n);
        }
        measure_report(name, measure_median(ns, TABLE_ROUNDS), "ns/page", TABLE_ROUNDS);
    }
    vmf_page_cache_figures(cache, &figures);
    if (figures.misses != count)
        g_error("not all pages were found");
    report_inserting(cache, pages, order, count);
    munmap(pages, size);
}

int
main(int argc, char **argv)
{
    g_autofree char *pairs = NULL;
    int table = 0, cache = 0;
    const GOptionEntry entries[] = {
        {"pairs", 0, 0, G_OPTION_ARG_FILENAME, &pairs, "Recorded pages", "FILE"},
        {"table", 0, 0, G_OPTION_ARG_INT, &table, "Pages of the table", "MIB"},
        {"cache", 0, 0, G_OPTION_ARG_INT, &cache, "Size of the page cache", "MIB"},
        G_OPTION_ENTRY_NULL};
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || table < 0 || table > 2048 ||
        cache < 0 || cache > 2048) {
        fprintf(stderr, "%s\n", error ? error->message : "--table and --cache take up to 2048");
        return 2;
    }
    if (pairs)
        bench_pairs(pairs);
    if (table > 0)
        bench_table((guint)table);
    if (cache > 0)
        bench_cache((guint)cache);
    return EXIT_SUCCESS;
}
