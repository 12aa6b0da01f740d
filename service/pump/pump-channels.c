/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The channels of a pump, from the daemon's call to their end. */
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/timer.h"
#include "pump/pump-private.h"

#define FIGURES_INTERVAL 250 /* ms */

VmfChannel *
vmf_pump_channel(const VmfPump *pump, guint id)
{
    return id >= 1 && id <= pump->channels->len ? pump->channels->pdata[id - 1] : NULL;
}

void
vmf_pump_each_channel(VmfPump *pump, void (*func)(VmfChannel *channel, const GError *error),
                      const GError *error)
{
    for (guint id = 1; id <= pump->channels->len; id++)
        if (vmf_pump_channel(pump, id))
            func(vmf_pump_channel(pump, id), error);
}

static gboolean
vmf_pump_tell_figures(gpointer data)
{
    VmfPump *pump = data;
    VmfMuxFigures figures;

    pump->events->figures(pump->owner);
    vmf_pump_get_figures(pump, &figures);
    if (pump->statistics.last == pump->told && figures.kept == 0)
        vmf_timer_clear(&pump->figures);
    pump->told = pump->statistics.last;
    return G_SOURCE_CONTINUE;
}

static void
vmf_pump_on_moved(gpointer owner, gsize from_socket, gsize to_socket)
{
    VmfPump *pump = owner;

    vmf_statistics_moved(&pump->statistics, from_socket, to_socket);
    if (!pump->figures)
        pump->figures = vmf_timer_new(FIGURES_INTERVAL, vmf_pump_tell_figures, pump);
}

static void
vmf_pump_on_over(gpointer owner, VmfChannel *channel, const GError *error)
{
    VmfPump *pump = owner;

    pump->n_over++;
    if (error)
        vmf_pump_note(pump, error);
    pump->events->channel_ended(pump->owner, vmf_channel_id(channel), error == NULL);
    pump->events->changed(pump->owner);
    vmf_pump_check_over(pump);
}

/*
 * With multifd, pages go over several connections, and what was sent last for one cannot be told
 * from the main one. Its further connections come before any page comes again.
 */
static void
vmf_pump_on_sniffed(gpointer owner, VmfChannel *channel, VmfConnection connection)
{
    VmfPump *pump = owner;

    if (connection == VMF_CONNECTION_TLS)
        pump->untouched = "QEMU encrypts its stream";
    else if (connection == VMF_CONNECTION_MULTIFD)
        pump->untouched = "QEMU sends over several connections";
    if (connection == VMF_CONNECTION_MULTIFD && pump->main)
        vmf_stages_give_up(pump->main, pump->untouched);
    if (!pump->main)
        pump->main = vmf_channel_stages(channel);
}

static const VmfChannelEvents vmf_pump_channel_events = {
    .moved = vmf_pump_on_moved,
    .sniffed = vmf_pump_on_sniffed,
    .over = vmf_pump_on_over,
};

VmfChannel *
vmf_pump_add_channel(VmfPump *pump, guint id, VmfChannelKind kind, VmfMux *mux)
{
    const VmfStagesSetup *stages = &pump->options.stages;
    VmfChannelSetup setup = {
        .id = id,
        .kind = kind,
        .side = pump->side,
        .mux = mux,
        .pool = pump->pool,
        .stages = *stages,
        .settings = vmf_stages_setup_is_empty(stages) ? NULL : &pump->options.settings,
    };
    VmfChannel *channel;

    if (pump->side == VMF_SIDE_DESTINATION)
        setup.unpack =
            (VmfUnpackSetup){.window_log = stages->packer.window_log,
                             .lanes = stages->packer.lanes,
                             .proves = stages->packer.proves && kind == VMF_CHANNEL_QEMU};
    channel = vmf_channel_new(&setup, &vmf_pump_channel_events, pump);
    pump->carries_qemu |= kind == VMF_CHANNEL_QEMU;
    g_ptr_array_set_size(pump->channels, (gint)MAX(pump->channels->len, id));
    pump->channels->pdata[id - 1] = channel;
    pump->n_channels++;
    vmf_pump_watch_absence(pump);
    return channel;
}

gboolean
vmf_pump_check_socket(int fd, GError **error)
{
    int type = 0;
    socklen_t length = sizeof type;
    struct sockaddr_storage peer;
    socklen_t peer_length = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM &&
        getpeername(fd, (struct sockaddr *)&peer, &peer_length) == 0)
        return TRUE;
    g_set_error_literal(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                        "the descriptor is not a connected stream socket");
    return FALSE;
}

guint
vmf_pump_attach_channel(VmfPump *pump, const char *kind_name, guint link, int fd, GError **error)
{
    VmfChannelKind kind = vmf_channel_kind_from_name(kind_name);
    VmfMux *mux = link < VMF_PUMP_LINKS && pump->links[link] ? pump->links[link]->mux : NULL;
    guint id = pump->channels->len + 1;
    gboolean opened = FALSE;

    if (pump->side != VMF_SIDE_SOURCE || !kind)
        g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                    "a channel of kind \"%s\" cannot be attached at this side: expected \"qemu\", "
                    "\"nbd\" or \"libvirt\" at the source",
                    kind_name);
    else if (!mux)
        g_set_error(error, VMF_ERROR, VMF_ERROR_LINK_BROKEN, "there is no data link %u", link);
    else if (vmf_pump_check_socket(fd, error))
        opened = vmf_mux_open(mux, id, kind, error);
    if (!opened) {
        close(fd);
        return 0;
    }
    vmf_channel_attach(vmf_pump_add_channel(pump, id, kind, mux), fd);
    return id;
}

static VmfChannel *
vmf_pump_find_wanted(VmfPump *pump, guint id, GError **error)
{
    VmfChannel *channel = vmf_pump_channel(pump, id);

    if (channel && vmf_channel_is_wanted(channel))
        return channel;
    g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                "channel %u does not wait for a connection", id);
    return NULL;
}

gboolean
vmf_pump_answer_channel(VmfPump *pump, guint id, int fd, GError **error)
{
    VmfChannel *channel = vmf_pump_find_wanted(pump, id, error);

    if (!channel || !vmf_pump_check_socket(fd, error)) {
        close(fd);
        return FALSE;
    }
    vmf_channel_attach(channel, fd);
    pump->events->changed(pump->owner);
    return TRUE;
}

gboolean
vmf_pump_refuse_channel(VmfPump *pump, guint id, const char *reason, GError **error)
{
    VmfChannel *channel = vmf_pump_find_wanted(pump, id, error);
    g_autoptr(GError) why = NULL;

    if (!channel)
        return FALSE;
    why = g_error_new_literal(VMF_ERROR, VMF_ERROR_PEER_REFUSED, reason);
    vmf_channel_abort(channel, why);
    return TRUE;
}
