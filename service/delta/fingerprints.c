/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "delta/fingerprints.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/error.h"
#include "base/hash.h"
#include "delta/page-table.h"

#define SECRET_SIZE 192

/* What no page has, so that entries nobody wrote are equal to none. */
static const XXH128_hash_t unknown;

struct VmfFingerprints {
    size_t page_size;
    VmfPageTable *table;
    XXH128_hash_t zero; /* of a page of zeros */
    uint8_t secret[SECRET_SIZE];
};

static XXH128_hash_t
hash_page(const VmfFingerprints *prints, const uint8_t *page)
{
    XXH128_hash_t hash =
        XXH3_128bits_withSecret(page, prints->page_size, prints->secret, sizeof prints->secret);

    vmf_hash_settle();
    return hash;
}

static gboolean
same(XXH128_hash_t a, XXH128_hash_t b)
{
    return ((a.low64 ^ b.low64) | (a.high64 ^ b.high64)) == 0;
}

static XXH128_hash_t
fingerprint(const VmfFingerprints *prints, const uint8_t *page)
{
    XXH128_hash_t hash = hash_page(prints, page);

    hash.low64 += same(hash, unknown);
    return hash;
}

VmfFingerprints *
vmf_fingerprints_new(size_t page_size, GError **error)
{
    g_autofree uint8_t *zeros = g_malloc0(page_size);
    g_autoptr(VmfFingerprints) prints = g_new0(VmfFingerprints, 1);

    prints->page_size = page_size;
    prints->table = vmf_page_table_new(sizeof(XXH128_hash_t));
    if (getrandom(prints->secret, sizeof prints->secret, 0) != (ssize_t)sizeof prints->secret) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_FAILED,
                    "no random numbers for the fingerprints of pages: %s", g_strerror(errno));
        return NULL;
    }
    prints->zero = fingerprint(prints, zeros);
    return g_steal_pointer(&prints);
}

void
vmf_fingerprints_free(VmfFingerprints *prints)
{
    if (!prints)
        return;
    vmf_page_table_free(prints->table);
    g_free(prints);
}

static gboolean
put(VmfFingerprints *prints, uint64_t key, XXH128_hash_t now)
{
    XXH128_hash_t *last = vmf_page_table_touch(prints->table, key);
    gboolean equal = same(*last, now);

    *last = now;
    return equal;
}

gboolean
vmf_fingerprints_put(VmfFingerprints *prints, uint64_t key, const uint8_t *page)
{
    return put(prints, key, fingerprint(prints, page));
}

gboolean
vmf_fingerprints_put_zero(VmfFingerprints *prints, uint64_t key)
{
    return put(prints, key, prints->zero);
}

gboolean
vmf_fingerprints_match(VmfFingerprints *prints, uint64_t key, const uint8_t *page)
{
    const XXH128_hash_t *last = vmf_page_table_find(prints->table, key);

    return last && XXH128_isEqual(*last, fingerprint(prints, page));
}

void
vmf_fingerprints_forget(VmfFingerprints *prints, uint64_t key)
{
    XXH128_hash_t *last = vmf_page_table_find(prints->table, key);

    if (last)
        *last = unknown;
}

void
vmf_fingerprints_forget_range(VmfFingerprints *prints, uint64_t key, uint64_t count)
{
    XXH128_hash_t *entries;
    uint64_t at;
    guint n;

    while ((entries = vmf_page_table_next(prints->table, key, count, &at, &n))) {
        memset(entries, 0, n * sizeof *entries);
        count -= at + n - key;
        key = at + n;
    }
}

void
vmf_fingerprints_clear(VmfFingerprints *prints)
{
    vmf_page_table_clear(prints->table);
}

void
vmf_fingerprints_expect(VmfFingerprints *prints, uint64_t key)
{
    void *entry = vmf_page_table_find(prints->table, key);

    if (entry)
        __builtin_prefetch(entry, 1);
}

uint64_t
vmf_fingerprints_size(const VmfFingerprints *prints)
{
    return vmf_page_table_size(prints->table);
}
