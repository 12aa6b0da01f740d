/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The followed pages, with the time of their last send, stand in a hash table; a binary indexed
 * tree over time counts how many of them were sent since. When times run out, the pages are
 * numbered anew in the order of their last sends.
 */
#include "delta/sampler.h"

#include <string.h>

#define PAGES_MAX 8192u
#define TABLE_SIZE (2 * PAGES_MAX)
#define TIMES (4 * PAGES_MAX)
#define FREE UINT32_MAX
#define SHARE_BITS 24
#define SHARE_ALL (1u << SHARE_BITS)
#define SHARE_FIRST (SHARE_ALL / 16)
/* Distances below 64 pages are counted each, and above so that 64 counters cover a doubling. */
#define STEP_BITS 6
#define COUNTERS ((40 - STEP_BITS) << STEP_BITS)

typedef struct {
    uint64_t key;
    uint32_t time; /* FREE: no page */
} Followed;

struct VmfSampler {
    size_t page_size;
    uint32_t share; /* of SHARE_ALL */
    guint count;
    Followed pages[TABLE_SIZE];
    uint32_t now;
    uint16_t tree[TIMES + 1]; /* pages by the time of their last send */
    uint16_t owner[TIMES];    /* whose last send that was: its place in the table */
    /* Sends of followed pages, as the share has it and as it was; in parts of SHARE_ALL. */
    uint64_t expected, happened;
    double counters[COUNTERS];
    double repeats;
};

static void
empty_table(VmfSampler *sampler)
{
    for (guint i = 0; i < TABLE_SIZE; i++)
        sampler->pages[i].time = FREE;
    sampler->count = 0;
    sampler->now = 0;
}

VmfSampler *
vmf_sampler_new(size_t page_size)
{
    VmfSampler *sampler = g_new0(VmfSampler, 1);

    sampler->page_size = page_size;
    sampler->share = SHARE_FIRST;
    empty_table(sampler);
    return sampler;
}

void
vmf_sampler_free(VmfSampler *sampler)
{
    g_free(sampler);
}

static inline uint64_t
hash_key(uint64_t key)
{
    key *= G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);
    key ^= key >> 32;
    return key * G_GUINT64_CONSTANT(0xd6e8feb86659fd93);
}

static inline gboolean
is_followed(const VmfSampler *sampler, uint64_t hash)
{
    return hash >> (64 - SHARE_BITS) < sampler->share;
}

/* The page's entry, or the free one where it belongs. */
static Followed *
find_page(VmfSampler *sampler, uint64_t key, uint64_t hash)
{
    guint at = (guint)(hash >> 8) % TABLE_SIZE;

    while (sampler->pages[at].time != FREE && sampler->pages[at].key != key)
        at = (at + 1) % TABLE_SIZE;
    return &sampler->pages[at];
}

static void
count_time(VmfSampler *sampler, uint32_t time, int step)
{
    for (uint32_t i = time + 1; i <= TIMES; i += i & -i)
        sampler->tree[i] = (uint16_t)(sampler->tree[i] + step);
}

/* Pages whose last send was at `time` or before. */
static uint32_t
pages_until(const VmfSampler *sampler, uint32_t time)
{
    uint32_t sum = 0;

    for (uint32_t i = time + 1; i > 0; i -= i & -i)
        sum += sampler->tree[i];
    return sum;
}

/* The page is sent now. */
static void
set_time(VmfSampler *sampler, Followed *page)
{
    page->time = sampler->now;
    sampler->owner[sampler->now] = (uint16_t)(page - sampler->pages);
    count_time(sampler, sampler->now++, 1);
}

static void
follow(VmfSampler *sampler, Followed *page, uint64_t key)
{
    page->key = key;
    sampler->count++;
    set_time(sampler, page);
}

/* The keys of the followed pages, those sent last at the end. */
static guint
list_pages(const VmfSampler *sampler, uint64_t *keys)
{
    guint count = 0;

    for (uint32_t time = 0; time < sampler->now; time++) {
        const Followed *page = &sampler->pages[sampler->owner[time]];

        if (page->time == time)
            keys[count++] = page->key;
    }
    return count;
}

/* Begins again with those pages that are followed still. */
static void
renumber(VmfSampler *sampler)
{
    g_autofree uint64_t *keys = g_new(uint64_t, PAGES_MAX);
    guint count = list_pages(sampler, keys);

    empty_table(sampler);
    memset(sampler->tree, 0, sizeof sampler->tree);
    for (guint i = 0; i < count; i++) {
        uint64_t hash = hash_key(keys[i]);

        if (is_followed(sampler, hash))
            follow(sampler, find_page(sampler, keys[i], hash), keys[i]);
    }
}

static guint
counter_of(uint64_t distance)
{
    guint bits;

    if (distance < 1u << STEP_BITS)
        return (guint)distance;
    bits = 63 - (guint)__builtin_clzll(distance) - STEP_BITS;
    return MIN((bits + 1) << STEP_BITS | (guint)(distance >> bits & ((1u << STEP_BITS) - 1)),
               COUNTERS - 1);
}

/* The first distance that is counted there. */
static uint64_t
distance_of(guint counter)
{
    guint bits = counter >> STEP_BITS;
    uint64_t step = counter & ((1u << STEP_BITS) - 1);

    return bits == 0 ? step : (step | 1u << STEP_BITS) << (bits - 1);
}

/* One of the followed pages is sent. */
static __attribute__((noinline)) void
put_followed(VmfSampler *sampler, uint64_t key, uint64_t hash)
{
    double scale = (double)SHARE_ALL / sampler->share, distance;
    Followed *page;

    sampler->happened += SHARE_ALL;
    scale *= (double)sampler->expected / (double)sampler->happened;
    if (sampler->now == TIMES)
        renumber(sampler);
    page = find_page(sampler, key, hash);
    if (page->time == FREE) {
        follow(sampler, page, key);
        if (sampler->count == PAGES_MAX) {
            sampler->share -= sampler->share / 4;
            renumber(sampler);
        }
        return;
    }
    distance = scale * (sampler->count - pages_until(sampler, page->time));
    sampler->counters[counter_of((uint64_t)distance)] += scale;
    sampler->repeats += scale;
    count_time(sampler, page->time, -1);
    set_time(sampler, page);
}

void
vmf_sampler_put(VmfSampler *sampler, uint64_t key)
{
    uint64_t hash = hash_key(key);

    sampler->expected += sampler->share;
    if (G_UNLIKELY(is_followed(sampler, hash)))
        put_followed(sampler, key, hash);
}

double
vmf_sampler_miss_ratio(const VmfSampler *sampler, uint64_t bytes)
{
    uint64_t pages = bytes / sampler->page_size;
    double hits = 0;

    if (sampler->repeats <= 0)
        return 1;
    for (guint i = 0; i < COUNTERS && distance_of(i) < pages; i++)
        hits += sampler->counters[i];
    return CLAMP(1 - hits / sampler->repeats, 0, 1);
}

guint
vmf_sampler_curve(const VmfSampler *sampler, VmfSamplerPoint *ret_points, guint count)
{
    double hits = 0, told = 0;
    guint n = 0;

    if (sampler->repeats <= 0 || count < 2)
        return 0;
    ret_points[n++] = (VmfSamplerPoint){.bytes = 0, .miss_ratio = 1};
    for (guint i = 0; i < COUNTERS && n < count; i++) {
        gboolean is_last;

        hits += sampler->counters[i];
        is_last = hits >= sampler->repeats * (1 - 1e-9);
        /* each point gains as much as any other, but for the last */
        if (!is_last && hits - told < sampler->repeats / (count - 1))
            continue;
        ret_points[n++] = (VmfSamplerPoint){
            .bytes = distance_of(i + 1) * sampler->page_size,
            .miss_ratio = MAX(1 - hits / sampler->repeats, 0),
        };
        told = hits;
        if (is_last)
            break;
    }
    return n;
}

uint64_t
vmf_sampler_repeats(const VmfSampler *sampler)
{
    return (uint64_t)sampler->repeats;
}

void
vmf_sampler_age(VmfSampler *sampler, double keep)
{
    for (guint i = 0; i < COUNTERS; i++)
        sampler->counters[i] *= keep;
    sampler->repeats *= keep;
}
