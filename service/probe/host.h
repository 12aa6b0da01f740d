/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What this host can do, apart from its emulators: memory, processor, the kernel's leave for
 * post-copy, and libvirt's settings.
 *
 * Bytes and seconds. Reads /proc, /dev and libvirt's configuration, which takes no time worth a
 * thread. Any thread. What cannot be found out is 0, FALSE or empty.
 */
#pragma once

#include <glib.h>

typedef struct {
    guint64 page_size;
    guint64 memory_total;
    guint64 memory_available; /* without swapping */
    guint64 swap_free;
    const char *codec;         /* "avx512bw", "avx2", "sse2", "neon" or "portable"; static */
    gboolean userfaultfd;      /* QEMU, as the user that libvirt gives it, may use it: post-copy */
    guint keepalive_interval;  /* s; 0: libvirt never asks whether a peer lives */
    guint keepalive_count;     /* unanswered questions until it hangs up */
    char **migrate_parameters; /* beyond those of libvirt 9.0 that its migration takes */
} VmfHostFacts;

typedef struct {
    const char *meminfo;   /* NULL: /proc/meminfo */
    const char *qemu_conf; /* NULL: /etc/libvirt/qemu.conf */
    guint qemu_uid;        /* who QEMU is */
    guint qemu_gid;
    gulong libvirt_version; /* of the daemon, as libvirt counts: 9000000 */
} VmfHostSources;

VmfHostFacts *vmf_host_facts_gather(const VmfHostSources *sources);
void vmf_host_facts_free(VmfHostFacts *facts);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfHostFacts, vmf_host_facts_free)
