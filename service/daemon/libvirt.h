/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * This host's libvirt: one connection for events, found again by itself when libvirtd restarts,
 * and what the rest of the daemon asks of guests.
 *
 * VmfLibvirt belongs to the main loop; libvirt's events arrive there (libvirt-glib). Opening is
 * done in a thread. The functions that take a virConnect block and are for worker threads; each
 * worker opens a connection of its own, because libvirtd serves only a few calls at a time on one,
 * and a migration is one call from beginning to end.
 *
 * Signals: "connected" (gboolean), "lifecycle" (uuid, virDomainEventType, detail),
 * "iteration" (uuid, int), "job-completed" (uuid, VmfJob *).
 * Errors: VMF_ERROR_LIBVIRT_UNAVAILABLE, VMF_ERROR_LIBVIRT_FAILED with libvirt's message.
 */
#pragma once

#include <gio/gio.h>
#include <libvirt/libvirt.h>

#include "daemon/workers.h"

#define VMF_TYPE_LIBVIRT (vmf_libvirt_get_type())
G_DECLARE_FINAL_TYPE(VmfLibvirt, vmf_libvirt, VMF, LIBVIRT, GObject)

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virConnect, virConnectClose)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomain, virDomainFree)

/* A migration job as libvirt tells it; bytes, bytes/s, pages/s, ms. Absent fields are 0. */
typedef struct {
    guint64 data_total;
    guint64 data_processed;
    guint64 data_remaining;
    guint64 dirty_rate;
    guint64 page_size;
    guint64 bandwidth;
    guint64 iteration;
    guint64 downtime;
    guint64 memory_total;
    guint64 memory_remaining;
    guint64 pages_zero;
    guint64 pages_whole;
    guint64 cache_size; /* of QEMU's XBZRLE; 0: it is not on */
    guint64 cache_pages;
    guint64 cache_misses;
    guint64 cache_overflows;
    gboolean active;    /* there is such a job now */
    gboolean migration; /* it moves the guest away, and is not a save or a dump */
} VmfJob;

VmfLibvirt *vmf_libvirt_new(const char *uri, VmfWorkers *workers);
VmfWorkers *vmf_libvirt_get_workers(VmfLibvirt *libvirt);

/* Connects, and from then on again whenever the connection is lost. */
void vmf_libvirt_start(VmfLibvirt *libvirt);
void vmf_libvirt_stop(VmfLibvirt *libvirt);

gboolean vmf_libvirt_is_connected(VmfLibvirt *libvirt);

/*
 * Whether the guest was seen running on this host since it came here. A paused guest that was not
 * may still have inactive disks (DomainUnsafe). Any thread.
 */
gboolean vmf_libvirt_has_run(VmfLibvirt *libvirt, const char *uuid);

/* Those seen running; main loop. */
void vmf_libvirt_foreach_running(VmfLibvirt *libvirt,
                                 void (*visit)(const char *uuid, gpointer data), gpointer data);

/* A worker's own connection. */
virConnectPtr vmf_libvirt_open(const char *uri, GError **error);

/* Closes one from the main loop: in a thread. NULL is ignored. */
void vmf_libvirt_close(VmfLibvirt *libvirt, virConnectPtr connection);

/* The calling thread's last libvirt error as a GError of `code`, "what: message". */
void vmf_libvirt_set_error(GError **error, int code, const char *what);

/* The job that runs now; FALSE when libvirt does not answer. No job is one that is not active. */
gboolean vmf_job_read(virDomainPtr domain, VmfJob *job);

/* Fills `job` from typed parameters of a job's statistics. */
void vmf_job_parse(VmfJob *job, virTypedParameterPtr params, int n);
