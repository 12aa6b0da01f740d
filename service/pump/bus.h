/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pump's control socket: org.vmferry1.Pump over peer-to-peer D-Bus, for root and for its own
 * user. Daemons come and go; the pump stays.
 *
 * Threads: belongs to the one whose thread-default context it was made in. (GDBus reads and writes
 * in a thread of its own.)
 */
#pragma once

#include <glib.h>

#define VMF_PUMP_OBJECT "/org/vmferry1/pump"
#define VMF_PUMP_CONNECTIONS 8 /* daemons at once */
#define VMF_PUMP_FLUSH_WAIT 2  /* s, for the last words to be taken */

typedef struct VmfPumpBus VmfPumpBus;

/* Told once, after Ended went out. */
typedef void (*VmfPumpBusDone)(gpointer data, gboolean clean);

/* `listener`: a listening unix socket; taken. Makes the pump. */
VmfPumpBus *vmf_pump_bus_new(int listener, VmfPumpBusDone done, gpointer data);

/* As Stop: somebody ended the process. `done` follows. */
void vmf_pump_bus_terminate(VmfPumpBus *bus);

/* Not from inside `done`. */
void vmf_pump_bus_free(VmfPumpBus *bus);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfPumpBus, vmf_pump_bus_free)
