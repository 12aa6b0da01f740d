/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/page-cache.h"

#include <string.h>

#include "delta/arena.h"
#include "delta/page-history.h"
#include "delta/page-table.h"
#include "delta/xbzrle-private.h"

#define CANDIDATES 8u /* slots looked at to find one to give up, by fours that stand together */
#define NO_SLOT 0u
#define SLOTS_MAX ((1u << 28) - 2)
#define KEEP 1.02f /* what comes must be worth more than what it displaces, by this factor */
#define WAIT_CLASSES 256u

typedef VmfPageHistory Page;

typedef struct {
    uint64_t key;
    Page *page;     /* NULL: free */
    uint16_t round; /* in which it was stored */
} Slot;

struct VmfPageCache {
    size_t page_size;
    const VmfXbzrle *codec;
    VmfPageTable *pages;
    VmfArena arena;
    GArray *slots;
    GArray *free; /* guint: slots without a page */
    guint slots_max;
    VmfScan scan;
    uint64_t random;
    VmfXbzrleAhead ahead;
    VmfPageCacheFigures figures;
};

VmfPageCache *
vmf_page_cache_new(size_t page_size, uint64_t limit)
{
    VmfPageCache *cache = g_new0(VmfPageCache, 1);

    cache->page_size = page_size;
    cache->codec = vmf_xbzrle_choose();
    cache->pages = vmf_page_table_new(sizeof(Page));
    vmf_arena_init(&cache->arena, page_size);
    cache->slots = g_array_new(FALSE, FALSE, sizeof(Slot));
    cache->free = g_array_new(FALSE, FALSE, sizeof(guint));
    cache->random = 1;
    vmf_scan_init(&cache->scan);
    vmf_page_cache_set_limit(cache, limit);
    return cache;
}

void
vmf_page_cache_free(VmfPageCache *cache)
{
    if (!cache)
        return;
    vmf_page_table_free(cache->pages);
    vmf_arena_clear(&cache->arena);
    g_array_unref(cache->slots);
    g_array_unref(cache->free);
    g_free(cache);
}

static inline Slot *
slot_at(VmfPageCache *cache, guint slot)
{
    return &g_array_index(cache->slots, Slot, slot);
}

static guint
used_slots(const VmfPageCache *cache)
{
    return cache->slots->len - cache->free->len;
}

static void
release(VmfPageCache *cache, Page *page)
{
    guint slot = page->slot - 1;

    slot_at(cache, slot)->page = NULL;
    page->slot = NO_SLOT;
    g_array_append_val(cache->free, slot);
}

static guint
random_below(VmfPageCache *cache, guint bound)
{
    cache->random = cache->random * G_GUINT64_CONSTANT(6364136223846793005) + 1;
    return (guint)((cache->random >> 32) * bound >> 32);
}

/* Of a few, the one that is worth least, if `page` is worth more. */
static Page *
find_victim(VmfPageCache *cache, const Page *page, uint64_t key)
{
    float longest = vmf_page_history_wait(page, &cache->scan, key) * KEEP;
    Page *victim = NULL;

    for (guint i = 0, at = 0; i < CANDIDATES; i++, at++) {
        Slot *slot;
        float wait;

        if (i % 4 == 0)
            at = random_below(cache, cache->slots->len) & ~3u;
        slot = slot_at(cache, MIN(at, cache->slots->len - 1));
        if (!slot->page)
            continue;
        if (slot->round != cache->scan.round)
            vmf_scan_learn(&cache->scan, slot->page, slot->key);
        wait = vmf_page_history_wait(slot->page, &cache->scan, slot->key);
        if (wait > longest) {
            longest = wait;
            victim = slot->page;
        }
    }
    return victim;
}

static gboolean
make_room(VmfPageCache *cache, const Page *page, uint64_t key)
{
    Page *victim;

    if (cache->free->len > 0)
        return TRUE;
    if (cache->slots->len < cache->slots_max) {
        guint slot = cache->slots->len;

        if (!vmf_arena_reach(&cache->arena, slot + 1))
            return FALSE;
        g_array_set_size(cache->slots, slot + 1);
        slot_at(cache, slot)->page = NULL;
        g_array_append_val(cache->free, slot);
        return TRUE;
    }
    if (cache->slots->len == 0 || !(victim = find_victim(cache, page, key)))
        return FALSE;
    release(cache, victim);
    cache->figures.evictions++;
    return TRUE;
}

static gboolean
is_zero(const uint8_t *page, size_t page_size)
{
    return page[0] == 0 && memcmp(page, page + 1, page_size - 1) == 0;
}

static void
store(VmfPageCache *cache, uint64_t key, Page *page, const uint8_t *content)
{
    guint slot;

    if (is_zero(content, cache->page_size) || !make_room(cache, page, key))
        return;
    slot = g_array_index(cache->free, guint, cache->free->len - 1);
    g_array_set_size(cache->free, cache->free->len - 1);
    *slot_at(cache, slot) = (Slot){.key = key, .page = page, .round = cache->scan.round};
    page->slot = slot + 1;
    vmf_arena_store(&cache->arena, slot, content);
}

/* A cached page was sent. */
static VmfCoded
note_result(VmfPageCache *cache, Page *page, const uint8_t *content, int length, size_t *ret_length)
{
    cache->figures.hits++;
    if (length == 0) {
        cache->figures.equal++;
        vmf_page_history_saved(page, 0, cache->page_size);
        return VMF_CODED_EQUAL;
    }
    vmf_page_history_saved(page, length < 0 ? cache->page_size : (size_t)length, cache->page_size);
    if (is_zero(content, cache->page_size))
        release(cache, page);
    if (length < 0) {
        cache->figures.too_large++;
        return VMF_CODED_WHOLE;
    }
    cache->figures.delta_bytes += (uint64_t)length;
    *ret_length = (size_t)length;
    return VMF_CODED_DELTA;
}

VmfCoded
vmf_page_cache_encode(VmfPageCache *cache, uint64_t key, const uint8_t *content, uint8_t *out,
                      size_t out_size, size_t *ret_length)
{
    Page *page = vmf_page_table_touch(cache->pages, key);
    VmfXbzrleAhead ahead = cache->ahead;
    uint8_t *cached;
    int length;

    *ret_length = 0;
    cache->ahead = (VmfXbzrleAhead){0};
    cache->figures.first += page->round == 0;
    vmf_scan_move(&cache->scan, key);
    vmf_page_history_sent(page, &cache->scan);
    if (page->slot == NO_SLOT) {
        cache->figures.misses++;
        store(cache, key, page, content);
        return VMF_CODED_WHOLE;
    }
    cached = vmf_arena_slot(&cache->arena, page->slot - 1);
    length = cache->codec->encode(cached, content, cache->page_size, out, out_size, cached, &ahead);
    return note_result(cache, page, content, length, ret_length);
}

void
vmf_page_cache_expect(VmfPageCache *cache, uint64_t key, const uint8_t *page)
{
    const Page *entry = vmf_page_table_find(cache->pages, key);

    cache->ahead = (VmfXbzrleAhead){0};
    if (entry && entry->slot != NO_SLOT)
        cache->ahead = (VmfXbzrleAhead){vmf_arena_slot(&cache->arena, entry->slot - 1), page};
}

const uint8_t *
vmf_page_cache_peek(VmfPageCache *cache, uint64_t key)
{
    const Page *page = vmf_page_table_find(cache->pages, key);

    return page && page->slot != NO_SLOT ? vmf_arena_slot(&cache->arena, page->slot - 1) : NULL;
}

void
vmf_page_cache_drop(VmfPageCache *cache, uint64_t key)
{
    vmf_page_cache_drop_range(cache, key, 1);
}

void
vmf_page_cache_drop_range(VmfPageCache *cache, uint64_t key, uint64_t count)
{
    uint64_t at;
    Page *pages;
    guint n;

    while ((pages = vmf_page_table_next(cache->pages, key, count, &at, &n))) {
        for (guint i = 0; i < n; i++)
            if (pages[i].slot != NO_SLOT)
                release(cache, &pages[i]);
        count -= at + n - key;
        key = at + n;
    }
}

void
vmf_page_cache_clear(VmfPageCache *cache)
{
    vmf_page_table_clear(cache->pages);
    g_array_set_size(cache->slots, 0);
    g_array_set_size(cache->free, 0);
    vmf_arena_cut(&cache->arena, 0);
    cache->ahead = (VmfXbzrleAhead){0};
    vmf_scan_init(&cache->scan);
    cache->scan.sends_min = cache->slots_max / 8;
}

/* Waits in classes, so that what is worth least is found without sorting. */
static guint
wait_class(const VmfPageCache *cache, const Slot *slot)
{
    float wait = vmf_page_history_wait(slot->page, &cache->scan, slot->key);

    return (guint)(WAIT_CLASSES * wait / (wait + 0.1f));
}

/* Gives up what is worth least, until `slots` pages are left. */
static void
evict_down_to(VmfPageCache *cache, guint slots)
{
    guint used = used_slots(cache), excess = used > slots ? used - slots : 0;
    guint members[WAIT_CLASSES] = {0}, worst = WAIT_CLASSES, sum = 0;

    if (excess == 0)
        return;
    for (guint i = 0; i < cache->slots->len; i++)
        if (slot_at(cache, i)->page)
            members[wait_class(cache, slot_at(cache, i))]++;
    while (worst > 0 && sum + members[worst - 1] <= excess)
        sum += members[--worst];
    /* all of the classes from `worst` on, and of the one before it as many as it takes */
    for (guint i = 0, more = excess - sum; i < cache->slots->len; i++) {
        Slot *slot = slot_at(cache, i);
        guint class = slot->page ? wait_class(cache, slot) : 0;

        if (!slot->page || class + 1 < worst || (class < worst && more == 0))
            continue;
        more -= class < worst;
        release(cache, slot->page);
        cache->figures.evictions++;
    }
}

/* Moves what is behind the first `slots` into free ones among them; there are enough. */
static void
move_down(VmfPageCache *cache, guint slots)
{
    guint to = 0;

    for (guint from = slots; from < cache->slots->len; from++) {
        Slot *slot = slot_at(cache, from);

        if (!slot->page)
            continue;
        while (slot_at(cache, to)->page)
            to++;
        memcpy(vmf_arena_slot(&cache->arena, to), vmf_arena_slot(&cache->arena, from),
               cache->page_size);
        *slot_at(cache, to) = *slot;
        slot->page->slot = to + 1;
    }
    g_array_set_size(cache->slots, slots);
    g_array_set_size(cache->free, 0);
    for (guint i = 0; i < slots; i++)
        if (!slot_at(cache, i)->page)
            g_array_append_val(cache->free, i);
}

void
vmf_page_cache_set_limit(VmfPageCache *cache, uint64_t limit)
{
    cache->figures.limit = limit;
    cache->slots_max = (guint)MIN(limit / cache->page_size, SLOTS_MAX);
    cache->scan.sends_min = cache->slots_max / 8;
    cache->ahead = (VmfXbzrleAhead){0};
    if (cache->slots->len <= cache->slots_max)
        return;
    evict_down_to(cache, cache->slots_max);
    move_down(cache, cache->slots_max);
    vmf_arena_cut(&cache->arena, cache->slots_max);
}

void
vmf_page_cache_figures(const VmfPageCache *cache, VmfPageCacheFigures *ret_figures)
{
    *ret_figures = cache->figures;
    ret_figures->used = (uint64_t)used_slots(cache) * cache->page_size;
    ret_figures->tables = vmf_page_table_size(cache->pages) + cache->slots->len * sizeof(Slot) +
                          cache->free->len * sizeof(guint);
}
