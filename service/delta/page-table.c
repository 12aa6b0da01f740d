/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Leaves of 1024 entries; 4096 leaves make a tree of 2^22 pages (16 GiB of 4 KiB pages), found by
 * hash. The last one used is tried first, so that it is seldom looked for.
 */
#include "delta/page-table.h"

#define TREE_LEAVES 4096u
#define TREE_PAGES ((uint64_t)TREE_LEAVES * VMF_PAGE_TABLE_LEAF)

typedef struct {
    uint64_t number; /* key / TREE_PAGES */
    void *leaves[TREE_LEAVES];
} Tree;

struct VmfPageTable {
    size_t entry_size;
    GHashTable *trees; /* number -> Tree */
    Tree *last;
    uint64_t size;
};

static void
free_tree(gpointer data)
{
    Tree *tree = data;

    for (guint i = 0; i < TREE_LEAVES; i++)
        g_free(tree->leaves[i]);
    g_free(tree);
}

VmfPageTable *
vmf_page_table_new(size_t entry_size)
{
    VmfPageTable *table = g_new0(VmfPageTable, 1);

    table->entry_size = entry_size;
    table->trees = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, free_tree);
    return table;
}

void
vmf_page_table_free(VmfPageTable *table)
{
    if (!table)
        return;
    g_hash_table_unref(table->trees);
    g_free(table);
}

static Tree *
find_tree(VmfPageTable *table, uint64_t key)
{
    uint64_t number = key / TREE_PAGES;

    if (G_LIKELY(table->last && table->last->number == number))
        return table->last;
    Tree *tree = g_hash_table_lookup(table->trees, &number);
    if (tree)
        table->last = tree;
    return tree;
}

static Tree *
add_tree(VmfPageTable *table, uint64_t key)
{
    Tree *tree = g_new0(Tree, 1);

    tree->number = key / TREE_PAGES;
    g_hash_table_insert(table->trees, &tree->number, tree);
    table->size += sizeof *tree;
    table->last = tree;
    return tree;
}

static inline void **
leaf_of(Tree *tree, uint64_t key)
{
    return &tree->leaves[key / VMF_PAGE_TABLE_LEAF % TREE_LEAVES];
}

static inline void *
entry_of(const VmfPageTable *table, void *leaf, uint64_t key)
{
    return (uint8_t *)leaf + key % VMF_PAGE_TABLE_LEAF * table->entry_size;
}

void *
vmf_page_table_find(VmfPageTable *table, uint64_t key)
{
    Tree *tree = find_tree(table, key);
    void *leaf = tree ? *leaf_of(tree, key) : NULL;

    return leaf ? entry_of(table, leaf, key) : NULL;
}

void *
vmf_page_table_touch(VmfPageTable *table, uint64_t key)
{
    Tree *tree = find_tree(table, key);
    void **leaf = leaf_of(tree ? tree : add_tree(table, key), key);

    if (G_UNLIKELY(!*leaf)) {
        *leaf = g_malloc0_n(VMF_PAGE_TABLE_LEAF, table->entry_size);
        table->size += VMF_PAGE_TABLE_LEAF * table->entry_size;
    }
    return entry_of(table, *leaf, key);
}

/* The first tree that has pages from `key` on, or NULL. */
static Tree *
next_tree(VmfPageTable *table, uint64_t key)
{
    Tree *best = find_tree(table, key), *tree;
    GHashTableIter iter;

    if (best)
        return best;
    g_hash_table_iter_init(&iter, table->trees);
    while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&tree))
        if (tree->number > key / TREE_PAGES && (!best || tree->number < best->number))
            best = tree;
    return best;
}

void *
vmf_page_table_next(VmfPageTable *table, uint64_t key, uint64_t count, uint64_t *ret_key,
                    guint *ret_count)
{
    uint64_t end = count > UINT64_MAX - key ? UINT64_MAX : key + count;

    while (key < end) {
        Tree *tree = next_tree(table, key);
        void *leaf;

        if (!tree)
            return NULL;
        key = MAX(key, tree->number * TREE_PAGES);
        leaf = *leaf_of(tree, key);
        if (leaf && key < end) {
            *ret_key = key;
            *ret_count = (guint)MIN(VMF_PAGE_TABLE_LEAF - key % VMF_PAGE_TABLE_LEAF, end - key);
            return entry_of(table, leaf, key);
        }
        key += VMF_PAGE_TABLE_LEAF - key % VMF_PAGE_TABLE_LEAF;
    }
    return NULL;
}

void
vmf_page_table_clear(VmfPageTable *table)
{
    g_hash_table_remove_all(table->trees);
    table->last = NULL;
    table->size = 0;
}

uint64_t
vmf_page_table_size(const VmfPageTable *table)
{
    return table->size;
}
