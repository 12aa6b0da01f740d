/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A migration as the bus shows it, on either side: org.vmferry1.Migration.
 *
 * What drives it is VmfOutgoing on the source and VmfIncoming on the destination. The setters may
 * be called from any thread; signals are emitted on the main loop: "cancel" and "postcopy"
 * (somebody asked for it), "bandwidth", "delta" and "downtime" (they are others), "job" (VmfJob *)
 * and "statistics" (GVariant *) as they were noted, "state" (it is another, but not final), "kept"
 * (on any thread: there is more to be kept), and "finished" (a final state, once). State goes
 * preparing -> running -> switching -> [postcopy] -> completed|failed|cancelled, never back; what
 * comes after a final state is ignored.
 */
#pragma once

#include <gio/gio.h>

#include "daemon/delta.h"
#include "daemon/libvirt.h"

#define VMF_TYPE_MIGRATION (vmf_migration_get_type())
G_DECLARE_FINAL_TYPE(VmfMigration, vmf_migration, VMF, MIGRATION, GObject)

#define VMF_MIGRATION_PATH "/org/vmferry1/migration/"

typedef enum {
    VMF_STATE_PREPARING,
    VMF_STATE_RUNNING,
    VMF_STATE_SWITCHING,
    VMF_STATE_POSTCOPY,
    VMF_STATE_COMPLETED,
    VMF_STATE_FAILED,
    VMF_STATE_CANCELLED,
} VmfState;

typedef struct {
    const char *id; /* see vmf_migration_id_is_valid() */
    const char *domain;
    const char *uuid;
    const char *peer;
    const char *engine; /* NULL: "pump" */
    const char *origin; /* NULL: "vmferry" */
    gboolean outgoing;
    gboolean encrypted;
    gboolean postcopy; /* may be switched to it */
    guint bandwidth;   /* MiB/s; 0: no bound */
    guint downtime;    /* ms that are allowed */
    VmfDelta delta;
} VmfMigrationInit;

VmfMigration *vmf_migration_new(const VmfMigrationInit *init);

/* ---- what the next vmferryd is to know of it (record.h); any thread ---- */

/* A section besides the properties, a{sv}, taken if floating; emits "kept". */
void vmf_migration_keep(VmfMigration *migration, const char *section, GVariant *values);

/* All: properties, in section "Migration", and what was kept; a{sa{sv}}, floating. */
GVariant *vmf_migration_save(VmfMigration *migration);

/*
 * As it was when that was saved: still running, with its figures, and what was kept.
 * Error: INVALID_ARGUMENT, with what is wrong.
 */
VmfMigration *vmf_migration_restore(GVariant *sections, GError **error);

/* ---- ---- */

/* 8 to 36 characters of [0-9a-f-]: it becomes part of object and socket paths. */
gboolean vmf_migration_id_is_valid(const char *id);

const char *vmf_migration_get_id(VmfMigration *migration);
const char *vmf_migration_get_domain(VmfMigration *migration);
const char *vmf_migration_get_uuid(VmfMigration *migration);
const char *vmf_migration_get_peer(VmfMigration *migration);
gboolean vmf_migration_is_outgoing(VmfMigration *migration);

/* µs since the epoch. Any thread. */
gint64 vmf_migration_get_started(VmfMigration *migration);

/* As Migration.Origin; borrowed. Main loop. */
const char *vmf_migration_get_origin(VmfMigration *migration);

/* Its origin is "vmferry": libvirt was asked by the source's vmferryd. */
gboolean vmf_migration_is_led_by_us(VmfMigration *migration);

VmfState vmf_migration_get_state(VmfMigration *migration);
gboolean vmf_migration_is_finished(VmfMigration *migration);

/* Bytes of memory that the guest has; 0: not known yet. Any thread. */
void vmf_migration_note_memory(VmfMigration *migration, guint64 memory);
guint64 vmf_migration_get_memory(VmfMigration *migration);

/* For the object manager; object path VMF_MIGRATION_PATH + id. */
GDBusObjectSkeleton *vmf_migration_get_object(VmfMigration *migration);

/* What carries it, as Migration.Engine has it; the caller's. Any thread. */
char *vmf_migration_dup_engine(VmfMigration *migration);

/* What carries it, why, and whether that is encrypted. */
void vmf_migration_set_engine(VmfMigration *migration, const char *engine, const char *reason,
                              gboolean encrypted);

/* Not for final states. */
void vmf_migration_set_state(VmfMigration *migration, VmfState state);

/* The data link broke and is waited for, or is back: the state is shown as "stalled" meanwhile. */
void vmf_migration_set_stalled(VmfMigration *migration, gboolean stalled);
gboolean vmf_migration_is_stalled(VmfMigration *migration);

/* While it is stalled: another attempt to bring the link back. */
void vmf_migration_note_try(VmfMigration *migration);

/* What the check before the move found: "aa{sv}", taken if floating. */
void vmf_migration_set_findings(VmfMigration *migration, GVariant *findings);

/* Final: `error` NULL is completed, VMF_ERROR_CANCELLED is cancelled, others are failed. */
void vmf_migration_finish(VmfMigration *migration, const GError *error);

/* What the pump counts at `now`, monotonic µs: a{sv} as in org.vmferry1.Pump, Statistics. */
void vmf_migration_note_statistics(VmfMigration *migration, GVariant *statistics, gint64 now);

/* What libvirt tells of the job; main loop. */
void vmf_migration_note_job(VmfMigration *migration, const VmfJob *job);

/*
 * Blocks until libvirt has told the job's last figures (Downtime), for at most `milliseconds`: they
 * come by another way than the end itself. Not on the main loop.
 */
void vmf_migration_wait_figures(VmfMigration *migration, guint milliseconds);
void vmf_migration_note_iteration(VmfMigration *migration, guint iteration);

/* QEMU's pass; 0: none has begun, as far as is known. Any thread. */
guint vmf_migration_get_iteration(VmfMigration *migration);

/*
 * Cache of pages: bytes it has and may have (0: not known), and share of misses (< 0: as it was).
 */
void vmf_migration_note_cache(VmfMigration *migration, guint64 size, guint64 limit, double misses);

/* The policy's own progress, and seconds left or a negative number; instead of libvirt's. */
void vmf_migration_note_outlook(VmfMigration *migration, double progress, double left);

/* An array of VmfDecision (policy/decision.h), whose times are monotonic. */
void vmf_migration_set_decisions(VmfMigration *migration, GPtrArray *decisions);

/* As the bus shows them; the caller's. */
GVariant *vmf_migration_get_decisions(VmfMigration *migration);

/*
 * Main loop only: emits "cancel". Errors: NO_SUCH_MIGRATION (it is over), NOT_SUPPORTED (post-copy:
 * the guest runs at the destination, and only there).
 */
gboolean vmf_migration_request_cancel(VmfMigration *migration, GError **error);

/* Likewise "postcopy". Errors: NO_SUCH_MIGRATION, NOT_SUPPORTED (not asked for at the start). */
gboolean vmf_migration_request_postcopy(VmfMigration *migration, GError **error);

/* Likewise "bandwidth"; MiB/s, 0: no bound. Errors: NO_SUCH_MIGRATION, NOT_SUPPORTED (incoming). */
gboolean vmf_migration_request_bandwidth(VmfMigration *migration, guint mibs, GError **error);

/* Main loop: emits "downtime". ms that are allowed from now on. */
void vmf_migration_allow_downtime(VmfMigration *migration, guint ms);

/* ms that are allowed. Any thread. */
guint vmf_migration_get_downtime_allowed(VmfMigration *migration);

/* Bytes per second; 0: no bound. Any thread. */
guint64 vmf_migration_get_bandwidth(VmfMigration *migration);

/* Likewise "delta". Errors: NO_SUCH_MIGRATION, NOT_SUPPORTED (incoming), INVALID_ARGUMENT. */
gboolean vmf_migration_request_delta(VmfMigration *migration, const VmfDelta *delta,
                                     GError **error);

/* Any thread. What was asked for last, at the start or since. */
void vmf_migration_get_delta(VmfMigration *migration, VmfDelta *ret);

/* Any thread. There is memory for that; the bus shows it, and what was asked for stays. */
void vmf_migration_grant_delta(VmfMigration *migration, const VmfDelta *delta);

/* Any thread. As the bus shows it; nothing is expected then. */
void vmf_migration_get_granted_delta(VmfMigration *migration, VmfDelta *ret);
