/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The check before the move: what both hosts know of a guest, its emulator and each other, judged
 * (probe/judge.h) before the guest is touched.
 *
 * The source describes the guest and what its QEMU will save; the destination says, over
 * org.vmferry1.Link.Check, what is there, what its libvirt and QEMU make of the guest's XML, and
 * what its QEMU loads. It blocks on libvirt, emulators and the peer: worker threads.
 */
#pragma once

#include "daemon/daemon.h"
#include "probe/argv.h"

typedef struct {
    const char *domain;       /* name or UUID */
    const char *dname;        /* its name there, or NULL: the same */
    const char *xml;          /* another domain XML for the destination, or NULL */
    gboolean tls;             /* QEMU would encrypt its stream itself */
    gboolean postcopy;        /* it may be switched to post-copy */
    const char *const *force; /* names of what is overridden; NULL: nothing */
} VmfPrecheckInit;

/*
 * Concerns (probe/concern.h), sorted. In `ret_loadable`, if not NULL, what the source's pump is to
 * hold the stream against (org.vmferry1.Pump, Start, "loadable"), or NULL: both QEMUs are alike, or
 * nothing is known. An error only where nothing can be said: NO_SUCH_DOMAIN, DOMAIN_NOT_RUNNING,
 * LIBVIRT_UNAVAILABLE, LIBVIRT_FAILED, PEER_REFUSED, CANCELLED, and those of vmf_peer_get_link().
 */
GPtrArray *vmf_precheck_run(VmfDaemon *daemon, VmfPeer *peer, const VmfPrecheckInit *init,
                            GCancellable *cancellable, GVariant **ret_loadable, GError **error);

/*
 * What libvirt here would start for this domain. Errors: NOT_SUPPORTED (libvirt refuses it),
 * LIBVIRT_FAILED, INVALID_ARGUMENT.
 */
VmfArgv *vmf_precheck_get_argv(virConnectPtr connection, const char *xml, GError **error);

/* What Link.Check answers; floating. Errors: INVALID_ARGUMENT, LIBVIRT_UNAVAILABLE. */
GVariant *vmf_precheck_answer(VmfDaemon *daemon, GVariant *request, GError **error);

/*
 * Concerns about a guest of which nothing is known but its XML: whoever sends it did not ask. This
 * host's emulator, CPU, firmware and devices; memory and names are not looked at. Sorted.
 * Errors: INVALID_ARGUMENT, LIBVIRT_UNAVAILABLE.
 */
GPtrArray *vmf_precheck_judge_arrival(VmfDaemon *daemon, const char *xml, GError **error);

#define VMF_PRECHECK_XML_MAX (4u << 20)    /* bytes of domain XML */
#define VMF_PRECHECK_PACKED_MAX (1u << 20) /* bytes of a dump on the link */
#define VMF_PRECHECK_TYPES_MAX 4096u
