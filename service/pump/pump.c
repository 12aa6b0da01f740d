/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pump/pump.h"

#include <gnutls/gnutls.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "pump/channel.h"
#include "pump/statistics.h"

#define FIGURES_INTERVAL 250 /* ms */

struct VmfPump {
    const VmfPumpEvents *events;
    gpointer owner;
    VmfPumpState state;
    char *id;
    VmfSide side;
    uint8_t secret[VMF_TICKET_SECRET_SIZE];
    gboolean encrypt;

    VmfChunkPool *pool;
    VmfMux *mux;         /* from Start on */
    GPtrArray *channels; /* of VmfChannel; [id - 1] */
    guint n_over;
    guint next_turn; /* the channel that is offered room first */
    VmfStatistics statistics;

    VmfPumpLinked linked; /* while a link is being attached */
    gpointer linked_data;

    GError *error;     /* the first failure */
    gboolean leaving;  /* BYE is said, or needs not be */
    gboolean attended; /* by a daemon */
    GSource *deadline; /* for the link, then for the other side's goodbye */
    GSource *absence;  /* of a daemon */
    GSource *figures;  /* while bytes move */
    gint64 told;       /* of the last byte that the figures told of; monotonic µs */
};

static void vmf_pump_watch_absence(VmfPump *pump);

/* What an orderly end means for those who are in the middle of something. */
static GError *
vmf_pump_stopped(void)
{
    return g_error_new_literal(VMF_ERROR, VMF_ERROR_CANCELLED, "the pump was stopped");
}

static VmfChannel *
vmf_pump_channel(const VmfPump *pump, guint id)
{
    return id >= 1 && id <= pump->channels->len ? pump->channels->pdata[id - 1] : NULL;
}

static void
vmf_pump_clear_source(GSource **source)
{
    if (*source)
        g_source_destroy(*source);
    g_clear_pointer(source, g_source_unref);
}

static GSource *
vmf_pump_timer(VmfPump *pump, guint ms, GSourceFunc func)
{
    g_autoptr(GMainContext) context = g_main_context_ref_thread_default();
    GSource *source = g_timeout_source_new(ms);

    g_source_set_callback(source, func, pump, NULL);
    g_source_attach(source, context);
    return source;
}

/* There is one thing at a time that must not take forever. */
static void
vmf_pump_set_deadline(VmfPump *pump, guint seconds, GSourceFunc func)
{
    vmf_pump_clear_source(&pump->deadline);
    pump->deadline = vmf_pump_timer(pump, seconds * 1000, func);
}

static void
vmf_pump_set_state(VmfPump *pump, VmfPumpState state)
{
    if (pump->state == state)
        return;
    pump->state = state;
    pump->events->changed(pump->owner);
}

static void
vmf_pump_note(VmfPump *pump, const GError *error)
{
    if (!pump->error)
        pump->error = g_error_copy(error);
}

/* ---- the end ---- */

static gboolean
vmf_pump_end(gpointer data)
{
    VmfPump *pump = data;
    g_autofree char *summary = NULL;

    vmf_pump_clear_source(&pump->deadline);
    vmf_pump_clear_source(&pump->figures);
    if (pump->mux)
        vmf_mux_detach(pump->mux);
    summary = vmf_statistics_summary(&pump->statistics, pump->mux);
    vmf_info(vmf_pump_log_id(pump), "%s; %s",
             pump->error ? "ended with a failure" : "all is delivered", summary);
    vmf_pump_set_state(pump, VMF_PUMP_ENDED);
    pump->events->ended(pump->owner, pump->error);
    return G_SOURCE_REMOVE;
}

/* Ends from the main loop, when nothing of the pump is on the stack. */
static void
vmf_pump_end_soon(VmfPump *pump)
{
    vmf_pump_clear_source(&pump->deadline);
    pump->deadline = vmf_pump_timer(pump, 0, vmf_pump_end);
}

/* Says goodbye, and gives the other side time to hear it. */
static void
vmf_pump_leave(VmfPump *pump)
{
    if (pump->leaving)
        return;
    pump->leaving = TRUE;
    vmf_pump_set_state(pump, VMF_PUMP_STOPPING);
    if (!pump->mux || !vmf_mux_is_attached(pump->mux)) {
        vmf_pump_end_soon(pump);
        return;
    }
    vmf_mux_bye(pump->mux, pump->error);
    vmf_pump_set_deadline(pump, VMF_PUMP_BYE_WAIT, vmf_pump_end);
}

static gboolean
vmf_pump_is_idle(const VmfPump *pump)
{
    return pump->n_over == pump->channels->len;
}

/* A channel is over: maybe that was the last one. */
static void
vmf_pump_check_over(VmfPump *pump)
{
    /* that all is delivered is the source's to say first: it knows whether more channels come */
    if (vmf_pump_is_idle(pump) && (pump->error || pump->side == VMF_SIDE_SOURCE))
        vmf_pump_leave(pump);
    else
        vmf_pump_watch_absence(pump);
}

/* The link or the other side is lost: so is every channel, and the end comes when all let go. */
static void
vmf_pump_fail(VmfPump *pump, const GError *error)
{
    vmf_pump_note(pump, error);
    for (guint id = 1; id <= pump->channels->len; id++)
        vmf_channel_lost(vmf_pump_channel(pump, id), error);
    if (vmf_pump_is_idle(pump))
        vmf_pump_leave(pump);
    else
        vmf_pump_set_state(pump, VMF_PUMP_STOPPING);
}

static void
vmf_pump_answer_link(VmfPump *pump, const GError *error)
{
    VmfPumpLinked linked = g_steal_pointer(&pump->linked);

    vmf_pump_clear_source(&pump->deadline);
    linked(pump->linked_data, error);
}

/* The link that is being attached came to nothing; another may be tried. */
static void
vmf_pump_link_failed(VmfPump *pump, const GError *error)
{
    vmf_mux_detach(pump->mux);
    vmf_pump_answer_link(pump, error);
}

void
vmf_pump_stop(VmfPump *pump, const GError *error)
{
    g_autoptr(GError) why = error ? g_error_copy(error) : vmf_pump_stopped();

    if (pump->linked)
        vmf_pump_link_failed(pump, why);
    if (error || !vmf_pump_is_idle(pump))
        vmf_pump_note(pump, why);
    for (guint id = 1; id <= pump->channels->len; id++)
        vmf_channel_abort(vmf_pump_channel(pump, id), why);
    vmf_pump_leave(pump);
}

/* ---- nobody there ---- */

static gboolean
vmf_pump_is_forgotten(gpointer data)
{
    VmfPump *pump = data;
    g_autoptr(GError) error =
        g_error_new(VMF_ERROR, VMF_ERROR_TIMED_OUT,
                    "no daemon was connected and no channel open for %d s", VMF_PUMP_UNATTENDED);

    vmf_pump_clear_source(&pump->absence);
    vmf_pump_stop(pump, error);
    return G_SOURCE_REMOVE;
}

static void
vmf_pump_watch_absence(VmfPump *pump)
{
    gboolean forgotten = !pump->attended && vmf_pump_is_idle(pump) && !pump->leaving;

    if (!forgotten)
        vmf_pump_clear_source(&pump->absence);
    else if (!pump->absence)
        pump->absence = vmf_pump_timer(pump, VMF_PUMP_UNATTENDED * 1000, vmf_pump_is_forgotten);
}

void
vmf_pump_set_attended(VmfPump *pump, gboolean attended)
{
    pump->attended = attended;
    vmf_pump_watch_absence(pump);
}

/* ---- channels ---- */

static gboolean
vmf_pump_tell_figures(gpointer data)
{
    VmfPump *pump = data;

    pump->events->figures(pump->owner);
    if (pump->statistics.last == pump->told)
        vmf_pump_clear_source(&pump->figures);
    pump->told = pump->statistics.last;
    return G_SOURCE_CONTINUE;
}

static void
vmf_pump_on_moved(gpointer owner, gsize from_socket, gsize to_socket)
{
    VmfPump *pump = owner;

    vmf_statistics_moved(&pump->statistics, from_socket, to_socket);
    if (!pump->figures)
        pump->figures = vmf_pump_timer(pump, FIGURES_INTERVAL, vmf_pump_tell_figures);
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

static const VmfChannelEvents vmf_pump_channel_events = {
    .moved = vmf_pump_on_moved,
    .over = vmf_pump_on_over,
};

static VmfChannel *
vmf_pump_add_channel(VmfPump *pump, guint id, VmfChannelKind kind)
{
    const VmfChannelSetup setup = {
        .id = id, .kind = kind, .side = pump->side, .mux = pump->mux, .pool = pump->pool};
    VmfChannel *channel = vmf_channel_new(&setup, &vmf_pump_channel_events, pump);

    g_ptr_array_add(pump->channels, channel);
    vmf_pump_watch_absence(pump);
    return channel;
}

static gboolean
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
vmf_pump_attach_channel(VmfPump *pump, const char *kind_name, int fd, GError **error)
{
    VmfChannelKind kind = vmf_channel_kind_from_name(kind_name);
    guint id = 0;

    if (pump->side != VMF_SIDE_SOURCE || !kind)
        g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                    "a channel of kind \"%s\" cannot be attached at this side: expected \"qemu\", "
                    "\"nbd\" or \"libvirt\" at the source",
                    kind_name);
    else if (vmf_pump_check_socket(fd, error))
        id = vmf_mux_open(pump->mux, kind, error);
    if (id == 0)
        close(fd);
    else
        vmf_channel_attach(vmf_pump_add_channel(pump, id, kind), fd);
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

/* ---- the link ---- */

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

/* ---- the beginning ---- */

VmfPump *
vmf_pump_new(const VmfPumpEvents *events, gpointer owner)
{
    VmfPump *pump = g_new0(VmfPump, 1);

    pump->events = events;
    pump->owner = owner;
    pump->id = g_strdup("");
    pump->pool = vmf_chunk_pool_new();
    pump->channels = g_ptr_array_new_with_free_func((GDestroyNotify)vmf_channel_free);
    vmf_pump_watch_absence(pump);
    return pump;
}

void
vmf_pump_free(VmfPump *pump)
{
    vmf_pump_clear_source(&pump->deadline);
    vmf_pump_clear_source(&pump->absence);
    vmf_pump_clear_source(&pump->figures);
    g_ptr_array_unref(pump->channels);
    g_clear_pointer(&pump->mux, vmf_mux_free);
    vmf_chunk_pool_free(pump->pool);
    gnutls_memset(pump->secret, 0, sizeof pump->secret);
    g_clear_error(&pump->error);
    g_free(pump->id);
    g_free(pump);
}

gboolean
vmf_pump_start(VmfPump *pump, const char *id, const char *side, const uint8_t *secret,
               gsize secret_length, gboolean encrypt, GError **error)
{
    gboolean source = g_str_equal(side, "source");

    if (pump->state != VMF_PUMP_WAITING) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_FAILED, "this pump was started before, for %s",
                    pump->id);
        return FALSE;
    }
    if ((!source && !g_str_equal(side, "destination")) || *id == '\0' ||
        secret_length != VMF_TICKET_SECRET_SIZE) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_INVALID_ARGUMENT,
                    "a pump starts with an id, \"source\" or \"destination\", and a secret of %d "
                    "bytes",
                    VMF_TICKET_SECRET_SIZE);
        return FALSE;
    }
    g_free(pump->id);
    pump->id = g_strdup(id);
    pump->side = source ? VMF_SIDE_SOURCE : VMF_SIDE_DESTINATION;
    memcpy(pump->secret, secret, secret_length);
    pump->encrypt = encrypt;
    pump->mux = vmf_mux_new(pump->side, pump->pool, &vmf_pump_mux_events, pump);
    vmf_pump_set_state(pump, VMF_PUMP_STARTED);
    return TRUE;
}

/* ---- what is seen ---- */

VmfPumpState
vmf_pump_state(const VmfPump *pump)
{
    return pump->state;
}

const char *
vmf_pump_state_name(const VmfPump *pump)
{
    static const char *const names[] = {"waiting", "started", "linked", "stopping", "stopping"};

    return names[pump->state];
}

const char *
vmf_pump_id(const VmfPump *pump)
{
    return pump->id;
}

const char *
vmf_pump_log_id(const VmfPump *pump)
{
    return *pump->id ? pump->id : NULL;
}

const char *
vmf_pump_side(const VmfPump *pump)
{
    return pump->side == VMF_SIDE_SOURCE        ? "source"
           : pump->side == VMF_SIDE_DESTINATION ? "destination"
                                                : "";
}

GVariant *
vmf_pump_wanted(const VmfPump *pump)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a(us)"));
    for (guint id = 1; id <= pump->channels->len; id++) {
        const VmfChannel *channel = vmf_pump_channel(pump, id);

        if (vmf_channel_is_wanted(channel))
            g_variant_builder_add(&builder, "(us)", id,
                                  vmf_channel_kind_name(vmf_channel_kind(channel)));
    }
    return g_variant_builder_end(&builder);
}

GVariant *
vmf_pump_statistics(const VmfPump *pump)
{
    return vmf_statistics_variant(&pump->statistics, pump->mux, pump->pool,
                                  pump->channels->len - pump->n_over);
}
