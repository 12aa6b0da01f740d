/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The followed pages, with the time of their last send, stand in a hash table; a binary indexed
 * tree over time counts how many of them were sent since. When times run out, the pages are
 * numbered anew in the order of their last sends.
 */
#include "delta/sampler.h"

#include <string.h>

#define PAGES_MAX 8192u
#define TIMES (4u * PAGES_MAX)
#define SHARE_BITS 24
#define SHARE_ALL (1u << SHARE_BITS)
#define SHARE_FIRST (SHARE_ALL / 8)
/* Distances below 64 pages are counted each, and above so that 64 counters cover a doubling. */
#define STEP_BITS 6
#define COUNTERS ((40 - STEP_BITS) << STEP_BITS)

typedef struct {
    uint64_t key;
    uint32_t hash;
    uint32_t time;
} Followed;

struct VmfSampler {
    size_t page_size;
    uint32_t share;    /* pages are followed whose hash is below; of SHARE_ALL */
    GHashTable *pages; /* key -> Followed */
    uint32_t now;
    uint32_t tree[TIMES + 1];
    double counters[COUNTERS];
    double repeats;
};

VmfSampler *
vmf_sampler_new(size_t page_size)
{
    VmfSampler *sampler = g_new0(VmfSampler, 1);

    sampler->page_size = page_size;
    sampler->share = SHARE_FIRST;
    sampler->pages = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    return sampler;
}

void
vmf_sampler_free(VmfSampler *sampler)
{
    if (!sampler)
        return;
    g_hash_table_unref(sampler->pages);
    g_free(sampler);
}

static inline uint32_t
hash_key(uint64_t key)
{
    key *= G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);
    key ^= key >> 32;
    key *= G_GUINT64_CONSTANT(0xd6e8feb86659fd93);
    return (uint32_t)(key >> (64 - SHARE_BITS));
}

static void
count_time(VmfSampler *sampler, uint32_t time, int step)
{
    for (uint32_t i = time + 1; i <= TIMES; i += i & -i)
        sampler->tree[i] += (uint32_t)step;
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

static int
compare_times(gconstpointer a, gconstpointer b)
{
    uint32_t x = (*(Followed *const *)a)->time, y = (*(Followed *const *)b)->time;

    return (x > y) - (x < y);
}

static void
renumber(VmfSampler *sampler)
{
    g_autoptr(GPtrArray) pages = g_ptr_array_new();
    GHashTableIter iter;
    gpointer page;

    g_hash_table_iter_init(&iter, sampler->pages);
    while (g_hash_table_iter_next(&iter, NULL, &page))
        g_ptr_array_add(pages, page);
    g_ptr_array_sort(pages, compare_times);
    memset(sampler->tree, 0, sizeof sampler->tree);
    for (guint i = 0; i < pages->len; i++) {
        ((Followed *)pages->pdata[i])->time = i;
        count_time(sampler, i, 1);
    }
    sampler->now = pages->len;
}

static gboolean
is_above(gpointer key, gpointer value, gpointer user_data)
{
    const Followed *page = value;
    VmfSampler *sampler = user_data;

    if (page->hash < sampler->share)
        return FALSE;
    count_time(sampler, page->time, -1);
    return TRUE;
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

static void
follow(VmfSampler *sampler, uint64_t key, uint32_t hash)
{
    Followed *page = g_new(Followed, 1);

    *page = (Followed){.key = key, .hash = hash, .time = sampler->now};
    g_hash_table_insert(sampler->pages, &page->key, page);
    count_time(sampler, sampler->now++, 1);
    if (g_hash_table_size(sampler->pages) > PAGES_MAX) {
        sampler->share -= sampler->share / 4;
        g_hash_table_foreach_remove(sampler->pages, is_above, sampler);
    }
}

void
vmf_sampler_put(VmfSampler *sampler, uint64_t key)
{
    uint32_t hash = hash_key(key);
    Followed *page;
    double scale;
    uint64_t distance;

    if (G_LIKELY(hash >= sampler->share))
        return;
    if (sampler->now == TIMES)
        renumber(sampler);
    page = g_hash_table_lookup(sampler->pages, &key);
    if (!page) {
        follow(sampler, key, hash);
        return;
    }
    scale = (double)SHARE_ALL / sampler->share;
    distance =
        (uint64_t)(scale * (g_hash_table_size(sampler->pages) - pages_until(sampler, page->time)));
    sampler->counters[counter_of(distance)] += scale;
    sampler->repeats += scale;
    count_time(sampler, page->time, -1);
    page->time = sampler->now++;
    count_time(sampler, page->time, 1);
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
    double hits = 0, told = -1;
    guint n = 0;

    for (guint i = 0; i < COUNTERS && n < count && sampler->repeats > 0; i++) {
        double ratio;

        hits += sampler->counters[i];
        ratio = hits / sampler->repeats;
        /* each point gains as much as any other, and the last one is the end */
        if (i > 0 && ratio - told < 1.0 / count && (told >= ratio || ratio < 1 - 1e-9))
            continue;
        ret_points[n++] = (VmfSamplerPoint){
            .bytes = i == 0 ? 0 : distance_of(i + 1) * sampler->page_size,
            .miss_ratio = MAX(1 - ratio, 0),
        };
        told = ratio;
        if (ratio >= 1 - 1e-9)
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
