/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One vmferry-pump: starting it, talking to it, hearing of its end.
 *
 * vmf_pump_spawn() and the functions marked "blocks" are for worker threads. Signals arrive on the
 * main loop: "channel-wanted" (guint channel, const char *kind), "statistics" (GVariant a{sv}),
 * "lost-links" (GVariant au: data links that broke and are waited for; empty: none any more),
 * "ended" (GError *, NULL when all was delivered), exactly once, also when the process dies. The
 * process goes on when the VmfPump is dropped: a pump outlives its daemon.
 */
#pragma once

#include <gio/gio.h>

#include "daemon/budget.h"
#include "daemon/config.h"
#include "daemon/delta.h"
#include "daemon/process-id.h"
#include "link/agreement.h"
#include "link/ticket.h"

#define VMF_TYPE_PUMP (vmf_pump_get_type())
G_DECLARE_FINAL_TYPE(VmfPump, vmf_pump, VMF, PUMP, GObject)

typedef enum { VMF_PUMP_SOURCE, VMF_PUMP_DESTINATION } VmfPumpSide;

/* What a pump takes of memory by what was agreed on. */
void vmf_pump_get_share(const VmfAgreement *agreement, VmfBudgetShare *ret);

/* `agreement`: whether the link is encrypted, and what the pump is told of. `loadable`: what it
 * holds the stream against, or NULL. Blocks.
 * Errors: PUMP_FAILED. */
VmfPump *vmf_pump_spawn(const VmfConfig *config, const char *id, VmfPumpSide side,
                        const uint8_t secret[VMF_TICKET_SECRET_SIZE], VmfAgreement *agreement,
                        GVariant *loadable, GCancellable *cancellable, GError **error);

/*
 * One that an earlier vmferryd started and that goes on: `process` is it, or, pid 0, that vmferryd
 * had no time to say. NULL without an error: it is gone, and its socket removed. Blocks. Errors:
 * PUMP_FAILED (it does not answer).
 */
VmfPump *vmf_pump_adopt(const VmfConfig *config, const char *id, VmfPumpSide side,
                        const VmfProcessId *process, GCancellable *cancellable, GError **error);

/*
 * What it said before anybody listened: "statistics", "lost-links" and "channel-wanted" are emitted
 * on the main loop, and "ended" if it has. Any thread.
 */
void vmf_pump_tell_again(VmfPump *pump);

/* For who may have to adopt it. */
void vmf_pump_get_process(VmfPump *pump, VmfProcessId *ret);

/* Whether it ever had a data link, as far as it said when it was adopted. */
gboolean vmf_pump_was_linked(VmfPump *pump);

/*
 * Data link `number` (org.vmferry1.Pump), which was dialled with the ticket of that secret. Blocks
 * until both pumps know one another. Errors: as Pump.AttachLink.
 */
gboolean vmf_pump_attach_link(VmfPump *pump, GSocket *link, guint number,
                              const uint8_t secret[VMF_TICKET_SECRET_SIZE],
                              GCancellable *cancellable, GError **error);

/*
 * Likewise one that came in with that ticket, without blocking; `callback` calls
 * vmf_pump_attach_link_finish().
 */
void vmf_pump_attach_link_async(VmfPump *pump, GSocket *link, const VmfTicket *ticket,
                                GAsyncReadyCallback callback, gpointer data);
gboolean vmf_pump_attach_link_finish(VmfPump *pump, GAsyncResult *result, GError **error);

/* Any thread. A connection of QEMU's at the source: becomes the next channel, on that link. */
void vmf_pump_attach_channel(VmfPump *pump, const char *kind, guint link, GSocket *socket);

/* The destination's answer to "channel-wanted". */
void vmf_pump_answer_channel(VmfPump *pump, guint channel, GSocket *socket);
void vmf_pump_refuse_channel(VmfPump *pump, guint channel, const char *reason);

/* Any thread. What it does to QEMU's stream, from here on. */
void vmf_pump_set_delta(VmfPump *pump, const VmfDelta *delta);

/* Any thread. How long it waits for a data link that broke, ms; from now on if it does. */
void vmf_pump_set_patience(VmfPump *pump, guint patience);

/* Any thread. Bytes per second that it sends at most; 0: no bound. */
void vmf_pump_set_bandwidth(VmfPump *pump, guint64 rate);

/* Any thread. Ends it; `why` NULL: in good order. "ended" follows: one that does not obey is
 * killed. */
void vmf_pump_stop(VmfPump *pump, const GError *why);

/* Blocks until "ended", for at most `milliseconds`; FALSE when that passed. */
gboolean vmf_pump_wait_ended(VmfPump *pump, guint milliseconds);

/* Blocks until it has ended: by itself within that time, or it is stopped, as above. */
void vmf_pump_end(VmfPump *pump, guint milliseconds, const GError *why);

gboolean vmf_pump_has_ended(VmfPump *pump);
