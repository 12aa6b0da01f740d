/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A pump's link: how it is attached, and what comes of it. */
#include <unistd.h>

#include "base/error.h"
#include "base/timer.h"
#include "pump/pump-private.h"

static void
vmf_pump_answer_link(VmfPump *pump, const GError *error)
{
    VmfPumpLinked linked = g_steal_pointer(&pump->linked);

    vmf_timer_clear(&pump->deadline);
    linked(pump->linked_data, error);
}

void
vmf_pump_link_failed(VmfPump *pump, const GError *error)
{
    vmf_mux_detach(pump->mux);
    vmf_pump_answer_link(pump, error);
}

static gboolean
vmf_pump_link_timed_out(gpointer data)
{
    VmfPump *pump = data;
    g_autoptr(GError) error =
        g_error_new(VMF_ERROR, VMF_ERROR_TIMED_OUT,
                    "the other pump did not finish the handshake within %d s", VMF_PUMP_LINK_WAIT);

    vmf_pump_link_failed(pump, error);
    return G_SOURCE_REMOVE;
}

static void
vmf_pump_on_ready(gpointer owner)
{
    VmfPump *pump = owner;

    vmf_pump_set_state(pump, VMF_PUMP_LINKED);
    vmf_pump_answer_link(pump, NULL);
}

static void
vmf_pump_on_opened(gpointer owner, guint id, VmfChannelKind kind)
{
    VmfPump *pump = owner;

    (void)vmf_pump_add_channel(pump, id, kind);
    pump->events->changed(pump->owner);
    pump->events->wanted(pump->owner, id, kind);
}

static void
vmf_pump_on_data(gpointer owner, guint id, const VmfSlice *bytes)
{
    vmf_channel_data(vmf_pump_channel(owner, id), bytes);
}

static void
vmf_pump_on_end(gpointer owner, guint id)
{
    vmf_channel_end(vmf_pump_channel(owner, id));
}

static void
vmf_pump_on_end_acknowledged(gpointer owner, guint id)
{
    vmf_channel_end_acknowledged(vmf_pump_channel(owner, id));
}

static void
vmf_pump_on_reset(gpointer owner, guint id, const GError *error)
{
    vmf_channel_lost(vmf_pump_channel(owner, id), error);
}

/* Each time another channel is asked first: who is asked first may take all the room. */
static void
vmf_pump_on_room(gpointer owner)
{
    VmfPump *pump = owner;
    guint n = pump->channels->len;

    if (n == 0)
        return;
    pump->next_turn = (pump->next_turn + 1) % n;
    for (guint i = 0; i < n; i++)
        vmf_channel_room(vmf_pump_channel(pump, (pump->next_turn + i) % n + 1));
}

static void
vmf_pump_on_bye(gpointer owner, const GError *error)
{
    VmfPump *pump = owner;
    g_autoptr(GError) stopped = vmf_pump_stopped();

    if (pump->linked) {
        vmf_pump_link_failed(pump, error ? error : stopped);
    } else if (pump->leaving) {
        vmf_pump_end_soon(pump);
    } else if (error) {
        vmf_pump_fail(pump, error);
        if (!pump->leaving)
            vmf_mux_detach(pump->mux);
    } else {
        vmf_pump_leave(pump);
    }
}

static void
vmf_pump_on_broken(gpointer owner, const GError *error)
{
    VmfPump *pump = owner;

    if (pump->linked)
        vmf_pump_link_failed(pump, error);
    else
        vmf_pump_fail(pump, error);
}

static void
vmf_pump_on_closed(gpointer owner)
{
    VmfPump *pump = owner;

    if (pump->leaving)
        vmf_pump_end_soon(pump);
}

const VmfMuxEvents vmf_pump_mux_events = {
    .ready = vmf_pump_on_ready,
    .opened = vmf_pump_on_opened,
    .data = vmf_pump_on_data,
    .end = vmf_pump_on_end,
    .end_acknowledged = vmf_pump_on_end_acknowledged,
    .reset = vmf_pump_on_reset,
    .room = vmf_pump_on_room,
    .bye = vmf_pump_on_bye,
    .broken = vmf_pump_on_broken,
    .closed = vmf_pump_on_closed,
};

void
vmf_pump_attach_link(VmfPump *pump, int fd, gboolean initiator, VmfPumpLinked linked, gpointer data)
{
    const VmfWireSetup setup = {
        .fd = fd, .initiator = initiator, .encrypt = pump->encrypt, .secret = pump->secret};
    g_autoptr(GError) error = NULL;

    if (pump->state != VMF_PUMP_STARTED || pump->linked) {
        close(fd);
        error = g_error_new(VMF_ERROR, VMF_ERROR_FAILED,
                            "a data link cannot be attached to a pump that is %s%s",
                            vmf_pump_state_name(pump), pump->linked ? " and linking" : "");
    } else if (!vmf_pump_check_socket(fd, &error)) {
        close(fd);
    } else if (vmf_mux_attach(pump->mux, &setup, &error)) {
        pump->linked = linked;
        pump->linked_data = data;
        vmf_pump_set_deadline(pump, VMF_PUMP_LINK_WAIT, vmf_pump_link_timed_out);
        return;
    }
    linked(data, error);
}
