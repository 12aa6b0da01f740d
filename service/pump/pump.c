/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gnutls/gnutls.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/timer.h"
#include "pump/pump-private.h"

#define STANDING_STILL 8000 /* ms: less patience has who carries a guest that stands still */

GError *
vmf_pump_stopped(void)
{
    return g_error_new_literal(VMF_ERROR, VMF_ERROR_CANCELLED, "the pump was stopped");
}

void
vmf_pump_set_state(VmfPump *pump, VmfPumpState state)
{
    if (pump->state == state)
        return;
    pump->state = state;
    pump->events->changed(pump->owner);
}

void
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
    VmfMuxFigures figures;

    vmf_timer_clear(&pump->deadline);
    vmf_timer_clear(&pump->figures);
    vmf_pump_end_stall(pump);
    for (guint i = 0; i < VMF_PUMP_LINKS; i++)
        if (pump->links[i])
            vmf_mux_detach(pump->links[i]->mux);
    vmf_pump_get_figures(pump, &figures);
    summary = vmf_statistics_summary(&pump->statistics, &figures);
    vmf_info(vmf_pump_log_id(pump), "%s; %s",
             pump->error ? "ended with a failure" : "all is delivered", summary);
    vmf_pump_set_state(pump, VMF_PUMP_ENDED);
    pump->events->ended(pump->owner, pump->error);
    return G_SOURCE_REMOVE;
}

void
vmf_pump_end_soon(VmfPump *pump)
{
    vmf_timer_clear(&pump->deadline);
    pump->deadline = vmf_timer_new(0, vmf_pump_end, pump);
}

void
vmf_pump_leave(VmfPump *pump)
{
    g_autoptr(GError) stopped = vmf_pump_stopped();
    gboolean attached = FALSE;

    if (pump->leaving)
        return;
    pump->leaving = TRUE;
    vmf_pump_end_stall(pump);
    vmf_pump_set_state(pump, VMF_PUMP_STOPPING);
    for (guint i = 0; i < VMF_PUMP_LINKS; i++) {
        VmfPumpLink *link = pump->links[i];

        if (link && link->linked)
            vmf_pump_link_failed(link, pump->error ? pump->error : stopped);
        if (!link || !vmf_mux_is_attached(link->mux))
            continue;
        attached = TRUE;
        vmf_mux_bye(link->mux, pump->error);
    }
    if (!attached) {
        vmf_pump_end_soon(pump);
        return;
    }
    pump->deadline = vmf_timer_new((pump->error ? VMF_PUMP_LEAVE_WAIT : VMF_PUMP_BYE_WAIT) * 1000,
                                   vmf_pump_end, pump);
}

gboolean
vmf_pump_is_idle(const VmfPump *pump)
{
    return pump->n_over == pump->n_channels;
}

void
vmf_pump_check_over(VmfPump *pump)
{
    /*
     * That all is delivered is the source's to say first. Disks and libvirt may come and go before
     * QEMU's stream, which is what it is all for.
     */
    if (vmf_pump_is_idle(pump) &&
        (pump->error || (pump->side == VMF_SIDE_SOURCE && pump->carries_qemu)))
        vmf_pump_leave(pump);
    else
        vmf_pump_watch_absence(pump);
}

void
vmf_pump_fail(VmfPump *pump, const GError *error)
{
    vmf_pump_note(pump, error);
    vmf_pump_end_stall(pump);
    vmf_pump_each_channel(pump, vmf_channel_lost, error);
    if (vmf_pump_is_idle(pump))
        vmf_pump_leave(pump);
    else
        vmf_pump_set_state(pump, VMF_PUMP_STOPPING);
}

void
vmf_pump_stop(VmfPump *pump, const GError *error)
{
    g_autoptr(GError) why = error ? g_error_copy(error) : vmf_pump_stopped();

    if (error || !vmf_pump_is_idle(pump))
        vmf_pump_note(pump, why);
    vmf_pump_each_channel(pump, vmf_channel_abort, why);
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

    vmf_timer_clear(&pump->absence);
    vmf_pump_stop(pump, error);
    return G_SOURCE_REMOVE;
}

void
vmf_pump_watch_absence(VmfPump *pump)
{
    gboolean forgotten = !pump->attended && vmf_pump_is_idle(pump) && !pump->leaving;

    if (!forgotten)
        vmf_timer_clear(&pump->absence);
    else if (!pump->absence)
        pump->absence = vmf_timer_new(VMF_PUMP_UNATTENDED * 1000, vmf_pump_is_forgotten, pump);
}

void
vmf_pump_set_attended(VmfPump *pump, gboolean attended)
{
    pump->attended = attended;
    vmf_pump_watch_absence(pump);
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
    vmf_timer_clear(&pump->deadline);
    vmf_timer_clear(&pump->absence);
    vmf_timer_clear(&pump->figures);
    vmf_pump_end_stall(pump);
    g_ptr_array_unref(pump->channels);
    for (guint i = 0; i < VMF_PUMP_LINKS; i++)
        g_clear_pointer(&pump->links[i], vmf_pump_link_free);
    vmf_chunk_pool_free(pump->pool);
    gnutls_memset(pump->secret, 0, sizeof pump->secret);
    vmf_loadable_free(pump->options.loadable);
    g_clear_error(&pump->error);
    g_free(pump->id);
    g_free(pump);
}

/*
 * Whether a limit on this process leaves it what it may need at most; asked before anything moves.
 * The memory is not touched, and given back.
 */
static gboolean
vmf_pump_check_memory(const VmfPumpOptions *options, GError **error)
{
    gsize kept = options->kept ? (gsize)options->kept : VMF_KEPT_MAX;
    gsize most = kept + MIN(kept, VMF_CREDIT_POOL);
    g_autofree void *all = g_try_malloc(most);

    if (all)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_LIMIT_REACHED,
                "no memory for buffers: the pump may need %" G_GSIZE_FORMAT
                " MiB, and a limit of this host does not allow it so much",
                most / (1024 * 1024));
    return FALSE;
}

gboolean
vmf_pump_start(VmfPump *pump, const char *id, const char *side, const uint8_t *secret,
               gsize secret_length, gboolean encrypt, GVariant *options, GError **error)
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
    if (!vmf_pump_options_parse(options, &pump->options, error) ||
        !vmf_pump_check_memory(&pump->options, error))
        return FALSE;
    g_free(pump->id);
    pump->id = g_strdup(id);
    pump->side = source ? VMF_SIDE_SOURCE : VMF_SIDE_DESTINATION;
    memcpy(pump->secret, secret, secret_length);
    pump->encrypt = encrypt;
    pump->links[0] = vmf_pump_link_new(pump, 0);
    vmf_pump_set_state(pump, VMF_PUMP_STARTED);
    return TRUE;
}

/* ---- what is changed on the way ---- */

static void
vmf_pump_apply_settings(VmfPump *pump)
{
    if (pump->main)
        vmf_stages_set(pump->main, &pump->options.settings);
}

void
vmf_pump_set_cache(VmfPump *pump, guint64 size)
{
    pump->options.settings.cache = size;
    vmf_pump_apply_settings(pump);
}

void
vmf_pump_set_delta(VmfPump *pump, gboolean delta)
{
    pump->options.settings.delta = delta;
    vmf_pump_apply_settings(pump);
}

void
vmf_pump_set_zstd(VmfPump *pump, int level, guint expected)
{
    pump->options.settings.zstd = CLAMP(level, VMF_PACK_AUTO, VMF_PACK_LEVEL_MAX);
    pump->options.settings.expected = expected;
    vmf_pump_apply_settings(pump);
}

void
vmf_pump_set_patience(VmfPump *pump, guint patience)
{
    if (pump->options.patience == 0 || patience == 0)
        return;
    pump->options.patience = patience;
    for (guint i = 0; i < VMF_PUMP_LINKS; i++)
        if (pump->links[i])
            vmf_mux_set_urgent(pump->links[i]->mux, patience < STANDING_STILL);
    if (pump->stall)
        vmf_pump_wait_again(pump);
}

void
vmf_pump_set_bandwidth(VmfPump *pump, guint64 rate)
{
    vmf_pace_set_rate(&pump->pace, rate, g_get_monotonic_time());
    if (pump->links[0]) /* wakes up the channels of all */
        vmf_mux_pace_changed(pump->links[0]->mux);
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
    static const char *const names[] = {"waiting", "started",  "linked",
                                        "stalled", "stopping", "stopping"};

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

        if (channel && id <= pump->n_wanted && vmf_channel_is_wanted(channel))
            g_variant_builder_add(&builder, "(us)", id,
                                  vmf_channel_kind_name(vmf_channel_kind(channel)));
    }
    return g_variant_builder_end(&builder);
}

GVariant *
vmf_pump_statistics(const VmfPump *pump)
{
    VmfStagesFigures stages = {0};
    VmfMuxFigures figures;

    vmf_pump_get_figures(pump, &figures);
    if (pump->main)
        vmf_stages_get_figures(pump->main, &stages);
    if (pump->untouched)
        g_strlcpy(stages.why, pump->untouched, sizeof stages.why);
    return vmf_statistics_variant(&pump->statistics, &figures, pump->pool,
                                  pump->n_channels - pump->n_over, &stages);
}
