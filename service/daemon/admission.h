/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the libvirt hook asks of a host: may this guest arrive?
 *
 * Pure, but for vmf_admission_facts(). It answers from memory, because libvirt waits: no libvirt,
 * no peer, no disk is asked. Any thread.
 */
#pragma once

#include "xml/domain.h"

/* Of this host, now. */
typedef struct {
    guint64 memory_available; /* bytes, the kernel's estimate; 0: not known */
    guint64 memory_reserve;   /* bytes that are not for guests that arrive */
    guint migrations, migrations_max;
    gboolean expected; /* the guest's vmferryd has announced it */
    gboolean maintenance;
    gboolean require_us;       /* guests may only come by vmferry migrate */
    const char *closed_policy; /* the policy that says so of this guest; NULL: none does */
} VmfAdmissionFacts;

/* Reads what the kernel tells; the rest stays. */
void vmf_admission_facts(VmfAdmissionFacts *facts);

/*
 * Whether the guest of this XML may arrive under this name. Errors: INVALID_ARGUMENT (it has
 * another name), LIMIT_REACHED (migrations, memory), PEER_REFUSED (must come by vmferry). The
 * message's last line is for whoever typed virsh migrate.
 */
gboolean vmf_admission_check(const char *name, const VmfDomainXml *guest,
                             const VmfAdmissionFacts *facts, GError **error);
