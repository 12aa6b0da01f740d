/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pump/duct.h"

struct VmfDuct {
    void (*stirred)(gpointer owner);
    gpointer owner;

    GMutex lock; /* for the following */
    GCond changed;
    GQueue parcels; /* VmfParcel */
    gsize held, limit;
    gboolean ended, closed;
    gboolean waits, watched; /* the taker; that it does */
};

VmfDuct *
vmf_duct_new(gsize limit, void (*stirred)(gpointer owner), gpointer owner)
{
    VmfDuct *duct = g_new0(VmfDuct, 1);

    duct->limit = limit;
    duct->stirred = stirred;
    duct->owner = owner;
    g_mutex_init(&duct->lock);
    g_cond_init(&duct->changed);
    g_queue_init(&duct->parcels);
    return duct;
}

static void
vmf_duct_drop(gpointer data)
{
    VmfParcel *parcel = data;

    vmf_chunk_unref(parcel->bytes.chunk);
    g_free(parcel);
}

void
vmf_duct_free(VmfDuct *duct)
{
    g_queue_clear_full(&duct->parcels, vmf_duct_drop);
    g_mutex_clear(&duct->lock);
    g_cond_clear(&duct->changed);
    g_free(duct);
}

/* Ends a locked section, after which the other side may want to know. */
static void
vmf_duct_unlock(VmfDuct *duct, gboolean stir)
{
    if (stir)
        g_cond_broadcast(&duct->changed);
    g_mutex_unlock(&duct->lock);
    if (stir && duct->stirred)
        duct->stirred(duct->owner);
}

void
vmf_duct_set_limit(VmfDuct *duct, gsize limit)
{
    gboolean was_full;

    g_mutex_lock(&duct->lock);
    was_full = duct->held >= duct->limit;
    duct->limit = limit;
    vmf_duct_unlock(duct, was_full && duct->held < limit);
}

static gboolean
vmf_duct_give(VmfDuct *duct, const VmfParcel *parcel, gboolean wait)
{
    gboolean open, first;

    g_mutex_lock(&duct->lock);
    while (wait && !duct->closed && duct->held >= duct->limit)
        g_cond_wait(&duct->changed, &duct->lock);
    open = !duct->closed;
    first = open && duct->held == 0;
    if (open) {
        g_queue_push_tail(&duct->parcels, g_memdup2(parcel, sizeof *parcel));
        duct->held += parcel->bytes.length;
    }
    vmf_duct_unlock(duct, first);
    if (!open)
        vmf_chunk_unref(parcel->bytes.chunk);
    return open;
}

gboolean
vmf_duct_push(VmfDuct *duct, const VmfParcel *parcel)
{
    return vmf_duct_give(duct, parcel, TRUE);
}

void
vmf_duct_add(VmfDuct *duct, const VmfParcel *parcel)
{
    (void)vmf_duct_give(duct, parcel, FALSE);
}

void
vmf_duct_end(VmfDuct *duct)
{
    g_mutex_lock(&duct->lock);
    duct->ended = TRUE;
    vmf_duct_unlock(duct, TRUE);
}

VmfDuctAnswer
vmf_duct_pop(VmfDuct *duct, gboolean wait, VmfParcel *ret)
{
    VmfDuctAnswer answer = VMF_DUCT_EMPTY;
    VmfParcel *parcel;
    gboolean was_full;

    g_mutex_lock(&duct->lock);
    while (wait && !duct->closed && !duct->ended && g_queue_is_empty(&duct->parcels)) {
        if (!duct->waits && duct->watched && duct->stirred)
            duct->stirred(duct->owner);
        duct->waits = TRUE;
        g_cond_wait(&duct->changed, &duct->lock);
    }
    duct->waits = FALSE;
    was_full = duct->held >= duct->limit;
    parcel = g_queue_pop_head(&duct->parcels);
    if (parcel) {
        answer = VMF_DUCT_PARCEL;
        duct->held -= parcel->bytes.length;
        *ret = *parcel;
        g_free(parcel);
    } else if (duct->closed || duct->ended) {
        answer = VMF_DUCT_OVER;
    }
    vmf_duct_unlock(duct, was_full && duct->held < duct->limit);
    return answer;
}

void
vmf_duct_close(VmfDuct *duct)
{
    g_mutex_lock(&duct->lock);
    duct->closed = TRUE;
    g_queue_clear_full(&duct->parcels, vmf_duct_drop);
    g_queue_init(&duct->parcels);
    duct->held = 0;
    vmf_duct_unlock(duct, TRUE);
}

gboolean
vmf_duct_is_idle(VmfDuct *duct)
{
    gboolean idle;

    g_mutex_lock(&duct->lock);
    idle = duct->waits && g_queue_is_empty(&duct->parcels);
    g_mutex_unlock(&duct->lock);
    return idle;
}

void
vmf_duct_watch_idle(VmfDuct *duct)
{
    g_mutex_lock(&duct->lock);
    duct->watched = TRUE;
    g_mutex_unlock(&duct->lock);
}

gsize
vmf_duct_held(VmfDuct *duct)
{
    gsize held;

    g_mutex_lock(&duct->lock);
    held = duct->held;
    g_mutex_unlock(&duct->lock);
    return held;
}

gsize
vmf_duct_limit(VmfDuct *duct)
{
    gsize limit;

    g_mutex_lock(&duct->lock);
    limit = duct->limit;
    g_mutex_unlock(&duct->lock);
    return limit;
}

gsize
vmf_duct_room(VmfDuct *duct)
{
    gsize room;

    g_mutex_lock(&duct->lock);
    room = duct->held < duct->limit ? duct->limit - duct->held : 0;
    g_mutex_unlock(&duct->lock);
    return room;
}
