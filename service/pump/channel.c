/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pump/channel.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/timer.h"
#include "base/watch.h"
#include "pump/delivery.h"
#include "pump/intake.h"
#include "pump/outlet.h"

struct VmfChannel {
    VmfChannelSetup setup;
    const VmfChannelEvents *events;
    gpointer owner;

    int fd; /* -1: not yet, or not any more */
    VmfIntake *intake;
    VmfOutlet *outlet;
    VmfDelivery *delivery; /* to the outlet */
    VmfStages *stages;     /* from the intake, or NULL */
    gboolean staged;       /* they are in use */
    gboolean begun;        /* first bytes were taken in */
    VmfParcel next;        /* out of the stages, and not sent yet */
    GSource *timer;        /* waiting for the socket, or holding it */
    VmfWatch *hold;        /* for QEMU to hang up */

    gboolean intake_ended, end_acknowledged, end_delivered;
    GError *outlet_error; /* the socket takes nothing more */
    GError *error;        /* why it is held, or was not clean */
    gboolean over;
};

/* No bytes move any more. Intake and outlet may be in the middle of an event, so they stay. */
static void
vmf_channel_stop(VmfChannel *channel)
{
    vmf_timer_clear(&channel->timer);
    if (channel->intake)
        vmf_intake_stop(channel->intake);
    if (channel->stages)
        vmf_stages_stop(channel->stages);
    vmf_delivery_stop(channel->delivery);
    vmf_outlet_stop(channel->outlet);
}

/* The last step, clean or not. */
static void
vmf_channel_finish(VmfChannel *channel)
{
    vmf_channel_stop(channel);
    g_clear_pointer(&channel->hold, vmf_watch_free);
    if (channel->fd >= 0)
        close(channel->fd);
    channel->fd = -1;
    channel->over = TRUE;
    channel->events->over(channel->owner, channel, channel->error);
}

static void
vmf_channel_check_over(VmfChannel *channel)
{
    if (channel->end_acknowledged && channel->end_delivered && !channel->over)
        vmf_channel_finish(channel);
}

static void
vmf_channel_hung_up(GIOCondition condition, gpointer data)
{
    vmf_channel_finish(data);
}

static gboolean
vmf_channel_hold_ended(gpointer data)
{
    vmf_channel_finish(data);
    return G_SOURCE_REMOVE;
}

void
vmf_channel_lost(VmfChannel *channel, const GError *error)
{
    if (channel->over || channel->error)
        return;
    channel->error = g_error_copy(error);
    vmf_channel_stop(channel);
    if (channel->setup.side == VMF_SIDE_SOURCE || channel->setup.kind != VMF_CHANNEL_QEMU ||
        channel->fd < 0 || channel->end_delivered) {
        vmf_channel_finish(channel);
        return;
    }
    channel->hold = vmf_watch_new(channel->fd, vmf_channel_hung_up, channel);
    vmf_watch_want(channel->hold, G_IO_HUP);
    channel->timer = vmf_timer_new(VMF_CHANNEL_HOLD * 1000, vmf_channel_hold_ended, channel);
}

void
vmf_channel_abort(VmfChannel *channel, const GError *error)
{
    if (channel->over)
        return;
    if (!channel->error)
        channel->error = g_error_copy(error);
    vmf_mux_reset(channel->setup.mux, channel->setup.id, error);
    vmf_channel_finish(channel);
}

/* Our own socket broke; takes the error. Its other end has seen worse than an end of file. */
static void
vmf_channel_broke(VmfChannel *channel, GError *error)
{
    vmf_channel_abort(channel, error);
    g_error_free(error);
}

static GError *
vmf_channel_errno(const VmfChannel *channel, const char *what, int error)
{
    return g_error_new(VMF_ERROR, VMF_ERROR_LINK_BROKEN, "channel %u: %s %s at the %s failed: %s",
                       channel->setup.id, what, vmf_channel_kind_name(channel->setup.kind),
                       channel->setup.side == VMF_SIDE_SOURCE ? "source" : "destination",
                       g_strerror(error));
}

/* ---- through the stages, or past them ---- */

static void vmf_channel_on_stirred(gpointer owner);

/* As much of what is next as there is room for. */
static void
vmf_channel_send_next(VmfChannel *channel, gsize room)
{
    VmfSlice now = channel->next.bytes;
    VmfSlice *rest = &channel->next.bytes;
    gsize n = MIN(room, MIN(now.length, VMF_FRAME_PAYLOAD_MAX));

    rest->chunk = NULL;
    if (n < now.length) {
        /* in memory of its own: a frame's header is written in front of it */
        rest->length = now.length - n;
        rest->chunk = vmf_chunk_new(channel->setup.pool, VMF_CHUNK_HEADROOM + rest->length);
        rest->data = rest->chunk->data + VMF_CHUNK_HEADROOM;
        memcpy(rest->data, now.data + n, rest->length);
        now.length = n;
    }
    vmf_mux_send(channel->setup.mux, channel->setup.id, now, channel->next.packed);
}

/* From post-copy on pages are waited for: the way is kept short. */
static void
vmf_channel_leave_stages(VmfChannel *channel)
{
    if (channel->next.bytes.chunk || channel->intake_ended ||
        !vmf_stages_wants_out(channel->stages) || !vmf_stages_is_drained(channel->stages))
        return;
    channel->staged = FALSE;
    vmf_stages_stop(channel->stages);
}

static void
vmf_channel_drain(VmfChannel *channel)
{
    VmfDuctAnswer answer = VMF_DUCT_PARCEL;
    gsize room;

    while (answer == VMF_DUCT_PARCEL &&
           (room = vmf_mux_room(channel->setup.mux, channel->setup.id)) > 0) {
        if (!channel->next.bytes.chunk)
            answer = vmf_stages_take(channel->stages, &channel->next);
        if (answer == VMF_DUCT_PARCEL)
            vmf_channel_send_next(channel, room);
    }
    if (answer == VMF_DUCT_EMPTY) {
        vmf_mux_starved(channel->setup.mux);
        vmf_channel_leave_stages(channel);
    } else if (answer == VMF_DUCT_OVER) {
        channel->staged = FALSE;
        vmf_mux_end(channel->setup.mux, channel->setup.id);
    }
}

static void
vmf_channel_on_stirred(gpointer owner)
{
    VmfChannel *channel = owner;
    GError *error;

    if (!channel->staged || channel->over || channel->error)
        return;
    error = vmf_stages_dup_error(channel->stages);
    if (error)
        vmf_channel_broke(channel, error);
    else
        vmf_channel_room(channel);
}

/* The first bytes tell what kind of connection it is: with all but QEMU's main one nothing is done.
 */
static void
vmf_channel_begin(VmfChannel *channel, const VmfSlice *bytes)
{
    VmfConnection connection = vmf_connection_sniff(bytes->data, bytes->length);

    channel->begun = TRUE;
    if (channel->setup.kind != VMF_CHANNEL_QEMU || channel->setup.side != VMF_SIDE_SOURCE)
        return;
    if (channel->setup.settings && connection == VMF_CONNECTION_MAIN) {
        channel->stages = vmf_stages_new(&channel->setup.stages, channel->setup.settings,
                                         channel->setup.pool, vmf_channel_on_stirred, channel);
        channel->staged = TRUE;
    }
    channel->events->sniffed(channel->owner, channel, connection);
}

VmfStages *
vmf_channel_stages(const VmfChannel *channel)
{
    return channel->stages;
}

static gsize
vmf_channel_on_room(gpointer owner)
{
    VmfChannel *channel = owner;

    if (channel->staged)
        return vmf_stages_room(channel->stages);
    return vmf_mux_room(channel->setup.mux, channel->setup.id);
}

static void
vmf_channel_on_bytes(gpointer owner, VmfSlice bytes)
{
    VmfChannel *channel = owner;

    if (!channel->begun)
        vmf_channel_begin(channel, &bytes);
    channel->events->moved(channel->owner, bytes.length, 0);
    if (channel->staged)
        vmf_stages_put(channel->stages, bytes);
    else
        vmf_mux_send(channel->setup.mux, channel->setup.id, bytes, FALSE);
}

static void
vmf_channel_on_starved(gpointer owner)
{
    VmfChannel *channel = owner;

    if (!channel->staged)
        vmf_mux_starved(channel->setup.mux);
    /* the last words of an end that takes nothing more have been read */
    if (channel->outlet_error)
        vmf_channel_broke(channel, g_steal_pointer(&channel->outlet_error));
}

static void
vmf_channel_on_end(gpointer owner)
{
    VmfChannel *channel = owner;

    channel->intake_ended = TRUE;
    if (channel->outlet_error)
        vmf_channel_broke(channel, g_steal_pointer(&channel->outlet_error));
    else if (channel->staged)
        vmf_stages_end(channel->stages);
    else
        vmf_mux_end(channel->setup.mux, channel->setup.id);
}

static void
vmf_channel_on_read_failed(gpointer owner, int error)
{
    vmf_channel_broke(owner, vmf_channel_errno(owner, "reading from", error));
}

static const VmfIntakeEvents vmf_channel_intake_events = {
    .room = vmf_channel_on_room,
    .bytes = vmf_channel_on_bytes,
    .starved = vmf_channel_on_starved,
    .end = vmf_channel_on_end,
    .failed = vmf_channel_on_read_failed,
};

static void
vmf_channel_on_written(gpointer owner, gsize bytes)
{
    VmfChannel *channel = owner;

    vmf_delivery_written(channel->delivery, bytes);
}

static void
vmf_channel_on_delivered(gpointer owner, gsize written, gsize of_channel)
{
    VmfChannel *channel = owner;

    channel->events->moved(channel->owner, 0, written);
    if (of_channel > 0)
        vmf_mux_delivered(channel->setup.mux, channel->setup.id, of_channel);
}

/* The other side's doing: it is told, and QEMU sees no end of file. */
static void
vmf_channel_on_broken(gpointer owner, const GError *error)
{
    VmfChannel *channel = owner;

    vmf_mux_reset(channel->setup.mux, channel->setup.id, error);
    vmf_channel_lost(channel, error);
}

static const VmfDeliveryEvents vmf_channel_delivery_events = {
    .delivered = vmf_channel_on_delivered,
    .broken = vmf_channel_on_broken,
};

static void
vmf_channel_on_ended(gpointer owner)
{
    VmfChannel *channel = owner;

    channel->end_delivered = TRUE;
    vmf_mux_end_delivered(channel->setup.mux, channel->setup.id);
    vmf_channel_check_over(channel);
}

/*
 * The end has closed (or will not read), but may have said something before, like QEMU the reason
 * in its SHUT message: that is read and sent first.
 */
static void
vmf_channel_on_write_failed(gpointer owner, int error)
{
    VmfChannel *channel = owner;

    channel->outlet_error = vmf_channel_errno(channel, "writing to", error);
    if (channel->intake_ended)
        vmf_channel_broke(channel, g_steal_pointer(&channel->outlet_error));
    else if (channel->intake)
        vmf_intake_poke(channel->intake);
}

static const VmfOutletEvents vmf_channel_outlet_events = {
    .delivered = vmf_channel_on_written,
    .ended = vmf_channel_on_ended,
    .failed = vmf_channel_on_write_failed,
};

static gboolean
vmf_channel_not_answered(gpointer data)
{
    VmfChannel *channel = data;

    vmf_channel_broke(channel,
                      g_error_new(VMF_ERROR, VMF_ERROR_TIMED_OUT,
                                  "channel %u: no connection to %s at the destination within %d s",
                                  channel->setup.id, vmf_channel_kind_name(channel->setup.kind),
                                  VMF_CHANNEL_WAIT));
    return G_SOURCE_REMOVE;
}

VmfChannel *
vmf_channel_new(const VmfChannelSetup *setup, const VmfChannelEvents *events, gpointer owner)
{
    VmfChannel *channel = g_new0(VmfChannel, 1);

    channel->setup = *setup;
    channel->events = events;
    channel->owner = owner;
    channel->fd = -1;
    channel->outlet = vmf_outlet_new(&vmf_channel_outlet_events, channel);
    channel->delivery = vmf_delivery_new(channel->outlet, &setup->unpack, setup->pool,
                                         &vmf_channel_delivery_events, channel);
    if (setup->side == VMF_SIDE_DESTINATION)
        channel->timer = vmf_timer_new(VMF_CHANNEL_WAIT * 1000, vmf_channel_not_answered, channel);
    return channel;
}

void
vmf_channel_free(VmfChannel *channel)
{
    vmf_timer_clear(&channel->timer);
    g_clear_pointer(&channel->hold, vmf_watch_free);
    g_clear_pointer(&channel->intake, vmf_intake_free);
    g_clear_pointer(&channel->stages, vmf_stages_free);
    if (channel->next.bytes.chunk)
        vmf_chunk_unref(channel->next.bytes.chunk);
    vmf_delivery_free(channel->delivery);
    vmf_outlet_free(channel->outlet);
    if (channel->fd >= 0)
        close(channel->fd);
    g_clear_error(&channel->outlet_error);
    g_clear_error(&channel->error);
    g_free(channel);
}

guint
vmf_channel_id(const VmfChannel *channel)
{
    return channel->setup.id;
}

VmfChannelKind
vmf_channel_kind(const VmfChannel *channel)
{
    return channel->setup.kind;
}

gboolean
vmf_channel_is_over(const VmfChannel *channel)
{
    return channel->over;
}

gboolean
vmf_channel_is_wanted(const VmfChannel *channel)
{
    return !channel->over && !channel->error && channel->fd < 0;
}

void
vmf_channel_attach(VmfChannel *channel, int fd)
{
    vmf_timer_clear(&channel->timer);
    channel->fd = fd;
    channel->intake = vmf_intake_new(fd, channel->setup.pool, &vmf_channel_intake_events, channel);
    vmf_outlet_attach(channel->outlet, fd);
}

void
vmf_channel_data(VmfChannel *channel, const VmfSlice *bytes, gboolean packed)
{
    vmf_delivery_put(channel->delivery, bytes, packed);
}

void
vmf_channel_end(VmfChannel *channel)
{
    vmf_delivery_end(channel->delivery);
}

void
vmf_channel_end_acknowledged(VmfChannel *channel)
{
    channel->end_acknowledged = TRUE;
    vmf_channel_check_over(channel);
}

void
vmf_channel_room(VmfChannel *channel)
{
    if (channel->staged)
        vmf_channel_drain(channel);
    if (channel->intake)
        vmf_intake_resume(channel->intake);
}
