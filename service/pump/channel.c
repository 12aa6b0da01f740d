/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pump/channel.h"

#include <errno.h>
#include <unistd.h>

#include "base/error.h"
#include "base/timer.h"
#include "base/watch.h"
#include "pump/intake.h"
#include "pump/outlet.h"

struct VmfChannel {
    VmfChannelSetup setup;
    const VmfChannelEvents *events;
    gpointer owner;

    int fd; /* -1: not yet, or not any more */
    VmfIntake *intake;
    VmfOutlet *outlet;
    GSource *timer; /* waiting for the socket, or holding it */
    VmfWatch *hold; /* for QEMU to hang up */

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

static gsize
vmf_channel_on_room(gpointer owner)
{
    const VmfChannel *channel = owner;

    return vmf_mux_room(channel->setup.mux, channel->setup.id);
}

static void
vmf_channel_on_bytes(gpointer owner, VmfSlice bytes)
{
    VmfChannel *channel = owner;

    channel->events->moved(channel->owner, bytes.length, 0);
    vmf_mux_send(channel->setup.mux, channel->setup.id, bytes);
}

static void
vmf_channel_on_starved(gpointer owner)
{
    VmfChannel *channel = owner;

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
vmf_channel_on_delivered(gpointer owner, gsize bytes)
{
    VmfChannel *channel = owner;

    channel->events->moved(channel->owner, 0, bytes);
    vmf_mux_delivered(channel->setup.mux, channel->setup.id, bytes);
}

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
    .delivered = vmf_channel_on_delivered,
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
vmf_channel_data(VmfChannel *channel, const VmfSlice *bytes)
{
    vmf_outlet_write(channel->outlet, bytes);
}

void
vmf_channel_end(VmfChannel *channel)
{
    vmf_outlet_end(channel->outlet);
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
    if (channel->intake)
        vmf_intake_resume(channel->intake);
}
