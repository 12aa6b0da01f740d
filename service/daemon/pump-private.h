/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What pump-process.c (its life, and what it says) and pump-orders.c (what it is told) share. See
 * pump-process.h.
 */
#pragma once

#include "daemon/pump-process.h"
#include "pump-bus.h"

struct _VmfPump {
    GObject parent_instance;

    char *id;
    VmfPumpSide side;
    char *socket_path;
    GSubprocess *process; /* NULL: adopted */
    VmfProcessId process_id;
    guint wanted; /* the last channel that was told of */
    GDBusConnection *connection;
    VmfBusPump *proxy;
    GMutex lock; /* for `ended` and `ended_cond` */
    GCond ended_cond;
    gboolean ended;
};

/* As an argument; floating. */
GVariant *vmf_pump_secret(const uint8_t secret[VMF_TICKET_SECRET_SIZE]);
