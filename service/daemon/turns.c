/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/turns.h"

typedef struct {
    char *name;
    GQueue items; /* one at least */
} VmfCaller;

struct VmfTurns {
    GDestroyNotify free_item;
    GHashTable *callers; /* name -> VmfCaller, those that wait */
    GQueue order;        /* of the same; the first is next */
};

static void
vmf_caller_free(gpointer data)
{
    VmfCaller *caller = data;

    g_free(caller->name);
    g_free(caller);
}

VmfTurns *
vmf_turns_new(GDestroyNotify free_item)
{
    VmfTurns *self = g_new0(VmfTurns, 1);

    self->free_item = free_item;
    self->callers = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, vmf_caller_free);
    return self;
}

void
vmf_turns_free(VmfTurns *self)
{
    gpointer item;

    while ((item = vmf_turns_pop(self)))
        self->free_item(item);
    g_hash_table_unref(self->callers);
    g_free(self);
}

void
vmf_turns_push(VmfTurns *self, const char *name, gpointer item)
{
    VmfCaller *caller = g_hash_table_lookup(self->callers, name);

    if (!caller) {
        caller = g_new0(VmfCaller, 1);
        caller->name = g_strdup(name);
        g_hash_table_insert(self->callers, caller->name, caller);
        g_queue_push_tail(&self->order, caller);
    }
    g_queue_push_tail(&caller->items, item);
}

gpointer
vmf_turns_pop(VmfTurns *self)
{
    VmfCaller *caller = g_queue_pop_head(&self->order);
    gpointer item = caller ? g_queue_pop_head(&caller->items) : NULL;

    if (caller && caller->items.length > 0)
        g_queue_push_tail(&self->order, caller);
    else if (caller)
        g_hash_table_remove(self->callers, caller->name);
    return item;
}

gboolean
vmf_turns_are_over(VmfTurns *self)
{
    return self->order.length == 0;
}
