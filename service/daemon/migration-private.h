/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What migration.c (its life, and what it is), migration-figures.c (what is noted of its course),
 * migration-requests.c (what is asked of it) and migration-save.c (what outlives a vmferryd) share.
 * See migration.h.
 */
#pragma once

#include "daemon/migration.h"
#include "vmferry-bus.h"

struct _VmfMigration {
    GObject parent_instance;

    char *id;
    char *domain;
    char *uuid;
    char *peer;
    gboolean postcopy;
    gint native;       /* atomic; without a pump: what goes over the wire is what libvirt counts */
    gboolean foreseen; /* progress and end are the policy's word */
    VmfBusObjectSkeleton *object;
    VmfBusMigration *bus; /* its setters may be called from any thread */
    GMutex lock;          /* for the following */
    VmfState state;
    VmfDelta asked; /* what is granted of it is on the bus */
    guint64 memory; /* of the guest; 0: not known */
    gboolean stalled;
    double progress;
    gboolean has_figures; /* of the whole job */
    GCond figures;
    GHashTable *kept; /* section -> a{sv} */

    /* main loop: when the bytes on the wire were noted first and last, and what LinkRate is */
    gint64 wire_begin;
    gint64 wire_time;
    guint64 wire_bytes;
    double wire_rate;
};

/* A state by its name on the bus; "stalled" is running. FALSE: none that is not final. */
gboolean vmf_migration_parse_state(const char *name, VmfState *ret);
