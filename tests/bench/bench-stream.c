/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Speed and memory of the stream reader: what tests/bench/stream runs, one figure a line.
 *
 *   stream.read_vs_hash  reading RAM records from memory and hashing every page with XXH3, against
 *                        the same hashes alone; one core, runs in turn, median of the ratios
 *   stream.peak_mib      peak memory of `vmferry inspect -` on a stream of 20 GiB from a pipe
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#include <xxh_x86dispatch.h>
#else
#include <xxhash.h>
#endif

#include "base/bytes.h"
#include "stream/stream.h"

#define PAGE 4096u
#define RECORD (8 + PAGE)
#define RUNS 15
#define PIPE_STREAM_GIB 20
#define PIPE_BATCH 256u /* records written at once */

typedef struct {
    GByteArray *bytes;
    gsize first; /* of the records that are all alike */
    gsize records;
} Stream;

static void
put(GByteArray *to, const void *bytes, gsize length)
{
    g_byte_array_append(to, bytes, (guint)length);
}

static void
put_number(GByteArray *to, uint64_t number, gsize size)
{
    uint8_t bytes[8];

    vmf_put_u64(bytes, number);
    put(to, bytes + 8 - size, size);
}

static void
put_string(GByteArray *to, const char *text)
{
    put_number(to, strlen(text), 1);
    put(to, text, strlen(text));
}

/* Everything up to the first page, of a guest of `pages` pages. */
static GByteArray *
make_head(uint64_t pages)
{
    GByteArray *head = g_byte_array_new();

    put(head, "QEVM\0\0\0\3\7\0\0\0\2pc", 15);
    put_number(head, 1, 1); /* START of RAM, section 1, version 4 */
    put_number(head, 1, 4);
    put_string(head, "ram");
    put_number(head, 0, 4);
    put_number(head, 4, 4);
    put_number(head, pages * PAGE | 4, 8);
    put_string(head, "pc.ram");
    put_number(head, pages * PAGE, 8);
    put_number(head, 0x10, 8);
    put_number(head, 0x7e, 1);
    put_number(head, 1, 4);
    put_number(head, 2, 1); /* a PART, and in it a page that names its block */
    put_number(head, 1, 4);
    put_number(head, 2, 8);
    put_string(head, "pc.ram");
    put_number(head, 0, 1);
    return head;
}

static GByteArray *
make_tail(void)
{
    GByteArray *tail = g_byte_array_new();

    put_number(tail, 0x10, 8);
    put_number(tail, 0x7e, 1);
    put_number(tail, 1, 4);
    put_number(tail, 0, 1);
    return tail;
}

static void
fill_record(uint8_t *record, uint64_t page, uint64_t seed)
{
    vmf_put_u64(record, page * PAGE | 0x28);
    for (guint i = 0; i < PAGE; i += 8) {
        seed = seed * G_GUINT64_CONSTANT(6364136223846793005) + 1;
        memcpy(record + 8 + i, &seed, sizeof seed);
    }
}

static Stream
make_stream(gsize records)
{
    Stream stream = {.bytes = make_head(records), .records = records};
    g_autoptr(GByteArray) tail = make_tail();

    stream.first = stream.bytes->len;
    g_byte_array_set_size(stream.bytes, (guint)(stream.first + records * RECORD));
    for (gsize i = 0; i < records; i++)
        fill_record(stream.bytes->data + stream.first + i * RECORD, i, i);
    put(stream.bytes, tail->data, tail->len);
    return stream;
}

/*
 * The library's AVX-512 code leaves the upper halves of registers in use, after which every SSE
 * instruction waits for it: 150 ns a page for whoever comes next. Cleared here, for both loops.
 */
#if defined(__x86_64__)
__attribute__((target("avx"))) static void
clear_upper(void)
{
    _mm256_zeroupper();
}

static uint64_t
hash_page(const uint8_t *page)
{
    uint64_t hash = XXH3_64bits_dispatch(page, PAGE);

    if (__builtin_cpu_supports("avx"))
        clear_upper();
    return hash;
}
#else
static uint64_t
hash_page(const uint8_t *page)
{
    return XXH3_64bits(page, PAGE);
}
#endif

/* Of this thread alone: others may be at work on the machine. */
static double
seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double
time_hashing(const Stream *stream, uint64_t *sum)
{
    double start = seconds();
    const uint8_t *page = stream->bytes->data + stream->first + 8;

    for (gsize i = 0; i < stream->records; i++, page += RECORD)
        *sum += hash_page(page);
    return seconds() - start;
}

static double
time_reading(const Stream *stream, uint64_t *sum)
{
    VmfReaderOptions options = {.connection = VMF_CONNECTION_MAIN};
    g_autoptr(VmfReader) reader = vmf_reader_new(&options);
    g_autoptr(GError) error = NULL;
    double start = seconds();
    VmfReadStatus status;
    VmfEvent event;

    vmf_reader_feed(reader, stream->bytes->data, stream->bytes->len);
    while ((status = vmf_reader_next(reader, &event, &error)) == VMF_READ_EVENT)
        if (event.type == VMF_EVENT_PAGE && event.page.length > 0)
            *sum += hash_page(event.page.data);
    if (status != VMF_READ_MORE || !vmf_reader_end(reader, &error))
        g_error("%s", error->message);
    return seconds() - start;
}

static int
compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double
median(double *values, guint count)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return values[count / 2];
}

/* A line for tests/bench/stream, which knows the goals. */
static void
report(const char *figure, double value, const char *unit, guint runs)
{
    printf("%s %.4g %s %u\n", figure, value, unit, runs);
    fflush(stdout);
}

static void
bench_reading(gsize mib)
{
    Stream stream = make_stream((mib << 20) / PAGE);
    double ratios[RUNS], hashing[RUNS], reading[RUNS];
    double bytes = (double)stream.records * PAGE;

    for (guint i = 0; i < RUNS; i++) {
        uint64_t alone = 0, both = 0;

        hashing[i] = time_hashing(&stream, &alone);
        reading[i] = time_reading(&stream, &both);
        ratios[i] = hashing[i] / reading[i];
        if (alone != both)
            g_error("the reader gave other pages than the stream has");
    }
    report("stream.hash", bytes / median(hashing, RUNS) / 1e9, "GB/s", RUNS);
    report("stream.read", bytes / median(reading, RUNS) / 1e9, "GB/s", RUNS);
    report("stream.read_vs_hash", median(ratios, RUNS), "ratio", RUNS);
    g_byte_array_unref(stream.bytes);
}

static void
write_all(int fd, const uint8_t *bytes, gsize length)
{
    while (length > 0) {
        ssize_t n = write(fd, bytes, length);

        if (n < 0)
            g_error("pipe: %s", g_strerror(errno));
        bytes += n;
        length -= (gsize)n;
    }
}

static void
write_stream(int fd, uint64_t pages)
{
    g_autoptr(GByteArray) head = make_head(pages);
    g_autoptr(GByteArray) tail = make_tail();
    g_autofree uint8_t *batch = g_malloc(PIPE_BATCH * RECORD);

    for (uint64_t i = 0; i < PIPE_BATCH; i++)
        fill_record(batch + i * RECORD, i, i);
    write_all(fd, head->data, head->len);
    for (uint64_t page = 0; page < pages; page += PIPE_BATCH) {
        for (uint64_t i = 0; i < PIPE_BATCH; i++)
            vmf_put_u64(batch + i * RECORD, (page + i) * PAGE | 0x28);
        write_all(fd, batch, PIPE_BATCH * RECORD);
    }
    write_all(fd, tail->data, tail->len);
}

/* Runs first, while this process is small: a child starts with its parent's peak. */
static void
bench_memory(const char *vmferry, guint gib)
{
    const char *command[] = {vmferry, "inspect", "--ram", "--json", "-", NULL};
    g_autoptr(GError) error = NULL;
    struct rusage usage;
    GPid child;
    int status, input;

    if (!g_spawn_async_with_pipes_and_fds(
            NULL, command, NULL, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL,
            -1, -1, -1, NULL, NULL, 0, &child, &input, NULL, NULL, &error))
        g_error("%s", error->message);
    write_stream(input, (uint64_t)gib << 30 >> 12);
    close(input);
    if (wait4(child, &status, 0, &usage) != child || status != 0)
        g_error("%s failed", vmferry);
    report("stream.peak_mib", (double)usage.ru_maxrss / 1024, "MiB", 1);
}

int
main(int argc, char **argv)
{
    int mib = 1024, gib = PIPE_STREAM_GIB;
    g_autofree char *folder = g_path_get_dirname(argv[0]);
    g_autofree char *vmferry = g_build_filename(folder, "../../plugin/ctl/vmferry", NULL);
    const GOptionEntry entries[] = {
        {"mib", 0, 0, G_OPTION_ARG_INT, &mib, "Pages in memory (default 1024)", "MIB"},
        {"gib", 0, 0, G_OPTION_ARG_INT, &gib, "Stream in the pipe (default 20)", "GIB"},
        {"vmferry", 0, 0, G_OPTION_ARG_FILENAME, &vmferry, "The program to measure", "PATH"},
        G_OPTION_ENTRY_NULL};
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || mib < 1 || mib > 3072 ||
        gib < 1) {
        fprintf(stderr, "%s\n", error ? error->message : "--mib takes 1 to 3072, --gib 1 or more");
        return 2;
    }
    bench_memory(vmferry, (guint)gib);
    bench_reading((gsize)mib);
    return EXIT_SUCCESS;
}
