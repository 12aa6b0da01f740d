/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A pump's links: how one is attached, and what comes of it. */
#include <gnutls/gnutls.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/timer.h"
#include "pump/pump-private.h"

#define FURTHER_KEPT (4 * 1024 * 1024) /* bytes; among what every pump takes */

static void
vmf_pump_answer_link(VmfPumpLink *link, const GError *error)
{
    VmfPumpLinked linked = g_steal_pointer(&link->linked);

    vmf_timer_clear(&link->deadline);
    linked(link->linked_data, error);
}

void
vmf_pump_link_failed(VmfPumpLink *link, const GError *error)
{
    vmf_mux_detach(link->mux);
    vmf_pump_answer_link(link, error);
}

static gboolean
vmf_pump_link_timed_out(gpointer data)
{
    VmfPumpLink *link = data;
    g_autoptr(GError) error =
        g_error_new(VMF_ERROR, VMF_ERROR_TIMED_OUT,
                    "the other pump did not finish the handshake within %d s", VMF_PUMP_LINK_WAIT);

    vmf_pump_link_failed(link, error);
    return G_SOURCE_REMOVE;
}

/* ---- a link that broke, and is waited for ---- */

void
vmf_pump_end_stall(VmfPump *pump)
{
    vmf_timer_clear(&pump->stall);
    g_clear_error(&pump->stall_why);
}

static gboolean
vmf_pump_stall_is_over(gpointer data)
{
    VmfPump *pump = data;
    g_autoptr(GError) error =
        g_error_new(VMF_ERROR, VMF_ERROR_LINK_BROKEN, "%s; it did not come back within %g s",
                    pump->stall_why->message, pump->options.patience / 1000.0);

    vmf_pump_end_stall(pump);
    vmf_pump_fail(pump, error);
    return G_SOURCE_REMOVE;
}

void
vmf_pump_wait_again(VmfPump *pump)
{
    vmf_timer_clear(&pump->stall);
    pump->stall = vmf_timer_new(pump->options.patience, vmf_pump_stall_is_over, pump);
}

static void
vmf_pump_on_lost(gpointer owner, const GError *error)
{
    VmfPumpLink *link = owner;
    VmfPump *pump = link->pump;

    if (link->linked) { /* in the middle of coming back */
        vmf_pump_link_failed(link, error);
        return;
    }
    if (pump->leaving || pump->error) {
        vmf_pump_fail(pump, error);
        return;
    }
    vmf_warn(vmf_pump_log_id(pump), "%s; data link %u is waited for", error->message, link->number);
    link->lost = TRUE;
    if (!pump->stall) {
        pump->stall_why = g_error_copy(error);
        vmf_pump_wait_again(pump);
    }
    vmf_pump_set_state(pump, VMF_PUMP_STALLED);
    pump->events->changed(pump->owner);
}

/* All links are there. */
static gboolean
vmf_pump_has_links(const VmfPump *pump)
{
    for (guint i = 0; i < VMF_PUMP_LINKS; i++)
        if (pump->links[i] && pump->links[i]->lost)
            return FALSE;
    return TRUE;
}

static void
vmf_pump_on_ready(gpointer owner)
{
    VmfPumpLink *link = owner;
    VmfPump *pump = link->pump;

    if (link->lost)
        vmf_info(vmf_pump_log_id(pump), "data link %u is back", link->number);
    link->lost = FALSE;
    if (vmf_pump_has_links(pump) && (link->number == 0 || pump->state == VMF_PUMP_STALLED)) {
        vmf_pump_end_stall(pump);
        vmf_pump_set_state(pump, VMF_PUMP_LINKED);
    }
    vmf_pump_answer_link(link, NULL);
}

GVariant *
vmf_pump_lost_links(const VmfPump *pump)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("au"));
    for (guint i = 0; i < VMF_PUMP_LINKS; i++)
        if (pump->links[i] && pump->links[i]->lost)
            g_variant_builder_add(&builder, "u", i);
    return g_variant_builder_end(&builder);
}

/* ---- what a link says ---- */

/*
 * The daemon hears of channels in order of their numbers: with several links, one may overtake the
 * one that QEMU expects before it.
 */
static void
vmf_pump_tell_wanted(VmfPump *pump)
{
    const VmfChannel *channel;

    while ((channel = vmf_pump_channel(pump, pump->n_wanted + 1))) {
        pump->n_wanted++;
        pump->events->changed(pump->owner);
        pump->events->wanted(pump->owner, pump->n_wanted, vmf_channel_kind(channel));
    }
}

static gboolean
vmf_pump_on_opened(gpointer owner, guint id, VmfChannelKind kind, GError **error)
{
    VmfPumpLink *link = owner;

    if (vmf_pump_channel(link->pump, id)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                    "an OPEN of channel %u, which another link has", id);
        return FALSE;
    }
    (void)vmf_pump_add_channel(link->pump, id, kind, link->mux);
    vmf_pump_tell_wanted(link->pump);
    return TRUE;
}

/* The mux has judged the number. */
static VmfChannel *
vmf_pump_link_channel(gpointer owner, guint id)
{
    return vmf_pump_channel(((VmfPumpLink *)owner)->pump, id);
}

static void
vmf_pump_on_data(gpointer owner, guint id, const VmfSlice *bytes, gboolean packed)
{
    vmf_channel_data(vmf_pump_link_channel(owner, id), bytes, packed);
}

static void
vmf_pump_on_end(gpointer owner, guint id)
{
    vmf_channel_end(vmf_pump_link_channel(owner, id));
}

static void
vmf_pump_on_end_acknowledged(gpointer owner, guint id)
{
    vmf_channel_end_acknowledged(vmf_pump_link_channel(owner, id));
}

static void
vmf_pump_on_reset(gpointer owner, guint id, const GError *error)
{
    vmf_channel_lost(vmf_pump_link_channel(owner, id), error);
}

/* Each time another channel is asked first: who is asked first may take all the room. */
static void
vmf_pump_on_room(gpointer owner)
{
    VmfPump *pump = ((VmfPumpLink *)owner)->pump;
    guint n = pump->channels->len;

    if (n == 0)
        return;
    pump->next_turn = (pump->next_turn + 1) % n;
    for (guint i = 0; i < n; i++) {
        VmfChannel *channel = vmf_pump_channel(pump, (pump->next_turn + i) % n + 1);

        if (channel)
            vmf_channel_room(channel);
    }
}

/* While leaving: over when nothing more is to come from any link. */
static void
vmf_pump_settle(VmfPumpLink *link)
{
    VmfPump *pump = link->pump;

    link->settled = TRUE;
    for (guint i = 0; i < VMF_PUMP_LINKS; i++)
        if (pump->links[i] && vmf_mux_is_attached(pump->links[i]->mux) && !pump->links[i]->settled)
            return;
    vmf_pump_end_soon(pump);
}

/* The source says so over all its links; who answers one has ended them all. */
static void
vmf_pump_check_bye(VmfPump *pump)
{
    for (guint i = 0; i < VMF_PUMP_LINKS; i++)
        if (pump->links[i] && vmf_mux_is_attached(pump->links[i]->mux) && !pump->links[i]->bye)
            return;
    vmf_pump_leave(pump);
}

static void
vmf_pump_on_bye(gpointer owner, const GError *error)
{
    VmfPumpLink *link = owner;
    VmfPump *pump = link->pump;
    g_autoptr(GError) stopped = vmf_pump_stopped();

    if (link->linked) {
        vmf_pump_link_failed(link, error ? error : stopped);
    } else if (pump->leaving) {
        vmf_pump_settle(link);
    } else if (error) {
        vmf_pump_fail(pump, error);
        if (!pump->leaving)
            vmf_mux_detach(link->mux);
    } else {
        link->bye = TRUE;
        vmf_pump_check_bye(pump);
    }
}

static void
vmf_pump_on_broken(gpointer owner, const GError *error)
{
    VmfPumpLink *link = owner;

    if (link->linked)
        vmf_pump_link_failed(link, error);
    else
        vmf_pump_fail(link->pump, error);
}

static void
vmf_pump_on_closed(gpointer owner)
{
    VmfPumpLink *link = owner;

    if (link->pump->leaving)
        vmf_pump_settle(link);
}

static const VmfMuxEvents vmf_pump_mux_events = {
    .ready = vmf_pump_on_ready,
    .opened = vmf_pump_on_opened,
    .data = vmf_pump_on_data,
    .end = vmf_pump_on_end,
    .end_acknowledged = vmf_pump_on_end_acknowledged,
    .reset = vmf_pump_on_reset,
    .room = vmf_pump_on_room,
    .bye = vmf_pump_on_bye,
    .broken = vmf_pump_on_broken,
    .lost = vmf_pump_on_lost,
    .closed = vmf_pump_on_closed,
};

/* What goes over a further link is waited for, and little. */
static gsize
vmf_pump_link_kept(const VmfPump *pump, guint number)
{
    gsize all = pump->options.kept ? (gsize)pump->options.kept : VMF_KEPT_MAX;

    return number == 0 ? all : MIN(all, FURTHER_KEPT);
}

VmfPumpLink *
vmf_pump_link_new(VmfPump *pump, guint number)
{
    const VmfMuxSetup setup = {
        .side = pump->side,
        .pool = pump->pool,
        .pace = &pump->pace,
        .hurry = number > 0,
        .kept_max = vmf_pump_link_kept(pump, number),
        .resumable = pump->options.patience > 0,
    };
    VmfPumpLink *link = g_new0(VmfPumpLink, 1);

    link->pump = pump;
    link->number = number;
    link->mux = vmf_mux_new(&setup, &vmf_pump_mux_events, link);
    if (pump->side == VMF_SIDE_DESTINATION && pump->options.stages.packer.window_log > 0)
        vmf_mux_allow_packed(link->mux);
    return link;
}

void
vmf_pump_link_free(VmfPumpLink *link)
{
    vmf_timer_clear(&link->deadline);
    vmf_mux_free(link->mux);
    gnutls_memset(link->secret, 0, sizeof link->secret);
    g_free(link);
}

void
vmf_pump_get_figures(const VmfPump *pump, VmfMuxFigures *ret)
{
    *ret = (VmfMuxFigures){0};
    for (guint i = 0; i < VMF_PUMP_LINKS; i++) {
        VmfMuxFigures one;

        if (!pump->links[i])
            continue;
        vmf_mux_get_figures(pump->links[i]->mux, &one);
        ret->links += one.links;
        ret->wire_out += one.wire_out;
        ret->wire_in += one.wire_in;
        ret->taken += one.taken;
        ret->kept += one.kept;
        ret->rate += one.rate;
        ret->rtt = i == 0 ? one.rtt : ret->rtt;
        ret->in_flight += one.in_flight;
        ret->limit += one.limit;
    }
}

static const uint8_t *
vmf_pump_attach_secret(const VmfPump *pump, const VmfPumpAttach *attach)
{
    return attach->secret ? attach->secret : pump->secret;
}

/*
 * A link that was there can only be lost; but who listens may not know of that yet. Then it has to
 * be another ticket: whoever replays the one that was used must not cut what goes well.
 */
static gboolean
vmf_pump_link_may_attach(const VmfPump *pump, const VmfPumpLink *link, const VmfPumpAttach *attach)
{
    if (link && link->linked)
        return FALSE;
    if (link && vmf_mux_can_resume(link->mux))
        return !pump->leaving && !pump->error &&
               (link->lost || (!attach->initiator &&
                               gnutls_memcmp(link->secret, vmf_pump_attach_secret(pump, attach),
                                             sizeof link->secret) != 0));
    return pump->state == (attach->number == 0 ? VMF_PUMP_STARTED : VMF_PUMP_LINKED) &&
           !(link && vmf_mux_is_attached(link->mux));
}

/* The link to attach to, made if it is new; NULL with the error if it cannot be now. */
static VmfPumpLink *
vmf_pump_find_link(VmfPump *pump, const VmfPumpAttach *attach, GError **error)
{
    guint number = attach->number;
    VmfPumpLink *link = number < VMF_PUMP_LINKS ? pump->links[number] : NULL;

    if (number >= VMF_PUMP_LINKS || !vmf_pump_link_may_attach(pump, link, attach)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_FAILED,
                    "data link %u cannot be attached to a pump that is %s%s", number,
                    vmf_pump_state_name(pump), link && link->linked ? " and linking" : "");
        return NULL;
    }
    if (!link)
        link = pump->links[number] = vmf_pump_link_new(pump, number);
    return link;
}

/* The other side has given up a connection that this one believes in. */
static void
vmf_pump_give_up_link(VmfPumpLink *link)
{
    g_autoptr(GError) why = g_error_new_literal(VMF_ERROR, VMF_ERROR_LINK_BROKEN,
                                                "the other side took the data link for broken");

    if (!vmf_mux_is_attached(link->mux))
        return;
    vmf_mux_detach(link->mux);
    vmf_pump_on_lost(link, why);
}

void
vmf_pump_attach_link(VmfPump *pump, const VmfPumpAttach *attach, VmfPumpLinked linked,
                     gpointer data)
{
    const VmfWireSetup setup = {.fd = attach->fd,
                                .initiator = attach->initiator,
                                .encrypt = pump->encrypt,
                                .secret = vmf_pump_attach_secret(pump, attach),
                                .sums = pump->options.checksums};
    g_autoptr(GError) error = NULL;
    VmfPumpLink *link = vmf_pump_find_link(pump, attach, &error);

    if (!link || !vmf_pump_check_socket(attach->fd, &error)) {
        close(attach->fd);
        linked(data, error);
        return;
    }
    vmf_pump_give_up_link(link);
    if (vmf_mux_attach(link->mux, &setup, &error)) {
        memcpy(link->secret, setup.secret, sizeof link->secret);
        link->linked = linked;
        link->linked_data = data;
        link->deadline = vmf_timer_new(VMF_PUMP_LINK_WAIT * 1000, vmf_pump_link_timed_out, link);
        return;
    }
    linked(data, error);
}
