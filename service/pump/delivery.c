/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pump/delivery.h"

/* Bytes at the outlet, and what they were in the channel. */
typedef struct {
    gsize bytes, of_channel;
} VmfMark;

struct VmfDelivery {
    VmfOutlet *outlet;
    VmfUnpack *unpack;
    const VmfDeliveryEvents *events;
    gpointer owner;
    GQueue marks; /* VmfMark, of what the outlet has */
    gboolean busy, end, over;
};

VmfDelivery *
vmf_delivery_new(VmfOutlet *outlet, const VmfUnpackSetup *setup, VmfChunkPool *pool,
                 const VmfDeliveryEvents *events, gpointer owner)
{
    VmfDelivery *delivery = g_new0(VmfDelivery, 1);

    delivery->outlet = outlet;
    delivery->unpack = vmf_unpack_new(setup, pool);
    delivery->events = events;
    delivery->owner = owner;
    g_queue_init(&delivery->marks);
    return delivery;
}

void
vmf_delivery_free(VmfDelivery *delivery)
{
    vmf_unpack_free(delivery->unpack);
    g_queue_clear_full(&delivery->marks, g_free);
    g_free(delivery);
}

void
vmf_delivery_stop(VmfDelivery *delivery)
{
    delivery->over = TRUE;
}

static gboolean
vmf_mark_is_plain(const VmfMark *mark)
{
    return mark && mark->bytes == mark->of_channel;
}

static void
vmf_delivery_write(VmfDelivery *delivery, const VmfSlice *bytes, gsize of_channel)
{
    VmfMark *last = g_queue_peek_tail(&delivery->marks);
    const VmfMark mark = {bytes->length, of_channel};

    if (vmf_mark_is_plain(last) && vmf_mark_is_plain(&mark)) {
        last->bytes += mark.bytes;
        last->of_channel += mark.of_channel;
    } else {
        g_queue_push_tail(&delivery->marks, g_memdup2(&mark, sizeof mark));
    }
    vmf_outlet_write(delivery->outlet, bytes);
}

/* FALSE: there is nothing (more) to do now. */
static gboolean
vmf_delivery_step(VmfDelivery *delivery)
{
    g_autoptr(GError) error = NULL;
    VmfSlice bytes;
    gsize used = 0;

    switch (vmf_unpack_take(delivery->unpack, &bytes, &used, &error)) {
    case VMF_UNPACK_BYTES:
        vmf_delivery_write(delivery, &bytes, used);
        vmf_chunk_unref(bytes.chunk);
        return TRUE;
    case VMF_UNPACK_MORE:
        if (!delivery->end)
            return FALSE;
        if (vmf_unpack_end(delivery->unpack, &error)) {
            delivery->over = TRUE;
            vmf_outlet_end(delivery->outlet);
            return FALSE;
        }
        break;
    case VMF_UNPACK_ERROR:
        break;
    }
    delivery->over = TRUE;
    delivery->events->broken(delivery->owner, error);
    return FALSE;
}

/* Events of the outlet come from inside, and lead here again. */
static void
vmf_delivery_go(VmfDelivery *delivery)
{
    if (delivery->busy)
        return;
    delivery->busy = TRUE;
    while (!delivery->over && vmf_outlet_waiting(delivery->outlet) < VMF_DELIVERY_AHEAD &&
           vmf_delivery_step(delivery))
        ;
    delivery->busy = FALSE;
}

void
vmf_delivery_put(VmfDelivery *delivery, const VmfSlice *bytes, gboolean packed)
{
    if (delivery->over)
        return;
    if (!packed && vmf_unpack_is_empty(delivery->unpack)) {
        /* at once, and without a copy: what is not packed is bounded by the channel's credit */
        vmf_unpack_pass(delivery->unpack, bytes);
        vmf_delivery_write(delivery, bytes, bytes->length);
        return;
    }
    vmf_unpack_put(delivery->unpack, bytes, packed);
    vmf_delivery_go(delivery);
}

void
vmf_delivery_end(VmfDelivery *delivery)
{
    delivery->end = TRUE;
    vmf_delivery_go(delivery);
}

/* What goes as it is counts byte by byte, what was packed when all of it was written. */
static gsize
vmf_delivery_count(VmfDelivery *delivery, gsize bytes)
{
    gsize of_channel = 0;

    while (bytes > 0) {
        VmfMark *mark = g_queue_peek_head(&delivery->marks);
        gsize n = MIN(bytes, mark->bytes);
        gsize part = vmf_mark_is_plain(mark) ? n : 0;

        mark->bytes -= n;
        mark->of_channel -= part;
        bytes -= n;
        of_channel += part;
        if (mark->bytes > 0)
            continue;
        of_channel += mark->of_channel;
        g_free(g_queue_pop_head(&delivery->marks));
    }
    return of_channel;
}

void
vmf_delivery_written(VmfDelivery *delivery, gsize bytes)
{
    delivery->events->delivered(delivery->owner, bytes, vmf_delivery_count(delivery, bytes));
    vmf_delivery_go(delivery);
}
